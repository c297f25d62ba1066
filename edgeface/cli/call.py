"""Ask a device over MQTT and print its answer as JSON.

    edgeface call hq/door-1 ping --host broker.example
    edgeface call door-1 verify p_8c1k3v9q2m -c edgeface.yaml --key device.key.pub
    edgeface call door-1 enroll -c edgeface.yaml --key device.key.pub \\
        --open-with admin.key --out anna.export

Exit codes: 0 done (for verify: and it is a match), 1 the device has refused (or no match; also an
answer that is not the device's), 2 wrong command line or configuration, 4 nobody has answered: the
broker cannot be reached or refuses, or the device is away or silent. What goes on meanwhile is told
on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgeface.base.errors import ContractError, SettingsError
from edgeface.cli.broker_options import add_broker_options, keys_given, place_of
from edgeface.cli.common import at_least, between, output_file, write_private
from edgeface.cli.plain import plain_json, warn

if TYPE_CHECKING:  # so that --help needs neither paho nor cryptography
    from edgeface.contract.answers import AnyAnswer
    from edgeface.contract.command_requests import Verb
    from edgeface.mqtt.caller import Caller
    from edgeface.security.keys import VerifyingKey
    from edgeface.security.sealing import AdministratorSecret

REFUSED: Final = 1
_GRACE_S: Final = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface call`."""
    _add_common(parser, None)
    parser.add_argument("device", help="SITE/DEVICE, or DEVICE with -c or --site")
    verbs = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        found = verbs.add_parser(name, help=text, description=text)
        _add_common(found, argparse.SUPPRESS)
        return found

    add("ping", "is the device there, and what does it answer to?")
    verify = add("verify", "1:1: is this person at the door now?")
    verify.add_argument(
        "person_id", metavar="PERSON", help="id; with -c also the whole name, as in its gallery"
    )
    verify.add_argument(
        "--challenge",
        action="store_const",
        const=True,
        help="they have to turn, come closer or move back besides, as the device asks them to",
    )
    identify = add("identify", "who is at the door now?")
    enroll = add("enroll", "templates of the person at the door, sealed to the administrator")
    enroll.add_argument("--frames", type=at_least(1), help="good and different ones (default: 5)")
    enroll.add_argument("--person", dest="person_id", help="an id; default: a new one")
    for timed in (verify, identify, enroll):
        timed.add_argument("--timeout", type=between(1, 600), metavar="S", help="until the answer")
    snapshot = add("snapshot", "what the camera sees, sealed to the administrator")
    snapshot.add_argument(
        "--event", dest="event_id", metavar="ID", help="the picture that was kept of an event"
    )
    for sealed in (enroll, snapshot):
        sealed.add_argument("--open-with", type=Path, metavar="KEY", help="the administrator's key")
        sealed.add_argument(
            "--out", type=output_file, metavar="FILE", help="for the opened content"
        )
    add("reload", "read the configuration again")
    add("gallery", "ids, counts and digest of the gallery")
    why = add("why", "the trace of a recent decision")
    why.add_argument("track", type=at_least(0), nargs="?", help="a track's id; default: the newest")


def _add_common(parser: argparse.ArgumentParser, default: object) -> None:
    """On both sides of the command, whose defaults must not undo what was given before it."""
    parser.add_argument("--site", default=default, help="where DEVICE comes without one")
    parser.add_argument(
        "--key", type=Path, default=default, help="the device's public key (PEM): check signatures"
    )
    add_broker_options(parser, default)


def run(args: argparse.Namespace) -> int:
    """Ask and print; the exit code."""
    from edgeface.contract.commands import as_verb
    from edgeface.contract.topics import Topics
    from edgeface.mqtt.caller import Caller
    from edgeface.security.keys import VerifyingKey
    from edgeface.security.sealing import AdministratorSecret

    place = place_of(args)
    site, _, device = args.device.rpartition("/")
    site = site or args.site or place.site
    if not site:
        raise SettingsError("which site? Say SITE/DEVICE, --site or -c")
    opens = getattr(args, "open_with", None)
    if opens is not None and args.out is None:
        raise SettingsError("--open-with needs --out FILE for what was sealed")
    if opens is not None and args.key is None:
        # Anybody can seal to the administrator's public key; the signature says who did.
        raise SettingsError(
            "--open-with needs --key FILE, the device's public key: without it whoever owns the "
            "broker could have sealed a face of their own"
        )
    with keys_given():
        secret = None if opens is None else AdministratorSecret.load(opens)
        key = None if args.key is None else VerifyingKey.of_device(args.key)
    try:
        topics, verb, arguments = Topics(site, device), as_verb(args.command), _arguments(args)
        with Caller(place.options, topics, place.client) as caller:
            answer = _ask(caller, verb, arguments, key)
    except ContractError as error:
        if error.reason in ("bad_id", "bad_text", "out_of_range"):
            raise SettingsError(str(error)) from error
        raise
    return _show(answer, args, key, secret)


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    if args.command == "verify":
        args.person_id = _person_id(args.person_id, args.config)
    names = {"timeout": "timeout_s", "person_id": "person_id", "frames": "frames", "track": "track"}
    names |= {"event_id": "event_id", "challenge": "challenge"}
    found = {field: getattr(args, name, None) for name, field in names.items()}
    return {field: value for field, value in found.items() if value is not None}


def _person_id(person: str, config: Path | None) -> str:
    """The id for an id or, with a configuration, for a display name of its gallery."""
    from edgeface.base.ids import is_person_id
    from edgeface.gallery.opening import existing_gallery
    from edgeface.gallery.people import find_people
    from edgeface.settings.loading import load_settings

    if is_person_id(person):
        return person
    if config is None:
        raise SettingsError(
            f"{person}: no person id such as p_8c1k3v9q2m; a name needs -c FILE with its gallery"
        )
    with existing_gallery(load_settings(config)) as store:
        return find_people(store, [person], damaged=True)[0]


def _ask(
    caller: Caller, verb: Verb, arguments: dict[str, Any], key: VerifyingKey | None
) -> AnyAnswer:
    from edgeface.contract.commands import COMMANDS

    wait_s = arguments.get("timeout_s", COMMANDS[verb].wait_s) + _GRACE_S

    def show(answer: AnyAnswer) -> None:
        print(json.dumps(answer.data), file=sys.stderr, flush=True)

    def ask(more: dict[str, Any]) -> AnyAnswer:
        return caller.call(verb, arguments | more, wait_s, key=key, progress=show)

    answer = ask({})
    while verb == "gallery" and answer.data is not None and answer.data["next"] is not None:
        page = ask({"after": answer.data["next"]})
        if page.data is None or page.data["digest"] != answer.data["digest"]:
            raise ContractError("changed", "the gallery has changed meanwhile; ask again")
        following = page.data["next"]
        if following is not None and following <= answer.data["next"]:
            raise ContractError("inconsistent", "data.next: its pages would never end")
        answer.data["person_ids"].extend(page.data["person_ids"])
        answer.data["next"] = following  # type: ignore[index]
    return answer


def _show(
    answer: AnyAnswer,
    args: argparse.Namespace,
    key: VerifyingKey | None,
    secret: AdministratorSecret | None,
) -> int:
    from edgeface.contract.codec import to_mapping

    shown = to_mapping(answer)
    if secret is not None and answer.data is not None:
        write_private(args.out, _opened(answer, secret, getattr(args, "event_id", None)))
        shown["data"]["sealed"] = {"opened": str(args.out)}
    shown["signature"] = "good" if key is not None else "unchecked"
    print(plain_json(shown))
    if key is None and args.command in ("verify", "identify"):
        warn(
            "nobody has checked who answered, which the broker's owner may have done; open no door "
            "for it without --key FILE, the device's public key"
        )
    if answer.status != "ok":
        return REFUSED
    return 0 if args.command != "verify" or _matched(answer, args) else REFUSED


def _matched(answer: AnyAnswer, args: argparse.Namespace) -> bool:
    from edgeface.contract.answers import VerifyData
    from edgeface.contract.codec import from_mapping

    if answer.data is None or answer.data.get("outcome") != "match":
        return False
    if not getattr(args, "challenge", None):
        return True
    challenged = from_mapping(VerifyData, dict(answer.data), "data").seen.pad.challenged
    if not challenged:
        warn("the device has put no challenge, as older versions do; update it to rely on one")
    return challenged


def _opened(answer: AnyAnswer, secret: AdministratorSecret, event_id: str | None) -> bytes:
    from edgeface.contract.answers import Sealed
    from edgeface.contract.codec import from_mapping
    from edgeface.security.sealing import Context, picture_context

    assert answer.data is not None
    sealed = from_mapping(Sealed, dict(answer.data["sealed"]), "data.sealed")
    context = Context(answer.site, answer.device, answer.verb, answer.transaction or "")
    if event_id is not None:
        if answer.data.get("event_id") != event_id:  # one that knows of no event pictures
            raise ContractError("other_answer", "this is not the picture of the event asked for")
        context = picture_context(answer.site, answer.device, event_id)
    return secret.open(sealed, context)
