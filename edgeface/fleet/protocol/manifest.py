"""The manifest: what the whole gallery is at one revision, signed by an administrator; and its
freshness: a short-lived word, of a key that can say nothing else, that it is current.

The body has 256 SHA-256 digests, of the buckets 00 to ff; 32 zero bytes stand for a bucket in which
nobody is (its topic is not read).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from edgeface.contract.codec import matching
from edgeface.contract.gallery_report import SPACE_PATTERN, Amount, KeyId, Sha256
from edgeface.fleet.protocol.bucket import BUCKETS
from edgeface.fleet.protocol.framing import VERSION, check_site, digest_of, start_of, unframe
from edgeface.fleet.protocol.keyring import KeyRing, check_signed, signed
from edgeface.fleet.protocol.terms import Counted, Moment, RefusedError, Site, Version
from edgeface.security.keys import SigningKey, VerifyingKey

MAX_MANIFEST_BYTES: Final = 16 * 1024
MAX_SPACES: Final = 8
DIGEST_BYTES: Final = 32
NOBODY: Final = bytes(DIGEST_BYTES)
"""Stands for an empty bucket."""

AHEAD_S: Final = 86_400.0
"""How far two clocks may differ that are both synchronized, and more."""

_SPACE: Final = re.compile(SPACE_PATTERN)


@dataclass(frozen=True, slots=True)
class ManifestHeader:
    """The readable part."""

    type: Literal["manifest"]
    version: Literal[1]
    site: Site
    epoch: Counted
    revision: Counted
    issued: Moment
    expires: Moment
    count: Amount
    """People in all buckets."""
    spaces: Mapping[str, Amount]
    """Space id -> how many people have templates in it."""
    freshness_key: Annotated[str, matching("[A-Za-z0-9+/]{43}=", 44)]
    """The raw public key that may sign freshness for this manifest, in base64."""
    signing_key: KeyId

    def __post_init__(self) -> None:
        if len(self.spaces) > MAX_SPACES or not all(map(_SPACE.fullmatch, self.spaces)):
            raise RefusedError("malformed", f"spaces: at most {MAX_SPACES} space ids")
        if not self.issued < self.expires:
            raise RefusedError("malformed", "it expires before it was issued")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest whose signature has been verified."""

    header: ManifestHeader
    buckets: tuple[bytes, ...]
    """256 digests; `NOBODY` where nobody is."""
    digest: bytes
    """SHA-256 of the wire bytes: what devices report as the gallery's digest."""
    freshness_key: VerifyingKey

    @property
    def version(self) -> Version:
        """Epoch and revision."""
        return Version(self.header.epoch, self.header.revision)

    @property
    def signing_key(self) -> str:
        """Id of the administrator's key that signed it."""
        return self.header.signing_key


def encode_manifest(
    *,
    site: str,
    version: Version,
    issued_s: int,
    expires_s: int,
    count: int,
    spaces: Mapping[str, int],
    buckets: Sequence[bytes],
    freshness_key: VerifyingKey,
    signer: SigningKey,
) -> bytes:
    """The wire bytes. `buckets` are 256 digests. Raises ValueError or RefusedError for what no
    reader would take."""
    if len(buckets) != BUCKETS or any(len(digest) != DIGEST_BYTES for digest in buckets):
        raise ValueError(f"a manifest lists {BUCKETS} digests of {DIGEST_BYTES} bytes")
    header = ManifestHeader(
        type="manifest",
        version=VERSION,
        site=site,
        epoch=version.epoch,
        revision=version.revision,
        issued=issued_s,
        expires=expires_s,
        count=count,
        spaces=dict(sorted(spaces.items())),
        freshness_key=base64.b64encode(freshness_key.raw).decode("ascii"),
        signing_key=signer.kid,
    )
    return signed(signer, "manifest", start_of(header) + b"".join(buckets))


def read_manifest(wire: bytes, ring: KeyRing, *, site: str) -> Manifest:
    """A verified manifest; whether it may follow is for `Floor.admit`, and its time for
    `check_not_expired`.

    Raises RefusedError: `oversized`, `malformed`, `foreign_site`, `unknown_key`, `bad_signature`.
    """
    message = unframe(wire, {"manifest": ManifestHeader}, MAX_MANIFEST_BYTES, signed=True)
    header: ManifestHeader = message.header
    check_site(header.site, site)
    ring.check(header.signing_key, "manifest", message)
    if len(message.body) != BUCKETS * DIGEST_BYTES:
        raise RefusedError("malformed", f"the body has {len(message.body)} bytes")
    try:
        freshness_key = VerifyingKey(base64.b64decode(header.freshness_key))
    except ValueError as error:
        raise RefusedError("malformed", f"freshness_key: {error}") from error
    buckets = tuple(
        message.body[at : at + DIGEST_BYTES] for at in range(0, len(message.body), DIGEST_BYTES)
    )
    return Manifest(header, buckets, digest_of(wire), freshness_key)


def check_not_expired(what: str, version: Version, expires_s: int, now_s: float) -> None:
    """Raise RefusedError `expired` when `now_s` (effective time) is not before `expires_s`; both
    are UTC epoch seconds."""
    if now_s >= expires_s:
        raise RefusedError("expired", f"{what} {version} expired {now_s - expires_s:.0f} s ago")


def check_not_ahead(what: str, version: Version, issued_s: float, synced_s: float | None) -> None:
    """Raise RefusedError `ahead` when it was issued more than a day beyond a synchronized clock:
    the administrator's was wrong. Without one (None) nobody can tell."""
    if synced_s is not None and issued_s > synced_s + AHEAD_S:
        days = (issued_s - synced_s) / 86400
        raise RefusedError("ahead", f"{what} {version} is issued {days:.0f} days from now")


MAX_FRESHNESS_BYTES: Final = 2048
MAX_LIFE_S: Final = 31 * 86400
"""From `issued` to `expires`."""


@dataclass(frozen=True, slots=True)
class FreshnessHeader:
    """All of a freshness message."""

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
