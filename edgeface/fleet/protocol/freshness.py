"""Freshness: a short-lived word, of a key that can say nothing else, that a manifest is current."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from edgeface.contract.gallery_report import Sha256
from edgeface.fleet.protocol.framing import VERSION, check_site, start_of, unframe
from edgeface.fleet.protocol.keyring import check_signed, signed
from edgeface.fleet.protocol.manifest import Manifest
from edgeface.fleet.protocol.terms import Counted, KeyId, Moment, RefusedError, Site, Version
from edgeface.security.keys import SigningKey

MAX_FRESHNESS_BYTES: Final = 2048
MAX_LIFE_S: Final = 31 * 86400
"""From `issued` to `expires`."""


@dataclass(frozen=True, slots=True)
class FreshnessHeader:
    """All of it."""

    type: Literal["freshness"]
    version: Literal[1]
    site: Site
    epoch: Counted
    revision: Counted
    manifest: Sha256
    """SHA-256 of the manifest's wire bytes."""
    issued: Moment
    expires: Moment
    signing_key: KeyId
    """The manifest's freshness key."""

    def __post_init__(self) -> None:
        if not 0 < self.expires - self.issued <= MAX_LIFE_S:
            raise RefusedError("malformed", "it lives for more than 31 days, or not at all")


def encode_freshness(
    manifest: Manifest, *, issued_s: int, expires_s: int, signer: SigningKey
) -> bytes:
    """The wire bytes for a manifest. Raises RefusedError for a life that no reader would take."""
    header = FreshnessHeader(
        type="freshness",
        version=VERSION,
        site=manifest.header.site,
        epoch=manifest.version.epoch,
        revision=manifest.version.revision,
        manifest=manifest.digest.hex(),
        issued=issued_s,
        expires=expires_s,
        signing_key=signer.kid,
    )
    return signed(signer, "freshness", start_of(header))


def read_freshness(wire: bytes, manifest: Manifest) -> int | None:
    """Until when (UTC epoch seconds, never after its own end) exactly this verified manifest is
    current; None when the freshness is for a newer one, which has to arrive first (nothing is
    verified then). Whether that is over is for `check_not_expired`.

    Raises RefusedError: `oversized`, `malformed`, `foreign_site`, `rollback` (for an older one),
    `unknown_key`, `bad_signature`, `equivocation` (same number, another manifest).
    """
    message = unframe(wire, {"freshness": FreshnessHeader}, MAX_FRESHNESS_BYTES, signed=True)
    header: FreshnessHeader = message.header
    check_site(header.site, manifest.header.site)
    version = Version(header.epoch, header.revision)
    if version > manifest.version:
        return None
    if version < manifest.version:
        raise RefusedError("rollback", f"freshness of {version}, but {manifest.version} is known")
    if header.signing_key != manifest.freshness_key.kid:
        raise RefusedError("unknown_key", f"key {header.signing_key} does not sign freshness here")
    check_signed(manifest.freshness_key, "freshness", message)
    if message.body:
        raise RefusedError("malformed", "freshness has no body")
    if header.manifest != manifest.digest.hex():
        raise RefusedError("equivocation", f"freshness of another manifest {version}")
    return min(header.expires, manifest.header.expires)
