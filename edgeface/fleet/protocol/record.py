"""A record: one person, sealed for the devices and signed by an administrator; and a tombstone.

The order of reading is fixed: size, form, site, topic, key, signature; only then is a record
decrypted and its content looked at.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edgeface.contract.event import PersonId
from edgeface.contract.gallery_report import KeyId, Space
from edgeface.fleet.protocol.framing import (
    VERSION,
    GalleryMessage,
    check_site,
    digest_of,
    start_of,
    unframe,
)
from edgeface.fleet.protocol.keyring import (
    NONCE_BYTES,
    TAG_BYTES,
    KeyRing,
    encryption_key_id,
    signed,
)
from edgeface.fleet.protocol.payload import PADDING_BYTES, Payload, decode_payload, encode_payload
from edgeface.fleet.protocol.terms import Counted, RefusedError, Site, Version
from edgeface.security.keys import SigningKey

MAX_RECORD_BYTES: Final = 16 * 1024
"""Of a record or tombstone on the wire."""
MAX_SPACES: Final = 2


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What the broker can read of a record."""

    type: Literal["record"]
    version: Literal[1]
    site: Site
    person_id: PersonId
    epoch: Counted
    revision: Counted
    """Of the first manifest that lists it."""
    spaces: tuple[Space, ...]
    """One or two, sorted; the payload has templates in exactly these."""
    encryption_key: KeyId
    signing_key: KeyId

    def __post_init__(self) -> None:
        if len(self.spaces) > MAX_SPACES or list(self.spaces) != sorted(set(self.spaces)):
            raise RefusedError("malformed", f"spaces: at most {MAX_SPACES}, sorted, none twice")
        if not self.spaces:
            raise RefusedError("malformed", "a record has templates of at least one space")


@dataclass(frozen=True, slots=True)
class TombstoneHeader:
    """Says that a person is to be forgotten."""

    type: Literal["tombstone"]
    version: Literal[1]
    site: Site
    person_id: PersonId
    epoch: Counted
    revision: Counted
    """Of the first manifest without the person."""
    signing_key: KeyId


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A record whose signature and place have been verified; not yet decrypted."""

    header: RecordHeader
    digest: bytes
    """SHA-256 of the wire bytes, as the bucket lists it."""
    message: GalleryMessage

    @property
    def version(self) -> Version:
        """Where in the gallery's history it belongs."""
        return Version(self.header.epoch, self.header.revision)


OnPersonTopic: TypeAlias = SignedRecord | TombstoneHeader
"""Both verified; a tombstone is no more than its header."""


def encode_record(
    payload: Payload,
    *,
    site: str,
    person_id: str,
    version: Version,
    encryption_key: bytes,
    signer: SigningKey,
    nonce: bytes | None = None,
) -> bytes:
    """The wire bytes of a record.

    `nonce` (12 bytes) is for test vectors only: one used twice under a key gives both contents
    away. Raises ValueError when the payload has no templates, templates of more than two spaces, or
    more than fits.
    """
    spaces = tuple(sorted(space for space, items in payload.templates.items() if items))
    if not 1 <= len(spaces) <= MAX_SPACES:
        raise ValueError(
            f"{person_id}: templates of {len(spaces)} spaces; one or {MAX_SPACES} can be published"
        )
    header = RecordHeader(
        type="record",
        version=VERSION,
        site=site,
        person_id=person_id,
        epoch=version.epoch,
        revision=version.revision,
        spaces=spaces,
        encryption_key=encryption_key_id(encryption_key),
        signing_key=signer.kid,
    )
    start = start_of(header)
    chosen = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
    sealed = AESGCM(encryption_key).encrypt(chosen, encode_payload(payload), start)
    wire = signed(signer, "record", start + chosen + sealed)
    if len(wire) > MAX_RECORD_BYTES:
        raise ValueError(
            f"{person_id}: the record has {len(wire)} bytes, at most {MAX_RECORD_BYTES} fit; "
            "enroll the person with fewer photos"
        )
    return wire


def encode_tombstone(*, site: str, person_id: str, version: Version, signer: SigningKey) -> bytes:
    """The wire bytes of a tombstone."""
    header = TombstoneHeader(
        type="tombstone",
        version=VERSION,
        site=site,
        person_id=person_id,
        epoch=version.epoch,
        revision=version.revision,
        signing_key=signer.kid,
    )
    return signed(signer, "tombstone", start_of(header))


_KINDS: Final[Mapping[str, type]] = {"record": RecordHeader, "tombstone": TombstoneHeader}


def verify_person(wire: bytes, ring: KeyRing, *, site: str, person_id: str) -> OnPersonTopic:
    """What lies on the topic of `person_id`: a record or a tombstone, verified.

    An empty payload is not for this function: it changes nothing. Raises RefusedError: `oversized`,
    `malformed`, `foreign_site`, `wrong_topic`, `unknown_key`, `bad_signature`.
    """
    message = unframe(wire, _KINDS, MAX_RECORD_BYTES, signed=True)
    header: RecordHeader | TombstoneHeader = message.header
    check_site(header.site, site)
    if header.person_id != person_id:
        raise RefusedError("wrong_topic", f"it is of {header.person_id}, not {person_id}")
    ring.check(header.signing_key, header.type, message)
    if isinstance(header, RecordHeader):
        return SignedRecord(header, digest_of(wire), message)
    if message.body:
        raise RefusedError("malformed", "a tombstone has no body")
    return header


def open_record(record: SignedRecord, ring: KeyRing) -> Payload:
    """Decrypt what `verify_person` returned.

    Raises RefusedError: `unknown_key`, `undecryptable`, `malformed`.
    """
    body = record.message.body
    sealed = body[NONCE_BYTES:]
    if len(sealed) < TAG_BYTES or (len(sealed) - TAG_BYTES) % PADDING_BYTES:
        raise RefusedError("malformed", "the ciphertext has not the length of a padded one")
    plain = ring.decrypt(
        record.header.encryption_key, body[:NONCE_BYTES], sealed, record.message.start
    )
    payload = decode_payload(plain)
    if tuple(sorted(payload.templates)) != record.header.spaces:
        raise RefusedError("malformed", "the templates are of other spaces than the header says")
    return payload
