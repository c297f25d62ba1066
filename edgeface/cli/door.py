"""`edgeface door`: the reference door controller. Read it before you write your own.

It subscribes to the one topic that is for acting, lets `DoorPolicy` judge every message by the
door's own clock, and on `open` prints a line and runs a command. Nothing else opens it. With
`--verify` it asks once about the person of a presented card: see `door_verify`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:  # so that --help needs neither paho nor cryptography
    from edgeface.base.messages import Message
    from edgeface.mqtt.options import ConnectionOptions

    Inbox: TypeAlias = queue.SimpleQueue[Message | dict[str, Any] | None]

STOP_S: Final = 1.0
"""How long the connection may take to end."""
STATUS_S: Final = 5.0
"""A retained status comes at once, or there is none."""
MAX_WAITING: Final = 1000
"""Messages that may wait behind a slow command; more are dropped and counted as `too_many`."""
NO_STATUS: Final = "no such device has been at this broker, or this user may not read it"


DESCRIPTION: Final = """\
Follows one device and opens for a recognition that is signed by its key, fresh by this
machine's clock, and new. Every message is judged; a refusal is shown with its reason and counted.

A PHOTOGRAPH MAY PASS: edgeface does not yet check for liveness ("pad": {"assessed": false}).
Card and face (the command `verify`) is the way for an entrance; do not let a face alone open it.
The clock of this machine has to be right: keep NTP running.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--site", required=True, help="site id, as in the device's configuration")
    parser.add_argument("--device", required=True, help="device id")
    parser.add_argument(
        "--key", required=True, type=Path, help="the device's public key (PEM), pinned"
    )
    parser.add_argument("--host", default="localhost", help="the broker (default: localhost)")
    parser.add_argument("--port", type=int, help="default: 8883 with TLS, 1883 without")
    parser.add_argument(
        "--tls",
        choices=("auto", "required", "off"),
        default="auto",
        help="auto: required unless the broker is on this machine",
    )
    parser.add_argument("--ca", type=Path, help="authorities of the broker's certificate (PEM)")
    parser.add_argument("--cert", type=Path, help="this door's own certificate (PEM)")
    parser.add_argument("--cert-key", type=Path, help="the private key of --cert (PEM)")
    parser.add_argument("--username")
    parser.add_argument("--password-file", type=Path, help="a file whose first line is it")
    parser.add_argument(
        "--on-open",
        type=_command,
        metavar="COMMAND",
        help="run at each opening, without a shell; EDGEFACE_PERSON, EDGEFACE_EVENT and "
        "EDGEFACE_VALID_UNTIL are in its environment",
    )
    parser.add_argument(
        "--same-clock",
        action="store_true",
        help="this door runs on the device itself: act also while their common clock is not "
        "synchronised",
    )
    parser.add_argument(
        "--verify",
        metavar="PERSON_ID",
        help="card and face: ask once whether this person is at the door, and end; 0: opened, "
        "1: shut, 4: nobody has answered",
    )
    parser.add_argument("--within", type=float, default=5.0, metavar="S", help="for --verify")
    parser.add_argument("--client", metavar="NAME", help="for --verify: last word of the topic")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run(args: argparse.Namespace) -> int:
    """Judge messages until SIGINT or SIGTERM; 0. With --verify: 0 opened, 1 shut."""
    if args.verify is None:
        inbox: Inbox = queue.SimpleQueue()
        with _ended_by_signals(inbox):
            return _follow(args, inbox)
    from edgeface.cli import door_verify
    from edgeface.contract.topics import Topics

    show = _show_json if args.json else _show_text
    return door_verify.ask(args, _options(args), Topics(args.site, args.device), show, _open)


@contextmanager
def _ended_by_signals(inbox: Inbox) -> Iterator[None]:
    """SIGINT and SIGTERM put None into the inbox: from before the slow imports until all is over,
    so that one that comes early, or once more, ends the door in order as well."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        inbox.put(None)

    previous = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _options(args: argparse.Namespace) -> ConnectionOptions:
    from edgeface.mqtt.options import ConnectionOptions
    from edgeface.settings.mqtt import is_loopback

    tls = args.tls == "required" or (args.tls == "auto" and not is_loopback(args.host))
    return ConnectionOptions(
        host=args.host,
        port=args.port or (8883 if tls else 1883),
        client_id="",  # the broker gives one: two doors may follow one device
        tls=tls,
        ca_file=args.ca,
        cert_file=args.cert,
        key_file=args.cert_key,
        username=args.username,
        password_file=args.password_file,
    )


def _follow(args: argparse.Namespace, inbox: Inbox) -> int:
    """Until there is a None in the inbox."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.subscribeoptions import SubscribeOptions

    from edgeface.contract.topics import Topics
    from edgeface.door.policy import DoorPolicy
    from edgeface.mqtt.connection import MAX_INBOUND_PACKET_BYTES, message_of
    from edgeface.mqtt.options import new_client
    from edgeface.security.keys import PublicKey
    from edgeface.security.tls import Mishaps, explain_closing, explain_failure, explain_refusal

    topics, options = Topics(args.site, args.device), _options(args)
    tls = options.tls
    policy = DoorPolicy(
        topics,
        PublicKey.load(args.key),
        now=lambda: datetime.now(UTC),
        same_clock=args.same_clock,
    )
    show = _show_json if args.json else _show_text
    # A subscriber has nothing in flight that could come late: it may reconnect by itself.
    client = new_client(options, reconnect=True)
    # Else an exception in a callback would end paho's thread, and with it the door, in silence.
    client.suppress_exceptions = True
    mishaps = Mishaps(client)
    greeted = False
    silence = _Silence()

    def on_connect(_client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        nonlocal greeted
        greeted = True
        if reason.is_failure:
            why = explain_refusal(
                reason.value, str(reason), username=args.username, certificate=args.cert is not None
            )
            inbox.put({"door": "refused", "reason": why})
            return
        # Retained copies are asked for on purpose: to be refused where somebody can see it. The
        # status is not acted upon: it tells whether anything can come at all.
        event = SubscribeOptions(qos=1, retainAsPublished=True)
        client.subscribe([(topics.event, event), (topics.status, SubscribeOptions(qos=1))])

    def on_subscribe(_client: mqtt.Client, _data: Any, _mid: int, codes: Any, _more: Any) -> None:
        if not codes or codes[0].is_failure:
            inbox.put({"door": "refused", "reason": str(codes[0]) if codes else "no reason given"})
        else:
            silence.begin()
            inbox.put({"door": "ready", "topic": topics.event})

    def on_disconnect(_client: mqtt.Client, _data: Any, _flags: Any, why: Any, _more: Any) -> None:
        nonlocal greeted
        closed = explain_closing(mishaps.last, tls=tls, certificate=args.cert is not None)
        reason = str(why) if greeted else closed
        greeted, mishaps.last = False, None
        inbox.put({"door": "disconnected", "reason": reason})

    def on_connect_fail(_client: mqtt.Client, _data: Any) -> None:
        # paho calls this while it handles the error, and does not hand it over.
        why = explain_failure(sys.exception(), host=args.host, tls=tls, ca_file=args.ca)
        inbox.put(
            {"door": "unreachable", "broker": f"{options.host}:{options.port}", "reason": why}
        )

    def on_message(_client: mqtt.Client, _data: Any, raw: mqtt.MQTTMessage) -> None:
        message = message_of(raw)
        if message is not None and message.topic == topics.status:
            silence.over()
        elif message is not None:
            _offer(inbox, message, policy.counts)

    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_disconnect, client.on_connect_fail = on_disconnect, on_connect_fail
    client.on_message = on_message

    client.reconnect_delay_set(min_delay=1, max_delay=4)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MAX_INBOUND_PACKET_BYTES
    client.connect_async(
        options.host, options.port, keepalive=10, clean_start=True, properties=properties
    )
    client.loop_start()
    try:
        while True:
            try:
                item = inbox.get(timeout=silence.left_s)
            except queue.Empty:
                silence.over()
                item = {"door": "silent", "reason": f"no status of {topics.base}: {NO_STATUS}"}
            if item is None:
                break
            if isinstance(item, dict):
                show(item)
                continue
            # Judged here and now: what waited behind a slow command has grown old meanwhile.
            verdict = policy.judge(item)
            found = verdict.event
            line: dict[str, Any] = {
                "door": "open" if verdict.open else "shut",
                "reason": verdict.reason,
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
            if found is not None:
                line |= {"event_id": found.event_id, "event_type": found.event_type}
                if found.match is not None:
                    line |= {"person_id": found.match.person_id, "score": found.match.score}
            show(line)
            if verdict.open and found is not None and found.match is not None and args.on_open:
                _open(args.on_open, found.match.person_id, found.event_id, found.valid_until)
    finally:
        client.disconnect()
        # It may be waiting for a broker that does not answer: it is not waited for in turn.
        stopping = threading.Thread(target=client.loop_stop, daemon=True)
        stopping.start()
        stopping.join(STOP_S)
        show({"door": "stopped", "counts": dict(policy.counts)})
    return 0


def _offer(inbox: Inbox, message: Message, counts: Counter[str]) -> None:
    """Leave a message to be judged, if not too many wait already."""
    if inbox.qsize() < MAX_WAITING:
        inbox.put(message)
    else:
        counts["too_many"] += 1


class _Silence:
    """From a subscription until the device's retained status, which comes at once or never."""

    def __init__(self) -> None:
        self._heard = False
        self._until_s: float | None = None

    @property
    def left_s(self) -> float | None:
        """Until it has lasted too long; None when nothing is waited for."""
        return None if self._until_s is None else max(0.0, self._until_s - time.monotonic())

    def begin(self) -> None:
        self._until_s = None if self._heard else time.monotonic() + STATUS_S

    def over(self) -> None:
        """From paho's thread as well."""
        self._heard, self._until_s = True, None


def _command(text: str) -> list[str]:
    """The words of a command; said when the door is started, not when it ought to open."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not words or not words[0]:
        raise argparse.ArgumentTypeError(f"{text!r}: no command")
    return words


def _open(command: list[str], person_id: str, event_id: str, valid_until: datetime) -> None:
    environment = {
        **os.environ,
        "EDGEFACE_PERSON": person_id,
        "EDGEFACE_EVENT": event_id,
        "EDGEFACE_VALID_UNTIL": valid_until.isoformat(),
    }
    try:
        done = subprocess.run(command, env=environment, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"edgeface door: --on-open failed: {error}", file=sys.stderr)
        return
    if done.returncode:
        print(f"edgeface door: --on-open exited with {done.returncode}", file=sys.stderr)


def _show_json(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _show_text(line: dict[str, Any]) -> None:
    rest = "  ".join(f"{key}={value}" for key, value in line.items() if key != "door")
    print(f"{line['door'].upper():<12} {rest}", flush=True)
