"""Register, list or remove the devices of a site.

add      make a device's key and a folder with everything that goes on the device
list     every registered device and its key
remove   forget a device: its receipts are no longer waited for (stolen? rekey as well)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeface.base.errors import SettingsError
from edgeface.base.files import locked
from edgeface.fleet.admin.devices import Extras, add_device, registered, remove_device
from edgeface.fleet.admin.ledger import Ledger
from edgeface.fleet.admin.site import SiteFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet device`."""
    actions = parser.add_subparsers(dest="device_action", metavar="ACTION", required=True)
    # Also behind the action, where it must not undo what was given before it.
    site = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    site.add_argument("-s", "--site-dir", type=Path, metavar="DIR", help="the site's folder")
    add = actions.add_parser("add", help="register a device", parents=[site])
    add.add_argument("device", metavar="ID", help="a-z, 0-9 and -")
    add.add_argument(
        "--public-key",
        type=Path,
        metavar="FILE",
        help="the device has made its key itself; this is its public half",
    )
    add.add_argument("--cert", type=Path, help="the device's certificate for the broker (PEM)")
    add.add_argument("--cert-key", type=Path, help="the private key of --cert (PEM)")
    add.add_argument(
        "--state-dir",
        type=Path,
        default=Path("/var/lib/edgeface"),
        help="of the device; default: /var/lib/edgeface",
    )
    actions.add_parser("list", help="list the devices", parents=[site])
    remove = actions.add_parser("remove", help="forget a device", parents=[site])
    remove.add_argument("device", metavar="ID")


def run(args: argparse.Namespace) -> int:
    """Do it; 0."""
    folder = SiteFolder.open(args.site_dir)
    if args.device_action == "list":
        for device, key in registered(folder).items():
            print(f"{device}  key {key.kid}")
        return 0
    with locked(folder.lock_file):
        if args.device_action == "remove":
            remove_device(folder, args.device)
            print(f"{args.device} is forgotten; doors that pin its key have to be told")
            return 0
        if (args.cert is None) != (args.cert_key is None):
            raise SettingsError("--cert and --cert-key belong together")
        extras = Extras(args.public_key, args.cert, args.cert_key, args.state_dir)
        with Ledger(folder.ledger_file) as ledger:
            bundle = add_device(folder, ledger.state(), args.device, extras)
    pinned = folder.devices / f"{args.device}.pub"
    print(f"{bundle}: copy it to the device as README.txt in it says, then delete it")
    print(f"{pinned}: the device's public key, for `edgeface door --key`")
    return 0
