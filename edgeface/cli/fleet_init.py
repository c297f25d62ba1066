"""Make a site: the administrator's key (under a passphrase), the freshness key, the key under
which templates are sealed, settings (site.yaml) and an empty gallery.

Keep a copy of the folder in a safe place: without it nobody can change the gallery any more.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edgeface.base.ids import check_id
from edgeface.cli.fleet_site import add_passphrase, passphrase
from edgeface.fleet.admin.master import make_site
from edgeface.fleet.admin.site import SITE_FILE

SETTINGS = """\
# The administrator's settings of one site. mqtt, models, detection, quality and decision
# hold and mean what they do on a device.
site: {site}

#tombstone_days: 30     # a removed person's tombstone is cleared after so long at the latest
#freshness_hours: 24    # `edgeface fleet refresh` has to run more often, best twice
#grace_days: 7          # how long the devices go on without freshness (set there, told here)
#manifest_days: 365     # publish at least once in this time

mqtt:
  host: {host}
{mqtt}
# As on the devices: templates of another model cannot be compared.
#models:
#  detector: face_detector
#  embedder: facenet
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet init`."""
    parser.add_argument("site", help="the site's name in topics: a-z, 0-9 and -")
    parser.add_argument("--host", default="localhost", help="the broker (default: localhost)")
    parser.add_argument("--port", type=int, help="default: 8883 with TLS, 1883 without")
    parser.add_argument("--tls", choices=("auto", "required", "off"), default="auto")
    parser.add_argument("--ca", metavar="FILE", help="authorities of the broker's certificate")
    parser.add_argument("--cert", metavar="FILE", help="the administrator's certificate (PEM)")
    parser.add_argument("--cert-key", metavar="FILE", help="its private key (PEM)")
    parser.add_argument("--username", help="at the broker")
    parser.add_argument("--password-file", metavar="FILE", help="for the broker")
    add_passphrase(parser)


def run(args: argparse.Namespace) -> int:
    """Make it; 0."""
    check_id("site", args.site)
    found = {
        "port": args.port,
        "tls": None if args.tls == "auto" else args.tls,
        "ca_file": args.ca and str(Path(args.ca).absolute()),
        "cert_file": args.cert and str(Path(args.cert).absolute()),
        "key_file": args.cert_key and str(Path(args.cert_key).absolute()),
        "username": args.username,
        "password_file": args.password_file and str(Path(args.password_file).absolute()),
    }
    lines = [
        f"  {name}: {json.dumps(value)}\n" for name, value in found.items() if value is not None
    ]
    text = SETTINGS.format(
        site=json.dumps(args.site), host=json.dumps(args.host), mqtt="".join(lines)
    )
    ask = passphrase(args.passphrase_file, new=True)
    folder, keys = make_site(args.site_dir, text.encode(), ask())
    print(f"site {folder.site} in {folder.path.absolute()}")
    print(f"administrator's key {keys.signing}, settings in {folder.path / SITE_FILE}")
    print("next: edgeface fleet device add ID, edgeface fleet enroll, edgeface fleet publish")
    return 0
