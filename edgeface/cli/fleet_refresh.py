"""Tell the devices that the published gallery is current; run it from a timer.

It needs the freshness key, which can sign nothing else, and no passphrase. Without it the devices
stop recognizing when the last freshness and their grace time are over: that bounds for how long
somebody who controls the broker can withhold an erasure. It also finishes an interrupted publish,
and clears the topics of removed people when all devices have confirmed.
"""

from __future__ import annotations

import argparse
import time

from edgeface.cli.dates import show
from edgeface.cli.fleet_publish import show_published
from edgeface.cli.fleet_site import open_master, warn_of_clock
from edgeface.cli.plain import warn
from edgeface.fleet.admin.administration import Fleet
from edgeface.fleet.admin.site import DAY_S

WARN_DAYS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet refresh`."""
    parser.add_argument("--dry-run", action="store_true", help="only look whether it could be sent")


def run(args: argparse.Namespace) -> int:
    """Return 0; BrokerError or GalleryError when it was not sent."""
    with open_master(args) as master:
        fleet = Fleet(master)
        expires_s = fleet.manifest_expires_s()
        if args.dry_run:
            fleet.rehearse()
            hours = master.folder.settings.freshness_hours
            print(f"would send freshness for {hours} hours")
        else:
            warn_of_clock()
            show_published(fleet.refresh())
    if expires_s is not None and expires_s - time.time() < WARN_DAYS * DAY_S:
        warn(f"the manifest expires on {show(expires_s)}; run `edgeface fleet publish` before")
    return 0
