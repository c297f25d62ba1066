"""Replace all keys of the site: the administrator's, the freshness and the encryption key.

    1. --prepare    makes the new keys and adds them to every device's bundle; the old ones go on
    2.              copy bundles/ID/state/fleet to every device; `systemctl reload edgeface` there
    3. (no option)  publishes everybody anew under the new keys, with a higher epoch
    4. --drop-old   deletes the old keys here and in the bundles; copy these and reload again

After a device was stolen: `edgeface fleet device remove ID` comes first. It could decrypt the
gallery as it was, but sign nothing; what is published after step 3 it cannot read.
"""

from __future__ import annotations

import argparse

from edgeface.base.counting import counted, people
from edgeface.base.errors import GalleryError
from edgeface.cli.fleet_publish import show_published
from edgeface.cli.fleet_site import add_passphrase, open_master, passphrase, warn_of_clock
from edgeface.cli.plain import warn
from edgeface.fleet.admin.administration import Fleet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet rekey`."""
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--prepare", action="store_true", help="make the new keys")
    step.add_argument("--drop-old", action="store_true", help="delete the old keys")
    step.add_argument("--dry-run", action="store_true", help="say what would be sent")
    add_passphrase(parser)


def run(args: argparse.Namespace) -> int:
    """Return 0; BrokerError or GalleryError when it could not be done to its end."""
    with open_master(args) as master:
        fleet = Fleet(master)
        if args.prepare:
            keys = fleet.prepare_rekey(passphrase(args.passphrase_file, new=True))
            print(f"new administrator's key {keys.signing}")
            print(
                "copy bundles/ID/state/fleet to every device and reload it (`systemctl reload "
                "edgeface`), then run `edgeface fleet rekey`"
            )
        elif args.drop_old:
            old = fleet.drop_old_keys()
            print(f"administrator's key {old.signing} and what belongs to it are deleted")
            print("copy bundles/ID/state/fleet to every device again and reload it")
        elif args.dry_run:
            fleet.rehearse()
            if master.ledger.state().next_keys is None:
                raise GalleryError("no new keys are prepared: `edgeface fleet rekey --prepare`")
            _warn_of_unprepared(fleet)
            there = people(len(master.store.ids()))
            gone = counted(len(master.ledger.tombstones()), "tombstone")
            print(f"would publish {there} and {gone} under the new keys")
        else:
            _warn_of_unprepared(fleet)
            warn_of_clock()
            show_published(fleet.rekey(passphrase(args.passphrase_file)))
    return 0


def _warn_of_unprepared(fleet: Fleet) -> None:
    for device in fleet.unprepared():
        warn(
            f"{device} has not confirmed the prepared keys: under them it cannot follow until "
            f"bundles/{device}/state/fleet is copied there and it is reloaded"
        )
