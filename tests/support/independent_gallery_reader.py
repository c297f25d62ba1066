"""A second reader of the gallery, written from docs/gallery-protocol.md alone.

It imports nothing of edgeface on purpose.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FIELDS: dict[str, dict[str, type]] = {
    "record": {
        "type": str,
        "version": int,
        "site": str,
        "person_id": str,
        "epoch": int,
        "revision": int,
        "spaces": list,
        "encryption_key": str,
        "signing_key": str,
    },
    "tombstone": {
        "type": str,
        "version": int,
        "site": str,
        "person_id": str,
        "epoch": int,
        "revision": int,
        "signing_key": str,
    },
    "bucket": {"type": str, "version": int, "site": str, "bucket": str},
    "manifest": {
        "type": str,
        "version": int,
        "site": str,
        "epoch": int,
        "revision": int,
        "issued": int,
        "expires": int,
        "count": int,
        "spaces": dict,
        "freshness_key": str,
        "signing_key": str,
    },
    "freshness": {
        "type": str,
        "version": int,
        "site": str,
        "epoch": int,
        "revision": int,
        "manifest": str,
        "issued": int,
        "expires": int,
        "signing_key": str,
    },
}
LIMITS = {"person": 16384, "manifest": 16384, "bucket": 524288, "freshness": 2048}
TYPES = {
    "person": ("record", "tombstone"),
    "manifest": ("manifest",),
    "bucket": ("bucket",),
    "freshness": ("freshness",),
}


class RefusedError(Exception):
    """The reason of a refusal."""


class Reader:
    """Reads the messages of one site."""

    def __init__(self, site: str, administrators: list[bytes], ciphers: list[bytes]) -> None:
        self.site = site
        self.signers = {hashlib.sha256(raw).hexdigest()[:16]: raw for raw in administrators}
        label = b"edgeface gallery v1 encryption key\0"
        self.ciphers = {hashlib.sha256(label + key).hexdigest()[:16]: key for key in ciphers}

    def read(self, topic: str, wire: bytes) -> dict[str, Any]:
        """Header fields and content of a message."""
        base = f"edgeface/v1/{self.site}/gallery/"
        assert topic.startswith(base)
        place, _, name = topic.removeprefix(base).partition("/")
        if len(wire) > LIMITS[place]:
            raise RefusedError("oversized")
        if wire[:4] != b"EFG1" or len(wire) < 6:
            raise RefusedError("malformed")
        (length,) = struct.unpack(">H", wire[4:6])
        tail = 0 if place == "bucket" else 64
        start, rest = wire[: 6 + length], wire[6 + length :]
        if length > 4096 or 6 + length + tail > len(wire):
            raise RefusedError("malformed")
        header = self._header(start[6:], TYPES[place])
        body, signature = rest[: len(rest) - tail], rest[len(rest) - tail :]
        if header["site"] != self.site:
            raise RefusedError("foreign_site")
        if header.get("person_id", header.get("bucket", "")) != name:
            raise RefusedError("wrong_topic")
        if place == "bucket":
            return header | {"people": self._people(body), "digest": digest(wire)}
        self._verify(header, start + body, signature)
        found = header | {"digest": digest(wire)}
        if header["type"] == "record":
            return found | self._open(header, start, body)
        if header["type"] == "manifest":
            if len(body) != 256 * 32:
                raise RefusedError("malformed")
            key = base64.b64decode(header["freshness_key"], validate=True)
            self.signers[hashlib.sha256(key).hexdigest()[:16]] = key
            return found | {"buckets": [body[i : i + 32].hex() for i in range(0, 8192, 32)]}
        if body:
            raise RefusedError("malformed")
        return found

    def _header(self, content: bytes, allowed: tuple[str, ...]) -> dict[str, Any]:
        def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            if len(dict(pairs)) != len(pairs):
                raise RefusedError("malformed")
            return dict(pairs)

        try:
            header = json.loads(content.decode("utf-8"), object_pairs_hook=once)
        except ValueError:
            raise RefusedError("malformed") from None
        if not isinstance(header, dict) or header.get("type") not in allowed:
            raise RefusedError("malformed")
        fields = FIELDS[header["type"]]
        if header.keys() != fields.keys():
            raise RefusedError("malformed")
        if any(type(header[name]) is not kind for name, kind in fields.items()):
            raise RefusedError("malformed")
        if header["version"] != 1:
            raise RefusedError("malformed")
        return header

    def _verify(self, header: dict[str, Any], signed: bytes, signature: bytes) -> None:
        raw = self.signers.get(header["signing_key"])
        if raw is None:
            raise RefusedError("unknown_key")
        prefix = b"edgeface gallery v1 " + header["type"].encode() + b"\0"
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature, prefix + signed)
        except InvalidSignature:
            raise RefusedError("bad_signature") from None

    def _open(self, header: dict[str, Any], start: bytes, body: bytes) -> dict[str, Any]:
        key = self.ciphers.get(header["encryption_key"])
        if key is None:
            raise RefusedError("unknown_key")
        try:
            plain = AESGCM(key).decrypt(body[:12], body[12:], start)
        except InvalidTag:
            raise RefusedError("undecryptable") from None
        if len(plain) % 256:
            raise RefusedError("malformed")
        content = json.loads(plain.rstrip(b" "))
        templates = {}
        for space, text in content["templates"].items():
            packed = base64.b64decode(text, validate=True)
            numbers = content.get("dimensions", {}).get(space, 128)
            templates[space] = [
                {"scale": scale, "quality": quality, "codes": list(codes)}
                for scale, quality, *codes in struct.iter_unpack(f"<ff{numbers}b", packed)
            ]
        if sorted(templates) != header["spaces"]:
            raise RefusedError("malformed")
        return {"plaintext": plain.decode("utf-8"), "content": content, "templates": templates}

    def _people(self, body: bytes) -> dict[str, tuple[int, str]]:
        if len(body) % 52:
            raise RefusedError("malformed")
        people = {}
        for person_id, revision, listed in struct.iter_unpack(">12sQ32s", body):
            people[person_id.decode("ascii")] = (revision, listed.hex())
        if list(people) != sorted(people) or len(people) * 52 != len(body):
            raise RefusedError("malformed")
        return people


def digest(wire: bytes) -> str:
    """As buckets, manifests and freshness list it."""
    return hashlib.sha256(wire).hexdigest()


def gallery(reader: Reader, messages: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Everybody a device would know from these retained messages (topic -> payload)."""
    base = f"edgeface/v1/{reader.site}/gallery/"
    manifest = reader.read(base + "manifest", messages[base + "manifest"])
    fresh = reader.read(base + "freshness", messages[base + "freshness"])
    assert fresh["manifest"] == manifest["digest"]
    people = {}
    for number, listed in enumerate(manifest["buckets"]):
        if listed == "00" * 32:
            continue
        topic = f"{base}bucket/{number:02x}"
        bucket = reader.read(topic, messages[topic])
        assert bucket["digest"] == listed
        for person_id, (revision, of_record) in bucket["people"].items():
            assert re.fullmatch("p_[0-9a-hjkmnp-tv-z]{10}", person_id)
            assert hashlib.sha256(person_id.encode()).digest()[0] == number
            record = reader.read(
                base + f"person/{person_id}", messages[base + f"person/{person_id}"]
            )
            assert (record["digest"], record["revision"]) == (of_record, revision)
            people[person_id] = record
    assert len(people) == manifest["count"]
    return people
