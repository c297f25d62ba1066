"""Bring the devices up to date: send what has changed, then a manifest that says what holds now.

Sends nothing when the manifest on the broker is not the one published last from this folder. When
it is interrupted, the next publish finishes it.
"""

from __future__ import annotations

import argparse

from edgeface.base.counting import counted
from edgeface.cli.fleet_diff import show_draft
from edgeface.cli.fleet_site import add_passphrase, open_master, passphrase, warn_of_clock
from edgeface.fleet.admin.administration import Fleet
from edgeface.fleet.admin.publishing import Published

_ONE = {"records": "record", "buckets": "bucket"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet publish`."""
    parser.add_argument(
        "--dry-run", action="store_true", help="ask the broker, show what would be sent, send none"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="send every record again, for a broker that lost its retained messages",
    )
    add_passphrase(parser)


def run(args: argparse.Namespace) -> int:
    """Return 0; BrokerError or GalleryError when it could not be done to its end."""
    with open_master(args) as master:
        fleet = Fleet(master)
        if args.dry_run:
            show_draft(fleet.rehearse(everything=args.all))
            waiting = len(master.ledger.outgoing())
            if waiting:
                messages = counted(waiting, "message")
                print(f"{messages} of an interrupted publish would be sent first")
            return 0
        ask = passphrase(args.passphrase_file)
        if args.passphrase_file is not None:
            fleet.check_passphrase(ask())  # also where nothing is to be signed today
        warn_of_clock()
        left_out = master.draft().without_templates
        show_published(fleet.publish(ask, everything=args.all))
    for person_id in left_out:
        print(f"left out {person_id}: has no templates")
    return 0


def show_published(done: Published) -> None:
    """What was sent."""
    if done.finished:
        print("finished an interrupted publish")
    for person_id in done.cleared:
        print(f"{person_id}: erasure is confirmed or its time is over; the topic is cleared")
    kinds = ", ".join(
        f"{count} {_ONE.get(name, name) if count == 1 else name}"
        for name, count in done.messages.items()
    )
    print(f"sent {kinds or 'nothing'}; {done.payload_bytes} bytes")
    print(f"the broker has revision {done.version}")
