"""Follows one device and opens for a recognition that is signed by its key, fresh by this
machine's clock, and new. Every message is judged; a refusal is shown with its reason and counted.

A PHOTOGRAPH MAY PASS: the evidence of liveness (`pad`) is weak, and refuses nobody unless the
device is set to, or this door by --live-only, which a film of a moving face passes half the time.
Card and face (`verify`, with --challenge) is the way for an entrance; do not let a face alone open
it.
The clock of this machine has to be right: keep NTP running.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from edgeface.base.errors import NoAnswerError, SettingsError
from edgeface.base.ids import is_person_id
from edgeface.cli.broker_options import Place, add_broker_options, keys_given, place_of
from edgeface.cli.common import between

if TYPE_CHECKING:  # so that --help needs neither paho nor cryptography
    from edgeface.contract.topics import Topics
    from edgeface.door.loop import Inbox, Show
    from edgeface.security.keys import VerifyingKey

OPENED: Final = 0
SHUT: Final = 1
_WITHIN_S: Final = 5.0
_CHALLENGE_WITHIN_S: Final = 15.0
_MAX_WITHIN_S: Final = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("--site", help="site id; default: that of the configuration")
    parser.add_argument("--device", required=True, help="device id")
    parser.add_argument(
        "--key", required=True, type=Path, help="the device's public key (PEM), pinned"
    )
    add_broker_options(parser)
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
        "synchronized",
    )
    parser.add_argument(
        "--live-only",
        action="store_true",
        help="open only where there is evidence of a live person (pad.live is true) besides: it "
        "stops pictures, but of films of a face that moves about half count as live. "
        "The device has to wait for that evidence: set its pad.event (for --verify: pad.verify) to "
        "refuse_recognized or challenge, or hardly anybody is let in",
    )
    parser.add_argument(
        "--verify",
        metavar="PERSON_ID",
        help="card and face: ask once whether this person is at the door, and end; 0: opened, "
        "1: shut, 4: nobody has answered",
    )
    parser.add_argument(
        "--challenge",
        action="store_true",
        help="for --verify: the person has to turn, come closer or move back besides, as the "
        "device asks them to; each prompt is shown. Needed as well where the device demands it of "
        f"everybody (pad.verify: challenge), as {_WITHIN_S:g} s are too short for it",
    )
    parser.add_argument(
        "--within",
        type=between(1, 600),
        metavar="S",
        help=f"for --verify; default: {_WITHIN_S:g}, with --challenge {_CHALLENGE_WITHIN_S:g}",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run(args: argparse.Namespace) -> int:
    """Judge messages until SIGINT or SIGTERM; 0. With --verify: 0 opened, 1 shut."""
    inbox: Inbox = queue.SimpleQueue()
    if args.challenge and args.verify is None:
        raise SettingsError("--challenge is for --verify PERSON_ID: it is put to one person")
    if args.verify is not None:
        return _ask(args, *_given(args))
    with _ended_by_signals(inbox):
        from edgeface.base.clock import Clock
        from edgeface.door.loop import follow
        from edgeface.door.policy import DoorPolicy

        place, topics, key, show = _given(args)
        policy = DoorPolicy(
            topics, key, Clock(), same_clock=args.same_clock, live_only=args.live_only
        )
        follow(place.options, topics, policy, inbox, show, partial(_open, args.on_open))
    return 0


def _given(args: argparse.Namespace) -> tuple[Place, Topics, VerifyingKey, Show]:
    from edgeface.contract.topics import Topics
    from edgeface.security.keys import VerifyingKey

    place = place_of(args)
    site = args.site or place.site
    if site is None:
        raise SettingsError("--site: which site the device is of, or -c FILE that says so")
    show = _show_json if args.json else _show_text
    with keys_given():
        return place, Topics(site, args.device), VerifyingKey.of_device(args.key), show


def _ask(
    args: argparse.Namespace, place: Place, topics: Topics, key: VerifyingKey, show: Show
) -> int:
    """Card and face: ask the device to look now, and take the time itself, so that no clock has to
    be right. Raises NoAnswerError when nobody answers."""
    from edgeface.door.claim import Claim
    from edgeface.mqtt.caller import Caller

    person_id, client = args.verify, place.client
    if not is_person_id(person_id):
        raise SettingsError(f"--verify {person_id!r}: no person id")
    within_s = args.within or (_CHALLENGE_WITHIN_S if args.challenge else _WITHIN_S)
    if not 1 <= within_s <= _MAX_WITHIN_S:
        raise SettingsError(f"--within: 1 to {_MAX_WITHIN_S:g} seconds")
    with Caller(place.options, topics, client) as caller:
        session = caller.session()
        claim = Claim(
            topics,
            key,
            person_id,
            client=client,
            session=session,
            timeout_s=within_s,
            demand="challenge" if args.challenge else "live" if args.live_only else None,
        )
        verdict = claim.ask(caller, lambda told: show({"door": "ask", **asdict(told)}))
    if verdict is None:
        show({"door": "shut", "reason": "no_answer"})
        raise NoAnswerError(f"no answer within {claim.wait_s:g} s")
    transaction = claim.question.transaction
    line = {"door": "open" if verdict.open else "shut", "reason": verdict.reason}
    show(line | {"person_id": person_id, "transaction": transaction} | verdict.evidence)
    if not verdict.open:
        return SHUT
    until = datetime.now(UTC) + timedelta(seconds=claim.wait_s)
    _open(args.on_open, person_id, transaction, until)
    return OPENED


@contextmanager
def _ended_by_signals(inbox: Inbox) -> Iterator[None]:
    """SIGINT and SIGTERM put None into the inbox, from before the slow imports. After the end they
    are ignored: the process goes in order, and one more is to change nothing. An error gives them
    back as they were."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        inbox.put(None)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, on_signal) for number in numbers]
    after = before
    try:
        yield
        after = [signal.SIG_IGN, signal.SIG_IGN]
    finally:
        for number, handler in zip(numbers, after, strict=True):
            signal.signal(number, handler)


def _command(text: str) -> list[str]:
    """The words of a command; said when the door is started, not when it ought to open."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not words or not words[0]:
        raise argparse.ArgumentTypeError(f"{text!r}: no command")
    if shutil.which(words[0]) is None:
        raise argparse.ArgumentTypeError(
            f"{words[0]}: no such program, or it may not be run (chmod +x)"
        )
    return words


def _open(command: list[str] | None, person_id: str, event_id: str, valid_until: datetime) -> None:
    if command is None:
        return
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
