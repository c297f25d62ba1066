"""`edgeface certs`: a fleet's own certificates for TLS between its clients and its broker.

Makes an authority in a folder of this machine, and certificates that it signs: of the broker, and
of devices, doors, logs, administrators and Home Assistant, whose names are the users of the
broker's access list. The keys here open no door: events are signed with the devices' own keys.
Keep the folder on an administrator's machine, not on the broker. docs/security.md says which file
goes where.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edgeface.security.certificate_facts import (
    AUTHORITY,
    certificates_in,
    facts_of,
    is_issued_by,
    read_certificate,
    users_in,
)
from edgeface.security.certificates import AUTHORITY_DAYS, LEAF_DAYS, Authority
from edgeface.security.roles import User, acl_file
from edgeface.security.tls import read_password

_DEFAULT_FOLDER: Final = Path("certs")
_SOON_DAYS: Final = 45
_MAX_DAYS: Final = 36_500
_CLIENTS: Final = {
    "device": ("DEVICE", "a device"),
    "door": ("NAME", "a door controller"),
    "log": ("NAME", "an access log"),
    "admin": ("NAME", "an administrator"),
    "homeassistant": ("NAME", "Home Assistant"),
}


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= _MAX_DAYS:
        raise ValueError(text)
    return days


_days.__name__ = "number of days"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of the verb."""
    verbs = parser.add_subparsers(dest="certs_verb", required=True, metavar="VERB")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--dir",
        type=Path,
        default=_DEFAULT_FOLDER,
        help="the folder of the authority (default: ./certs)",
    )
    signing = argparse.ArgumentParser(add_help=False)
    signing.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="protects the authority's key: the file's first line (mode 0600)",
    )
    lasting = argparse.ArgumentParser(add_help=False)
    lasting.add_argument(
        "--days", type=_days, help="how long it is good (default: 730; an authority: 3650)"
    )

    def verb(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=text, parents=[common, *parents])

    parser.set_defaults(run=_sign)
    verb("init", "make the authority", signing, lasting).set_defaults(run=_init)
    sub = verb("broker", "make the broker's key and certificate", signing, lasting)
    sub.add_argument("hosts", nargs="+", metavar="HOST", help="a DNS name or address of the broker")
    for role, (metavar, who) in _CLIENTS.items():
        sub = verb(role, f"make key and certificate of {who}", signing, lasting)
        sub.add_argument("site", metavar="SITE")
        sub.add_argument("name", metavar=metavar)
    sub = verb("renew", "make a new key and certificate in place of the old", signing, lasting)
    sub.add_argument("name", metavar="NAME", help="'broker', or as 'show' lists it")
    sub = verb("revoke", "put a client's certificates on the revocation list", signing)
    sub.add_argument("name", metavar="NAME", help="as 'show' lists it")
    sub.add_argument("--replaced", action="store_true", help="only those that were renewed")
    sub = verb("show", "what certificates there are and how long they are good")
    sub.set_defaults(run=_show)
    sub.add_argument("file", nargs="?", type=Path, help="one certificate in PEM (default: all)")
    sub = verb("acl", "print mosquitto's access list of all clients that have a certificate")
    sub.set_defaults(run=_acl)
    sub.add_argument(
        "--user",
        action="append",
        default=[],
        metavar="ROLE.SITE.NAME",
        help="one more that has none, with a password; alone, no folder is needed",
    )


def _init(args: argparse.Namespace) -> int:
    days = args.days or AUTHORITY_DAYS
    Authority.create(args.dir, days=days, passphrase=_passphrase(args))
    print(f"{args.dir}/ca.key       stays here; who has it can be any client of the broker")
    print(f"{args.dir}/ca.pem       for the broker (cafile) and every client (mqtt.ca_file)")
    print(f"{args.dir}/revoked.pem  for the broker (crlfile)")
    return 0


def _sign(args: argparse.Namespace) -> int:
    from edgeface.security.certificates import Authority

    authority = Authority.open(args.dir, passphrase=_passphrase(args))
    verb = args.certs_verb
    if verb == "revoke":
        count = authority.revoke(args.name, replaced_only=args.replaced)
        print(f"{count} certificates of {args.name} revoked")
        print(
            f"{args.dir}/revoked.pem  put it on the broker and restart the broker; a reload would"
        )
        print("leave a connection that stands")
        return 0
    days = args.days or LEAF_DAYS
    if verb == "broker":
        path = authority.issue_broker(args.hosts, days=days)
    elif verb == "renew":
        path = authority.renew(args.name, days=days)
    else:
        path = authority.issue_client(User(verb, args.site, args.name), days=days)
    print(f"{path}")
    print(f"{path.with_suffix('.key')}  (secret)")
    if verb not in ("broker", "renew"):
        print("then put the output of `edgeface certs acl` on the broker and reload it")
    return 0


def _acl(args: argparse.Namespace) -> int:
    users = [User.parse(text) for text in args.user]
    if not users or (args.dir / f"{AUTHORITY}.pem").exists():
        users += users_in(args.dir)
    print(acl_file(users), end="")
    return 0


def _show(args: argparse.Namespace) -> int:
    one: Path | None = args.file
    paths = certificates_in(args.dir) if one is None else (one,)
    authority = read_certificate(paths[0]) if one is None else None
    now = datetime.now(UTC)
    status = 0
    for path in paths:
        certificate = read_certificate(path)
        facts = facts_of(certificate)
        left = facts.days_left(now)
        marks = [f"{left} days left" if left >= 0 else "EXPIRED"]
        if 0 <= left < _SOON_DAYS:
            marks.append("RENEW SOON")
        if now < facts.not_before:
            marks.append("NOT YET VALID")
        if authority is not None and not is_issued_by(certificate, authority):
            marks.append("OF ANOTHER AUTHORITY")
        status |= len(marks) > 1 or left < 0
        hosts = f"  for {', '.join(facts.hosts)}" if facts.hosts else ""
        print(
            f"{facts.name:<32} {facts.purpose:<9}  until {facts.not_after:%Y-%m-%d}, "
            f"{', '.join(marks)}{hosts}"
        )
        if one is not None:
            print(f"serial {facts.serial}\nsha256 {facts.sha256}")
            print(f"from {facts.not_before.isoformat()} to {facts.not_after.isoformat()}")
    return status


def _passphrase(args: argparse.Namespace) -> str | None:
    path: Path | None = args.passphrase_file
    if path is None:
        return None
    return read_password(path, "passphrase")
