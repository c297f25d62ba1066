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
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

NAME: Final = "door"
HELP: Final = "the reference door controller: opens for fresh, signed recognitions only"

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
        "1: shut",
    )
    parser.add_argument("--within", type=float, default=5.0, metavar="S", help="for --verify")
    parser.add_argument("--client", metavar="NAME", help="for --verify: last word of the topic")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run(args: argparse.Namespace) -> int:
    """Judge messages until SIGINT or SIGTERM; 0."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.subscribeoptions import SubscribeOptions

    from edgeface.cli import door_verify
    from edgeface.messaging.door import DoorPolicy
    from edgeface.messaging.keys import PublicKey
    from edgeface.messaging.options import ConnectionOptions, new_client
    from edgeface.messaging.session import message_of
    from edgeface.messaging.tls import Mishaps, explain_closing, explain_failure, explain_refusal
    from edgeface.messaging.topics import Topics
    from edgeface.messaging.wire import Message
    from edgeface.settings.mqtt import is_loopback

    topics = Topics(args.site, args.device)
    policy = DoorPolicy(
        topics,
        PublicKey.load(args.key),
        now=lambda: datetime.now(UTC),
        same_clock=args.same_clock,
    )
    tls = args.tls == "required" or (args.tls == "auto" and not is_loopback(args.host))
    port = args.port or (8883 if tls else 1883)
    options = ConnectionOptions(
        host=args.host,
        port=port,
        client_id="",  # the broker gives one: two doors may follow one device
        tls=tls,
        ca_file=args.ca,
        cert_file=args.cert,
        key_file=args.cert_key,
        username=args.username,
        password_file=args.password_file,
    )
    show = _show_json if args.json else _show_text
    if args.verify is not None:
        return door_verify.ask(args, options, topics, show, _open)
    # A subscriber has nothing in flight that could come late: it may reconnect by itself.
    client = new_client(options, reconnect=True)
    mishaps = Mishaps(client)
    greeted = False
    inbox: queue.SimpleQueue[Message | dict[str, Any] | None] = queue.SimpleQueue()

    def on_connect(_client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        nonlocal greeted
        greeted = True
        if reason.is_failure:
            why = explain_refusal(
                reason.value, str(reason), username=args.username, certificate=args.cert is not None
            )
            inbox.put({"door": "refused", "reason": why})
            return
        # Retained copies are asked for on purpose: to be refused where somebody can see it.
        client.subscribe(topics.event, options=SubscribeOptions(qos=1, retainAsPublished=True))

    def on_subscribe(_client: mqtt.Client, _data: Any, _mid: int, codes: Any, _more: Any) -> None:
        if codes[0].is_failure:
            inbox.put({"door": "refused", "reason": str(codes[0])})
        else:
            inbox.put({"door": "ready", "topic": topics.event})

    def on_disconnect(_client: mqtt.Client, _data: Any, _flags: Any, why: Any, _more: Any) -> None:
        nonlocal greeted
        reason = str(why) if greeted else explain_closing(mishaps.last, tls=tls)
        greeted, mishaps.last = False, None
        inbox.put({"door": "disconnected", "reason": reason})

    def on_connect_fail(_client: mqtt.Client, _data: Any) -> None:
        # paho calls this while it handles the error, and does not hand it over.
        why = explain_failure(sys.exception(), host=args.host, tls=tls, ca_file=args.ca)
        inbox.put({"door": "unreachable", "broker": f"{args.host}:{port}", "reason": why})

    def on_message(_client: mqtt.Client, _data: Any, raw: mqtt.MQTTMessage) -> None:
        message = message_of(raw)
        if message is not None:
            inbox.put(message)

    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_disconnect, client.on_connect_fail = on_disconnect, on_connect_fail
    client.on_message = on_message

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        inbox.put(None)

    previous = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    client.reconnect_delay_set(min_delay=1, max_delay=4)
    client.connect_async(args.host, port, keepalive=10, clean_start=True)
    client.loop_start()
    try:
        while (item := inbox.get()) is not None:
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
        for number, handler in previous.items():
            signal.signal(number, handler)
        client.disconnect()
        client.loop_stop()
        show({"door": "stopped", "counts": dict(policy.counts)})
    return 0


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
