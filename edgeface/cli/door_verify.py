"""`edgeface door --verify PERSON_ID`: card and face, asked once.

A door that knows who is to be there, from a card or a code, asks the device to look now. It takes
the time itself, so no clock has to be right.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from edgeface.base.errors import NoAnswerError, SettingsError
from edgeface.base.ids import is_person_id

if TYPE_CHECKING:  # so that --help needs neither paho nor cryptography
    from edgeface.contract.topics import Topics
    from edgeface.mqtt.options import ConnectionOptions

OPENED: Final = 0
SHUT: Final = 1
_MAX_WITHIN_S: Final = 60.0

Show: TypeAlias = Callable[[dict[str, Any]], None]
Open: TypeAlias = Callable[[list[str], str, str, datetime], None]
"""Runs a command for a person, an id and the time until which that holds."""


def ask(
    args: argparse.Namespace, options: ConnectionOptions, topics: Topics, show: Show, open_: Open
) -> int:
    """Ask, wait, open or not; 0 when it was opened. Raises NoAnswerError when nobody answers."""
    from edgeface.cli.broker_options import own_name
    from edgeface.door.claim import Claim
    from edgeface.mqtt.caller import Caller
    from edgeface.security.keys import PublicKey

    if not is_person_id(args.verify):
        raise SettingsError(f"--verify {args.verify!r}: no person id")
    if not 1 <= args.within <= _MAX_WITHIN_S:
        raise SettingsError(f"--within: 1 to {_MAX_WITHIN_S:g} seconds")
    key = PublicKey.load(args.key)
    client = args.client or own_name(args.username, args.cert)
    with Caller(options, topics, client) as caller:
        claim = Claim(
            topics,
            key,
            args.verify,
            client=client,
            session=caller.session(),
            timeout_s=args.within,
        )
        topic = claim.question.publication.response_topic
        assert topic is not None
        caller.subscribe(topic)
        caller.send(claim.question.publication)
        asked_s = time.monotonic()
        while True:
            message = caller.receive(asked_s + claim.wait_s - time.monotonic())
            if message is None:
                show({"door": "shut", "reason": "no_answer"})
                raise NoAnswerError(f"no answer within {claim.wait_s:g} s")
            verdict = claim.judge(message, time.monotonic() - asked_s)
            if verdict is not None:
                break
    line = {"door": "open" if verdict.open else "shut", "reason": verdict.reason}
    show(line | {"person_id": args.verify, "transaction": claim.question.transaction})
    if verdict.open and args.on_open:
        until = datetime.now(UTC) + timedelta(seconds=claim.wait_s)
        open_(args.on_open, args.verify, claim.question.transaction, until)
    return OPENED if verdict.open else SHUT
