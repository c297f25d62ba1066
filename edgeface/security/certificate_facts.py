"""What the certificates in an authority's folder say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from edgeface.base.errors import NamedFileError
from edgeface.base.files import TEXT_FILE_BYTES, read_file
from edgeface.security.roles import User

AUTHORITY: Final = "ca"
BROKER: Final = "broker"
REVOKED: Final = "revoked"
"""Names of files, without their ending, that are no client's."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says."""

    name: str
    """The common name: of a client, the user of the access list."""
    purpose: str
    """`authority`, `broker` or `client`."""
    serial: str
    """Hexadecimal."""
    not_before: datetime
    not_after: datetime
    hosts: tuple[str, ...]
    """Names and addresses the broker may be reached by."""
    sha256: str
    """Of the certificate in DER, hexadecimal."""

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; negative when it has ended."""
        return (self.not_after - now) // timedelta(days=1)


def certificates_in(folder: Path) -> tuple[Path, ...]:
    """The authority's certificate, the broker's and the clients', in this order.

    Raises NamedFileError when there is no authority.
    """
    first = [folder / f"{AUTHORITY}.pem", folder / f"{BROKER}.pem"]
    if not first[0].exists():
        raise NamedFileError(f"{folder}: no authority there; make one with `edgeface certs init`")
    others = (path for path in folder.glob("*.pem") if path.stem != REVOKED and path not in first)
    return (*(path for path in first if path.exists()), *sorted(others))


def users_in(folder: Path) -> tuple[User, ...]:
    """The clients that have a certificate. Raises NamedFileError, ContractError."""
    found = (facts_of(read_certificate(path)) for path in certificates_in(folder))
    return tuple(User.parse(facts.name) for facts in found if facts.purpose == "client")


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises NamedFileError."""
    try:
        return x509.load_pem_x509_certificate(read_file(path, TEXT_FILE_BYTES))
    except OSError as error:
        raise NamedFileError(f"{path}: cannot read the certificate: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NamedFileError(f"{path}: no certificate in PEM form") from error


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority signed this certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def facts_of(certificate: x509.Certificate) -> Facts:
    """What the certificate says."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    extensions = certificate.extensions
    hosts: tuple[str, ...] = ()
    try:
        alternatives = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = tuple(str(item.value) for item in alternatives)
    except x509.ExtensionNotFound:
        pass
    try:
        is_authority = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    return Facts(
        name=str(names[0].value) if names else "",
        purpose="authority" if is_authority else "broker" if hosts else "client",
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        hosts=hosts,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )
