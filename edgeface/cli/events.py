"""List decisions: from files of recorded events, or from a site's log while it is written.

    edgeface events --follow --site hq -c edgeface.yaml --json >> events.jsonl
    edgeface events events.jsonl --outcome unknown --since 2026-11-21
    edgeface events events.jsonl --person p_8c1k3v9q2m --csv > events.csv
    edgeface events unknown --cluster -c edgeface.yaml --open-with admin.key --out strangers.png

A file has one event of `event/log` as JSON on each line; `-` is standard input. Devices keep no
history: who wants one records it. An event that comes twice is shown once. The picture of an event,
where one is kept, is had with `edgeface call DEVICE snapshot --event ID`.

`unknown --cluster` opens the pictures of strangers that the device with the configuration -c keeps
and groups them: two groups are one face while the mean cosine of their pictures reaches the
threshold of `edgeface compare`. Who is in the gallery by now is left out. Which picture is best is
said, for `edgeface enroll --from-event ID`. With files of recorded events behind `unknown` their
pictures are asked of the device that sent them (--device, --key), and the gallery is that of the
site's folder (--site-dir).

Exit codes: 0; 1 when a line was no event; 2 wrong command line, or a file that cannot be read.
"""

from __future__ import annotations

import argparse
import csv
import json
import queue
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias, get_args

from edgeface.base.errors import ContractError, SettingsError
from edgeface.base.files import opened
from edgeface.base.ids import is_person_id
from edgeface.cli.broker_options import add_broker_options, keys_given, place_of
from edgeface.cli.common import output_named
from edgeface.cli.dates import end, start
from edgeface.cli.plain import plain, warn
from edgeface.contract import codec
from edgeface.contract.event import Event, Gap, Outcome, parse

if TYPE_CHECKING:  # so that --help needs neither paho nor cryptography
    from edgeface.base.messages import Message
    from edgeface.mqtt.listener import LinkNews

OUTCOMES: Final = (*get_args(Outcome), "gap")
COLUMNS: Final = (
    "time",
    "site",
    "device",
    "outcome",
    "person_id",
    "display_name",
    "score",
    "threshold",
    "faces_in_view",
    "historical",
    "session",
    "seq",
    "event_id",
    "live",
)
_FORMULA: Final = tuple("=+-@\t\r")
"""A table program takes a text that begins so for a formula."""
_REMEMBERED: Final = 100_000
"""Ids of events that were shown; one that comes again after so many is shown twice."""
_NO_EVENT: Final = 1
_MOST_TOLD: Final = 10
"""Lines of a file that are no events and are told of one by one."""
_Show: TypeAlias = Callable[[Event, bytes], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface events`."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="recorded events; -: from a pipe")
    parser.add_argument("--follow", action="store_true", help="as they come from the broker")
    parser.add_argument(
        "--outcome", action="append", choices=OUTCOMES, help="only these; may be given again"
    )
    parser.add_argument("--person", metavar="ID", help="only where this person was recognized")
    parser.add_argument("--since", type=start, metavar="TIME", help="a date or a time")
    parser.add_argument("--until", type=end, metavar="TIME")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="a table with a line of names")
    form.add_argument("--json", action="store_true", help="the events themselves, one a line")
    parser.add_argument("--site", help="for --follow; default: that of the configuration")
    parser.add_argument("--device", help="for --follow; default: every device of the site")
    parser.add_argument("--key", type=Path, help="the device's public key (PEM): check signatures")
    strangers = parser.add_argument_group("strangers")
    strangers.add_argument(
        "--cluster", action="store_true", help="with `unknown`: group pictures by likeness"
    )
    strangers.add_argument("--open-with", type=Path, metavar="KEY", help="the administrator's key")
    strangers.add_argument(
        "--out", type=output_named(".png"), metavar="FILE.png", help="their faces, a row a group"
    )
    strangers.add_argument(
        "--site-dir", type=Path, metavar="DIR", help="the fleet's folder: who is in it is known"
    )
    add_broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Show what there is, or what comes until Ctrl-C."""
    if args.cluster:
        from edgeface.cli.unknown_groups import show_groups

        return show_groups(args, _events_in)
    if any(given is not None for given in (args.open_with, args.out, args.site_dir)):
        raise SettingsError("--open-with, --out and --site-dir go with --cluster")
    if args.files == ["unknown"] and not Path("unknown").exists():
        raise SettingsError("unknown goes with --cluster: it groups pictures of strangers")
    if args.follow == bool(args.files):
        raise SettingsError("from where? Name a FILE of recorded events, or say --follow")
    if args.person is not None and not is_person_id(args.person):
        raise SettingsError(f"--person {args.person!r}: no person id such as p_8c1k3v9q2m")
    show = _once(_filtered(args, _shown(args)))
    if args.follow:
        return _follow(args, show)
    wrong = 0
    for name in args.files:
        with _lines(name) as lines:
            wrong += _read(name, lines, show)
    return _NO_EVENT if wrong else 0


def _events_in(names: Iterable[str]) -> list[Event]:
    """Of recorded files; a line that is none is warned of."""
    found: list[Event] = []
    for name in names:
        with _lines(name) as lines:
            _read(name, lines, lambda event, _: found.append(event))
    return found


@contextmanager
def _lines(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        with opened(Path(name)) as file:
            yield file
    except OSError as error:
        raise SettingsError(f"{name}: cannot be read: {error.strerror or error}") from error


def _read(name: str, lines: Iterable[bytes], show: _Show) -> int:
    """Show every event; how many lines are none."""
    wrong = 0
    for number, line in enumerate(lines, 1):
        payload = line.strip()
        if not payload:
            continue
        try:
            event = parse(payload)
        except ContractError as error:
            wrong += 1
            if wrong <= _MOST_TOLD:
                warn(plain(f"{name}:{number}: no event: {error}"))
        else:
            show(event, payload)
    if wrong > _MOST_TOLD:
        warn(plain(f"{name}: {wrong - _MOST_TOLD} more lines are no events"))
    return wrong


def _follow(args: argparse.Namespace, show: _Show) -> int:
    from edgeface.base.ids import check_id
    from edgeface.base.messages import Subscription
    from edgeface.contract.topics import PREFIX, Topics
    from edgeface.mqtt.listener import LinkNews, Listener
    from edgeface.security.keys import VerifyingKey

    place = place_of(args)
    site = args.site or place.site
    if site is None:
        raise SettingsError("--site: which site, or -c FILE that says so")
    if args.key is not None and args.device is None:
        raise SettingsError("--key needs --device: each device has a key of its own")
    with keys_given():
        key = None if args.key is None else VerifyingKey.of_device(args.key)
    everywhere = f"{PREFIX}/{check_id('site', site)}/+/event/log"
    wanted = Subscription(Topics(site, args.device).event_log if args.device else everywhere)
    if key is None:
        warn("signatures are not checked: whoever may publish at the broker can have made these up")
    told = None
    heard: queue.SimpleQueue[Message | LinkNews] = queue.SimpleQueue()
    with Listener(place.options, [wanted], heard.put):
        while True:
            news = heard.get()
            if isinstance(news, LinkNews):
                if news.kind == "ready":
                    print(f"following {wanted.topic_filter}", file=sys.stderr, flush=True)
                elif news != told:  # it is tried again and again
                    warn(plain(f"broker: {news.kind}: {news.reason}; trying again"))
                told = news
                continue
            why = None if key is None else key.reason_against(news)
            try:
                event = parse(news.payload)
            except ContractError as error:
                warn(plain(f"{news.topic}: no event: {error}"))
                continue
            if news.retain or news.topic != Topics(event.site, event.device).event_log:
                why = "it is retained, or of another device than its topic says"
            if why is not None:
                warn(plain(f"{news.topic}: an event is left out: {why}"))
                continue
            show(event, news.payload)


def _once(show: _Show) -> _Show:
    seen: OrderedDict[str, None] = OrderedDict()

    def show_once(event: Event, payload: bytes) -> None:
        if event.event_id in seen:
            return
        seen[event.event_id] = None
        if len(seen) > _REMEMBERED:
            seen.popitem(last=False)
        show(event, payload)

    return show_once


def _filtered(args: argparse.Namespace, show: _Show) -> _Show:
    def show_wanted(event: Event, payload: bytes) -> None:
        at_s = _time(event).timestamp()
        match = None if isinstance(event, Gap) else event.match
        if (
            (args.outcome is None or event.event_type in args.outcome)
            and (args.person is None or (match is not None and match.person_id == args.person))
            and (args.since is None or at_s >= args.since)
            and (args.until is None or at_s < args.until)
        ):
            show(event, payload)

    return show_wanted


def _time(event: Event) -> Any:
    return event.announced_at if isinstance(event, Gap) else event.captured_at


def _row(event: Event) -> dict[str, Any]:
    """By `COLUMNS`; what an event does not have is left out."""
    row: dict[str, Any] = {
        "time": codec.format_time(_time(event)),
        "outcome": event.event_type,
        **{name: getattr(event, name) for name in ("site", "device", "session", "seq", "event_id")},
        "historical": str(event.historical).lower(),
    }
    if not isinstance(event, Gap):
        row["faces_in_view"] = event.faces_in_view
        if event.match is not None:
            names = ("person_id", "display_name", "score", "threshold")
            row |= {name: getattr(event.match, name) for name in names}
        if event.pad.live is not None:
            row["live"] = str(event.pad.live).lower()
    return row


def _shown(args: argparse.Namespace) -> _Show:
    if args.json:
        return lambda _, payload: print(json.dumps(codec.load(payload)), flush=True)
    if not args.csv:
        return lambda event, _: print(_text(event), flush=True)
    table = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    table.writeheader()

    def show(event: Event, _: bytes) -> None:
        row = _row(event)
        name = row.get("display_name")
        if name is not None:
            row["display_name"] = plain(f"'{name}" if name.startswith(_FORMULA) else name)
        table.writerow(row)
        sys.stdout.flush()

    return show


def _text(event: Event) -> str:
    row = _row(event)
    line = f"{row['time']}  {event.site}/{event.device}  {event.event_type:<16}  {event.event_id}"
    if isinstance(event, Gap):
        lost = event.lost.dropped
        return f"{line}  {'an unknown number of' if lost is None else lost} events were lost"
    if event.match is not None:
        name = event.match.display_name
        line += f"  {event.match.person_id}  {event.match.score:.3f}  {name or ''}".rstrip()
    if event.pad.assessed:
        line += f"  {event.pad.told}"
    return plain(line.rstrip())
