"""A fleet's own certificate authority: a folder of PEM files on an administrator's machine.

`ca.pem` and `ca.key` are the authority, `revoked.pem` its revocation list, `broker.pem` the
broker's certificate, `<role>.<site>.<name>.pem` a client's; each has its key beside it (`.key`,
mode 0600). `replaced/` keeps certificates that were renewed, to be revoked later. Keys are ECDSA on
P-256, which every TLS library knows. Profiles follow RFC 5280; a client's certificate cannot be
used by a server and the other way round.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgeface.base.errors import BadIdError, NamedFileError, StateError
from edgeface.base.files import (
    PRIVATE,
    PUBLIC,
    TEXT_FILE_BYTES,
    own_folder,
    read_file,
    write_file,
)
from edgeface.security.certificate_facts import (
    AUTHORITY,
    BROKER,
    REVOKED,
    facts_of,
    read_certificate,
)
from edgeface.security.pem import private_pem
from edgeface.security.roles import MAX_COMMON_NAME, User
from edgeface.security.tls import read_secret

AUTHORITY_DAYS: Final = 3650
LEAF_DAYS: Final = 730
REPLACED: Final = "replaced"

_BACKDATED: Final = timedelta(days=1)
"""For machines whose clock is behind; it does not help one that believes in 1970."""
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.IGNORECASE)


class Authority:
    """An authority that can sign. `open` and `create` make one."""

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self.folder: Final = folder
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(
        cls, folder: Path, *, days: int = AUTHORITY_DAYS, passphrase: str | None = None
    ) -> Authority:
        """Make the folder (mode 0700), the authority and its empty revocation list.

        Raises StateError when there is one already or the folder cannot be written to.
        """
        own_folder(folder)
        _refuse_existing(folder / f"{AUTHORITY}.pem", folder / f"{AUTHORITY}.key")
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        name = _subject(f"edgeface CA {now:%Y-%m-%d} {secrets.token_hex(2)}")
        builder = _builder(name, name, key.public_key(), now, days, authority=True)
        certificate = builder.sign(key, hashes.SHA256())
        authority = cls(folder, certificate, key)
        content = private_pem(key, None if passphrase is None else passphrase.encode())
        write_file(folder / f"{AUTHORITY}.key", content, PRIVATE)
        write_file(folder / f"{AUTHORITY}.pem", _pem(certificate), PUBLIC)
        authority._write_revoked([])
        return authority

    @classmethod
    def open(cls, folder: Path, *, passphrase: str | None = None) -> Authority:
        """Read the authority. Raises StateError naming the file that cannot be used."""
        path = folder / f"{AUTHORITY}.key"
        if not path.exists():
            raise NamedFileError(
                f"{folder}: no authority there; make one with `edgeface certs init`"
            )
        content = read_secret(path, "authority's key").encode()
        try:
            given = None if passphrase is None else passphrase.encode()
            key = serialization.load_pem_private_key(content, given)
        except TypeError as error:
            wanted = "is not" if passphrase else "is"
            way = "leave out" if passphrase else "give"
            raise NamedFileError(
                f"{path}: the key {wanted} protected by a passphrase: {way} --passphrase-file"
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise NamedFileError(f"{path}: wrong passphrase, or no key in PEM form") from error
        certificate = read_certificate(folder / f"{AUTHORITY}.pem")
        if (
            not isinstance(key, ec.EllipticCurvePrivateKey)
            or key.public_key() != certificate.public_key()
        ):
            raise StateError(f"{path}: the key does not belong to {AUTHORITY}.pem")
        return cls(folder, certificate, key)

    def issue_client(self, user: User, *, days: int = LEAF_DAYS) -> Path:
        """Make key and certificate of a device, door, log, administrator or Home Assistant.

        Returns the certificate's path. Raises StateError when there is one, BadIdError when the
        user's name does not fit into a certificate.
        """
        if len(str(user)) > MAX_COMMON_NAME:
            raise BadIdError(
                f"{user}: a certificate takes {MAX_COMMON_NAME} characters; choose shorter ids, or "
                "a user and password for this client",
            )
        return self._issue(str(user), (), days, replace=False)

    def issue_broker(self, hosts: Sequence[str], *, days: int = LEAF_DAYS) -> Path:
        """Make key and certificate of the broker, valid for these names and addresses.

        Returns the certificate's path. Raises StateError when there is one or a host cannot be.
        """
        if not hosts:
            raise StateError("a broker's certificate needs the names that clients call it by")
        return self._issue(BROKER, tuple(hosts), days, replace=False)

    def renew(self, name: str, *, days: int = LEAF_DAYS) -> Path:
        """A new key and certificate in place of those of `name`. The old certificate goes to
        `replaced/` and stays good until it ends or is revoked. Raises StateError."""
        facts = facts_of(self._held(name))
        return self._issue(name, facts.hosts, days, replace=True)

    def revoke(self, name: str, *, replaced_only: bool = False) -> int:
        """Put the certificates of `name`, old ones included, on the revocation list; how many were
        not on it yet. Those of `replaced_only` leave the newest alone; else its files are moved
        away, so that the name can be issued anew. Raises StateError."""
        old = sorted((self.folder / REPLACED).glob(f"{name}-*.pem"))
        paths = [path for path in old if facts_of(read_certificate(path)).name == name]
        current = self.folder / f"{name}.pem"
        if not replaced_only and (current.exists() or not paths):
            paths.append(self._set_aside(name))
        listed = list(self._revocations())
        known = {item.serial_number for item in listed}
        now = datetime.now(UTC)
        fresh = {read_certificate(path).serial_number for path in paths} - known
        for serial in sorted(fresh):
            builder = x509.RevokedCertificateBuilder().serial_number(serial)
            listed.append(builder.revocation_date(now).build())
        self._write_revoked(listed)
        if not replaced_only:
            current.unlink(missing_ok=True)
            current.with_suffix(".key").unlink(missing_ok=True)
        return len(fresh)

    def _held(self, name: str) -> x509.Certificate:
        path = self.folder / f"{name}.pem"
        if name in (AUTHORITY, REVOKED) or "/" in name or not path.exists():
            raise NamedFileError(f"{self.folder}: no certificate of {name!r} there")
        return read_certificate(path)

    def _issue(self, name: str, hosts: tuple[str, ...], days: int, *, replace: bool) -> Path:
        path, key_path = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        if not replace:
            _refuse_existing(path, key_path)
        now = datetime.now(UTC)
        end = self._certificate.not_valid_after_utc
        if now + timedelta(days=days) > end:
            left = (end - now) // timedelta(days=1)
            raise StateError(
                f"{self.folder}: the authority itself ends on {end:%Y-%m-%d}, in {left} days; "
                "give fewer days, or make a new authority"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        use = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        issuer, public = self._certificate.subject, key.public_key()
        builder = (
            _builder(_subject(name), issuer, public, now, days, authority=False)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(self._issuer_id(), critical=False)
        )
        if hosts:
            alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        if replace:
            self._set_aside(name)
        write_file(key_path, private_pem(key), PRIVATE, replace=replace)
        write_file(path, _pem(certificate), PUBLIC, replace=replace)
        return path

    def _set_aside(self, name: str) -> Path:
        certificate = self._held(name)
        path = self.folder / REPLACED / f"{name}-{certificate.serial_number:x}.pem"
        write_file(path, _pem(certificate), PUBLIC, replace=True)
        return path

    def _issuer_id(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _revocations(self) -> Iterable[x509.RevokedCertificate]:
        path = self.folder / f"{REVOKED}.pem"
        try:
            found = x509.load_pem_x509_crl(read_file(path, TEXT_FILE_BYTES))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StateError(
                f"{path}: cannot read the revocation list: {error.strerror}"
            ) from error
        except ValueError as error:
            raise StateError(f"{path}: no revocation list in PEM form: {error}") from error
        if not found.is_signature_valid(self._key.public_key()):
            raise StateError(f"{path}: not signed by this authority")
        return found

    def _write_revoked(self, items: Iterable[x509.RevokedCertificate]) -> None:
        """A list that holds until the authority ends: brokers take nobody under an expired one."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(max(now - _BACKDATED, self._certificate.not_valid_before_utc))
            .next_update(self._certificate.not_valid_after_utc)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
            .add_extension(self._issuer_id(), critical=False)
        )
        for item in items:
            builder = builder.add_revoked_certificate(item)
        content = builder.sign(self._key, hashes.SHA256())
        pem = content.public_bytes(serialization.Encoding.PEM)
        write_file(self.folder / f"{REVOKED}.pem", pem, PUBLIC, replace=True)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
    *,
    authority: bool,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    basic = x509.BasicConstraints(ca=authority, path_length=0 if authority else None)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(basic, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if _HOST.fullmatch(host) is None:
        raise StateError(f"host {host!r}: neither a DNS name nor an address")
    return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise StateError(f"{path}: is there already, and nothing is overwritten")
