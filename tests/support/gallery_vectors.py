"""The test vectors of docs/gallery-protocol.md, made from fixed keys, times and nonces.

`python -m tests.support.gallery_vectors` writes docs/vectors/gallery anew; the tests compare.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeface.fleet.protocol.bucket import BUCKETS, Entry, bucket_number, encode_bucket
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.keyring import KeyRing, encryption_key_id, signed
from edgeface.fleet.protocol.manifest import (
    NOBODY,
    encode_freshness,
    encode_manifest,
    read_manifest,
)
from edgeface.fleet.protocol.payload import Payload, encode_payload
from edgeface.fleet.protocol.record import encode_record, encode_tombstone
from edgeface.fleet.protocol.terms import Version
from edgeface.gallery.person import StoredTemplate
from edgeface.recognition.templates import Template
from edgeface.security.keys import SigningKey

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "vectors" / "gallery"

SITE = "hq"
ADMINISTRATOR_SEED = bytes(range(32))
FRESHNESS_SEED = bytes(range(32, 64))
STRANGER_SEED = bytes(range(64, 96))
ENCRYPTION_KEY = bytes(range(96, 128))
SPACE, NEXT_SPACE = "5" * 64, "6" * 64
ALICE, BOB, GONE = "p_a11ce00000", "p_b0b0000000", "p_g0ne000000"
ISSUED_S = 1_800_000_000
FRESH_S = 86_400
LIFE_S = 365 * 86_400
SECOND = Version(1, 2)
"""Where the gallery of the vectors stands."""


def signing_key(seed: bytes) -> SigningKey:
    return SigningKey(Ed25519PrivateKey.from_private_bytes(seed))


ADMINISTRATOR = signing_key(ADMINISTRATOR_SEED)
FRESHNESS = signing_key(FRESHNESS_SEED)
STRANGER = signing_key(STRANGER_SEED)
RING = KeyRing([ADMINISTRATOR.public], [ENCRYPTION_KEY])


def template(number: int) -> StoredTemplate:
    """Codes that count up from `number`, with numbers that are exact in 32 bits."""
    codes = ((np.arange(128) + 37 * number) % 255 - 127).astype(np.int8)
    return StoredTemplate(Template(codes, np.float32(0.001953125 * number)), quality=0.75)


ALICES = Payload(
    templates={SPACE: (template(1), template(2)), NEXT_SPACE: (template(3),)},
    display_name="Alice Ünal",
    valid_from_s=1_799_000_000.0,
    valid_to_s=1_900_000_000.0,
    card="04:A2:2B",
)
BOBS = Payload(templates={SPACE: (template(4),)})


def record(person_id: str, payload: Payload, version: Version, seed: int, **other: Any) -> bytes:
    """A record with the nonce `seed` twelve times; `other` changes arguments of the encoder."""
    return encode_record(
        payload,
        **{
            "site": SITE,
            "person_id": person_id,
            "version": version,
            "encryption_key": ENCRYPTION_KEY,
            "signer": ADMINISTRATOR,
            "nonce": bytes([seed]) * 12,
        }
        | other,
    )


def manifest(buckets: dict[int, bytes], version: Version = SECOND, **other: Any) -> bytes:
    """A manifest of two people."""
    return encode_manifest(
        **{
            "site": SITE,
            "version": version,
            "issued_s": ISSUED_S,
            "expires_s": ISSUED_S + LIFE_S,
            "count": 2,
            "spaces": {SPACE: 2, NEXT_SPACE: 1},
            "buckets": [
                digest_of(buckets[number]) if number in buckets else NOBODY
                for number in range(BUCKETS)
            ],
            "freshness_key": FRESHNESS.public,
            "signer": ADMINISTRATOR,
        }
        | other
    )


def good() -> dict[str, bytes]:
    """File name -> wire bytes, all of one gallery."""
    files = {
        f"record-{ALICE}.bin": record(ALICE, ALICES, Version(1, 1), 0xA1),
        f"record-{BOB}.bin": record(BOB, BOBS, Version(1, 2), 0xB0),
        f"tombstone-{GONE}.bin": encode_tombstone(
            site=SITE, person_id=GONE, version=Version(1, 2), signer=ADMINISTRATOR
        ),
    }
    buckets = {}
    for person_id, revision in ((ALICE, 1), (BOB, 2)):
        number = bucket_number(person_id)
        entry = Entry(person_id, revision, digest_of(files[f"record-{person_id}.bin"]))
        buckets[number] = encode_bucket(SITE, number, [entry])
        files[f"bucket-{number:02x}.bin"] = buckets[number]
    files["manifest.bin"] = manifest(buckets)
    files["freshness.bin"] = encode_freshness(
        read_manifest(files["manifest.bin"], RING, site=SITE),
        issued_s=ISSUED_S,
        expires_s=ISSUED_S + FRESH_S,
        signer=FRESHNESS,
    )
    return files


def refused() -> dict[str, tuple[bytes, str, str]]:
    """File name -> wire bytes, topic below `gallery/`, reason of the refusal."""
    wire = record(ALICE, ALICES, Version(1, 1), 0xA1)
    alices = f"person/{ALICE}"

    def flipped(at: int) -> bytes:
        return wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]

    unreadable = record(ALICE, ALICES, Version(1, 1), 0xC1, encryption_key=bytes(32))
    swapped = unreadable.replace(
        encryption_key_id(bytes(32)).encode(), encryption_key_id(ENCRYPTION_KEY).encode()
    )[:-64]
    items: dict[str, tuple[bytes, str, str]] = {
        "changed-ciphertext.bin": (flipped(len(wire) - 100), alices, "bad_signature"),
        "changed-signature.bin": (flipped(len(wire) - 1), alices, "bad_signature"),
        "cut-off.bin": (wire[:200], alices, "malformed"),
        "surplus-byte.bin": (wire + b"\0", alices, "bad_signature"),
        "empty-frame.bin": (b"EFG1\0\0" + bytes(64), alices, "malformed"),
        "oversized.bin": (wire + bytes(16 * 1024), alices, "oversized"),
        "other-person.bin": (wire, f"person/{BOB}", "wrong_topic"),
        "other-site.bin": (
            record(ALICE, ALICES, Version(1, 1), 0xA1, site="annexe"),
            alices,
            "foreign_site",
        ),
        "other-signer.bin": (
            record(ALICE, ALICES, Version(1, 1), 0xA1, signer=STRANGER),
            alices,
            "unknown_key",
        ),
        "other-encryption-key.bin": (unreadable, alices, "unknown_key"),
        "wrong-encryption-key.bin": (
            signed(ADMINISTRATOR, "record", swapped),
            alices,
            "undecryptable",
        ),
        "record-signed-as-tombstone.bin": (
            signed(ADMINISTRATOR, "tombstone", wire[:-64]),
            alices,
            "bad_signature",
        ),
        "manifest-on-a-person.bin": (manifest({}), alices, "malformed"),
        "manifest-of-a-stranger.bin": (manifest({}, signer=STRANGER), "manifest", "unknown_key"),
        "manifest-of-another-site.bin": (manifest({}, site="annexe"), "manifest", "foreign_site"),
    }
    return items


def description() -> dict[str, Any]:
    """What the files mean, with every input a second implementation needs."""
    files: dict[str, Any] = {}
    for name, wire in good().items():
        files[name] = {"bytes": len(wire), "sha256": digest_of(wire).hex()}
    for person_id, payload in ((ALICE, ALICES), (BOB, BOBS)):
        files[f"record-{person_id}.bin"] |= {
            "topic": f"edgeface/v1/{SITE}/gallery/person/{person_id}",
            "plaintext": encode_payload(payload).decode(),
            "templates": {
                space: [
                    {
                        "scale": float(item.template.scale),
                        "quality": item.quality,
                        "codes": item.template.codes.tolist(),
                    }
                    for item in items
                ]
                for space, items in payload.templates.items()
            },
        }
    return {
        "site": SITE,
        "administrator_seed": ADMINISTRATOR_SEED.hex(),
        "administrator_public_key": ADMINISTRATOR.public.raw.hex(),
        "administrator_key_id": ADMINISTRATOR.kid,
        "freshness_seed": FRESHNESS_SEED.hex(),
        "freshness_public_key": FRESHNESS.public.raw.hex(),
        "freshness_key_id": FRESHNESS.kid,
        "encryption_key": ENCRYPTION_KEY.hex(),
        "encryption_key_id": encryption_key_id(ENCRYPTION_KEY),
        "files": files,
        "refused": {
            f"refused/{name}": {
                "topic": f"edgeface/v1/{SITE}/gallery/{topic}",
                "reason": reason,
            }
            for name, (_, topic, reason) in refused().items()
        },
    }


def all_files() -> dict[str, bytes]:
    """Every file of the folder."""
    files = good() | {f"refused/{name}": item[0] for name, item in refused().items()}
    files["vectors.json"] = json.dumps(description(), indent=1, ensure_ascii=False).encode() + b"\n"
    return files


def write(folder: Path, make: Callable[[], dict[str, bytes]] = all_files) -> None:
    for name, content in make().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    write(FOLDER)
