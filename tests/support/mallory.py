"""What somebody can do who owns the broker, and what must have come of it."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeface.base.messages import Message
from edgeface.fleet.protocol.manifest import Manifest, encode_manifest
from edgeface.fleet.protocol.payload import Payload
from edgeface.fleet.protocol.terms import GalleryTopics, Version
from edgeface.security.keys import SigningKey
from tests.support.fleet_device import DAY_S, PEOPLE, FleetDevice, ids
from tests.support.gallery import SPACE, direction, stored

TOPICS = GalleryTopics("hq")
MALLORY = SigningKey.generate()
"""A key that nobody has pinned."""
PAYLOAD = Payload({SPACE: (stored(direction(666)),)}, display_name="Mallory")


def fleet_key(device: FleetDevice) -> bytes:
    """What a stolen device gives away: it opens every record."""
    (path,) = (device.path / "fleet").glob("encryption-*.key")
    return bytes.fromhex(path.read_text().strip())


def current(device: FleetDevice) -> Manifest:
    manifest = device.replica.trusted.manifest
    assert manifest is not None
    return manifest


def insert(device: FleetDevice, topic: str, payload: bytes) -> None:
    """As the broker's owner: retained, and to everybody now."""
    device.broker.put(Message(topic, payload, 1, retain=True))
    device.settle(8)


def unharmed(device: FleetDevice, *numbers: int) -> bool:
    """The same people as before, now, after a restart, and after reading it all again."""
    wanted = ids(*(numbers or PEOPLE))
    seen = [device.people()]
    device.crash()
    seen.append(device.people())
    device.connect()
    device.settle(8)
    seen.append(device.people())
    assert float((device.replica.index.matrix @ direction(666)).max()) < 0.9
    return seen == [wanted] * 3


class Impostor(SigningKey):
    """Signs with a key of its own under the id of another."""

    def __init__(self, kid: str) -> None:
        super().__init__(Ed25519PrivateKey.generate())
        self._kid = kid

    @property
    def kid(self) -> str:
        return self._kid


def forged_manifest(
    device: FleetDevice, version: Version, buckets: list[bytes] | None, signer: SigningKey
) -> bytes:
    known = current(device)
    now_s = int(device.times.utc_s)
    return encode_manifest(
        site="hq",
        version=version,
        issued_s=now_s,
        expires_s=now_s + DAY_S,
        count=1,
        spaces={SPACE: 1},
        buckets=known.buckets if buckets is None else buckets,
        freshness_key=known.freshness_key,
        signer=signer,
    )
