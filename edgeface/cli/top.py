"""Show the devices of a site, or one of them, live: how they are, alerts and decisions.

    edgeface top --site hq --host broker.example
    edgeface top hq/door-1 -c edgeface.yaml
    edgeface top --site hq --once            # one table, of what the broker has retained
    edgeface top hq/door-1 --json            # the same as JSON

Ctrl-C ends it. What a user of the broker may not read stays empty: with the roles of `edgeface
certs acl` an administrator sees all but the decisions. Nobody checks who has said it: it is for
looking at, and no door may open for it. Rates and temperature come with a device's next report,
within half a minute as a rule; --once and --json do not wait for them.

Exit codes: 0 shown, 2 wrong command line or configuration, 3 the package rich is missing, 4 the
broker cannot be reached, or has nothing of such a device.
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import sys
import time
from typing import TYPE_CHECKING, Final

from edgeface.base.errors import NoAnswerError, RuntimeMissingError, SettingsError
from edgeface.cli.broker_options import Place, add_broker_options, place_of
from edgeface.cli.common import add_json
from edgeface.cli.plain import plain_json

if TYPE_CHECKING:  # so that --help needs neither paho nor rich
    from edgeface.base.messages import Message
    from edgeface.mqtt.listener import LinkNews
    from edgeface.mqtt.site_view import SiteView

REDRAWN_S: Final = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface top`."""
    parser.add_argument("device", nargs="?", help="SITE/DEVICE, or DEVICE with -c or --site")
    parser.add_argument("--site", help="all its devices; default: that of the configuration")
    parser.add_argument("--once", action="store_true", help="one table, then end")
    add_json(parser)
    add_broker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Show until Ctrl-C, or once; 0."""
    from edgeface.contract.topics import Topics
    from edgeface.mqtt.site_view import SiteView

    place = place_of(args)
    site, _, device = (args.device or "").rpartition("/")
    site = site or args.site or place.site
    if not site:
        raise SettingsError("which site? Say SITE/DEVICE, --site or -c")
    Topics(site, device or "any")
    view = SiteView(site, device or None)
    if args.json or args.once:
        _fill(view, place, f"{site}/{device}" if device else f"site {site}")
        if args.json:
            print(plain_json(view.to_json()))
        else:
            _draw_once(view)
        return 0
    if not sys.stdout.isatty():
        raise SettingsError(
            "standard output is no terminal: --once prints one table, --json an object"
        )
    with contextlib.suppress(KeyboardInterrupt):
        _follow(view, place)
    return 0


def _fill(view: SiteView, place: Place, what: str) -> None:
    """Take what the broker has retained. Raises BrokerError, and NoAnswerError where that is
    nothing."""
    from edgeface.fleet.admin.broker import Broker

    with Broker(place.options) as broker:
        for message in broker.retained(view.retained_filters).values():
            view.take(message)
    if not any(found.status or found.state for found in view.devices.values()):
        raise NoAnswerError(
            f"{what}: the broker has nothing of it: never there, or not to be read by this user"
        )


def _draw_once(view: SiteView) -> None:
    _need_rich()
    from rich.console import Console

    from edgeface.cli.top_tables import tables

    # A table in a file or a pipe is not cut to the width of a terminal that is not there.
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(tables(view, time.time()))


def _follow(view: SiteView, place: Place) -> None:
    _need_rich()
    from rich.live import Live

    from edgeface.base.messages import Message, Subscription
    from edgeface.cli.top_tables import tables
    from edgeface.mqtt.listener import Listener

    inbox: queue.SimpleQueue[Message | LinkNews] = queue.SimpleQueue()
    where = f"{place.options.host}:{place.options.port}"
    told = f"connecting to {where}"
    wanted = [Subscription(topic) for topic in view.filters]
    with (
        Listener(place.options, wanted, inbox.put),
        Live(tables(view, time.time(), told), screen=True, auto_refresh=False) as live,
    ):
        while True:
            for item in _come(inbox):
                if isinstance(item, Message):
                    view.take(item)
                else:
                    told = where if item.kind == "ready" else f"{where}: {item.kind} {item.reason}"
            live.update(tables(view, time.time(), told), refresh=True)


def _come(inbox: queue.SimpleQueue[Message | LinkNews]) -> list[Message | LinkNews]:
    """What comes within the time of one picture."""
    until_s, found = time.monotonic() + REDRAWN_S, []
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            found.append(inbox.get(timeout=left_s))
        except queue.Empty:
            break
    return found


def _need_rich() -> None:
    try:
        import rich  # noqa: F401
    except ImportError as error:
        raise RuntimeMissingError(
            "tables are drawn by the package rich: pip install 'edgeface[top]', or python3-rich "
            "from Debian; --json does without"
        ) from error
