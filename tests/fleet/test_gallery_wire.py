"""The bytes on the wire: golden files, a second reader, and everything that has to be refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.base.errors import ContractError
from edgeface.fleet.protocol.bucket import Entry, bucket_number, encode_bucket, read_bucket
from edgeface.fleet.protocol.framing import MAGIC, digest_of
from edgeface.fleet.protocol.keyring import KeyRing, signed
from edgeface.fleet.protocol.manifest import read_freshness, read_manifest
from edgeface.fleet.protocol.payload import Payload, decode_payload, encode_payload
from edgeface.fleet.protocol.record import SignedRecord, TombstoneHeader, open_record, verify_person
from edgeface.fleet.protocol.terms import GalleryTopics, RefusedError, Version
from edgeface.gallery.person import StoredTemplate
from tests.support import gallery_vectors as vectors
from tests.support import independent_gallery_reader as independent
from tests.support.gallery_vectors import (
    ADMINISTRATOR,
    ALICE,
    ALICES,
    BOB,
    BOBS,
    FRESHNESS,
    GONE,
    ISSUED_S,
    RING,
    SITE,
    SPACE,
    STRANGER,
    record,
)

FILES = {path.name: path.read_bytes() for path in vectors.FOLDER.glob("*.bin")}
TOPICS = GalleryTopics(SITE)


def read_any(topic: str, wire: bytes) -> object:
    """What a device does first with a message on this topic."""
    person_id = TOPICS.person_of(topic)
    if person_id is None:
        return read_manifest(wire, RING, site=SITE)
    found = verify_person(wire, RING, site=SITE, person_id=person_id)
    return open_record(found, RING) if isinstance(found, SignedRecord) else found


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        call()
    return caught.value.reason


def test_the_formats_have_not_changed_by_a_byte() -> None:
    made = vectors.all_files()
    stored = {
        str(path.relative_to(vectors.FOLDER)): path.read_bytes()
        for path in vectors.FOLDER.rglob("*")
        if path.is_file()
    }
    assert sorted(made) == sorted(stored)
    assert [name for name in made if made[name] != stored[name]] == []


def test_what_was_written_is_read_back() -> None:
    alice = verify_person(FILES[f"record-{ALICE}.bin"], RING, site=SITE, person_id=ALICE)
    assert isinstance(alice, SignedRecord)
    assert (alice.version, alice.digest) == (
        Version(1, 1),
        digest_of(FILES[f"record-{ALICE}.bin"]),
    )
    payload = open_record(alice, RING)
    assert (payload.display_name, payload.card) == ("Alice Ünal", "04:A2:2B")
    assert (payload.valid_from_s, payload.valid_to_s) == (1_799_000_000.0, 1_900_000_000.0)
    for space, items in ALICES.templates.items():
        assert [item.template for item in payload.templates[space]] == [
            item.template for item in items
        ]
    gone = verify_person(FILES[f"tombstone-{GONE}.bin"], RING, site=SITE, person_id=GONE)
    assert isinstance(gone, TombstoneHeader)
    assert (gone.epoch, gone.revision) == (1, 2)
    found = read_manifest(FILES["manifest.bin"], RING, site=SITE)
    number = bucket_number(BOB)
    entries = read_bucket(
        FILES[f"bucket-{number:02x}.bin"], found.buckets[number], site=SITE, number=number
    )
    assert entries == (Entry(BOB, 2, digest_of(FILES[f"record-{BOB}.bin"])),)
    assert read_freshness(FILES["freshness.bin"], found) == ISSUED_S + vectors.FRESH_S


def test_a_reader_written_from_the_specification_alone_sees_the_same_people() -> None:
    described = json.loads((vectors.FOLDER / "vectors.json").read_text())
    reader = independent.Reader(
        described["site"],
        [bytes.fromhex(described["administrator_public_key"])],
        [bytes.fromhex(described["encryption_key"])],
    )
    base = f"edgeface/v1/{SITE}/gallery"
    messages = {
        f"{base}/{name.removesuffix('.bin').replace('record-', 'person/').replace('-', '/')}": wire
        for name, wire in FILES.items()
    }
    people = independent.gallery(reader, messages)
    assert sorted(people) == [ALICE, BOB]
    for person_id, found in people.items():
        expected = described["files"][f"record-{person_id}.bin"]
        assert found["plaintext"] == expected["plaintext"]
        assert found["templates"] == expected["templates"]
        assert found["digest"] == expected["sha256"]
    assert people[ALICE]["content"]["display_name"] == "Alice Ünal"
    gone = reader.read(f"{base}/person/{GONE}", FILES[f"tombstone-{GONE}.bin"])
    assert gone["type"] == "tombstone"


@pytest.mark.parametrize("name", sorted(vectors.refused()))
def test_both_readers_refuse_for_the_reason_in_the_vectors(name: str) -> None:
    described = json.loads((vectors.FOLDER / "vectors.json").read_text())
    entry = described["refused"][f"refused/{name}"]
    wire = (vectors.FOLDER / "refused" / name).read_bytes()
    assert reason_of(lambda: read_any(entry["topic"], wire)) == entry["reason"]
    reader = independent.Reader(SITE, [ADMINISTRATOR.public.raw], [vectors.ENCRYPTION_KEY])
    with pytest.raises(independent.RefusedError, match=entry["reason"]):
        reader.read(entry["topic"], wire)


@given(data=st.data())
def test_no_changed_byte_gets_through(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    wire = bytearray(FILES[name])
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    changed = bytes(wire)
    try:
        unbelieved = read_file(name, changed) is None
    except RefusedError:
        unbelieved = True
    assert unbelieved, "None: freshness of a newer manifest, which has to come first"


def read_file(name: str, wire: bytes) -> object:
    """As a device reads the file `name` of the vectors."""
    found = read_manifest(FILES["manifest.bin"], RING, site=SITE)
    kind, _, item = name.removesuffix(".bin").partition("-")
    match kind:
        case "manifest":
            return read_manifest(wire, RING, site=SITE)
        case "freshness":
            return read_freshness(wire, found)
        case "bucket":
            number = int(item, 16)
            return read_bucket(wire, found.buckets[number], site=SITE, number=number)
        case _:
            return verify_person(wire, RING, site=SITE, person_id=item)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_end_in_a_refusal(content: bytes, framed: bool) -> None:
    wire = MAGIC + content if framed else content
    found = read_manifest(FILES["manifest.bin"], RING, site=SITE)
    for call in (
        lambda: verify_person(wire, RING, site=SITE, person_id=ALICE),
        lambda: read_manifest(wire, RING, site=SITE),
        lambda: read_bucket(wire, digest_of(wire), site=SITE, number=1),
        lambda: read_freshness(wire, found),
    ):
        assert reason_of(call) == "malformed"


HEADER = json.loads(FILES["freshness.bin"][6:-64])


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(HEADER | {"version": 2}, id="another version"),
        pytest.param(HEADER | {"version": True}, id="true for 1"),
        pytest.param(HEADER | {"epoch": 1.0}, id="a float"),
        pytest.param(HEADER | {"epoch": 0}, id="epoch 0"),
        pytest.param(HEADER | {"revision": 2**53}, id="beyond exact integers"),
        pytest.param(HEADER | {"more": 1}, id="surplus field"),
        pytest.param({k: v for k, v in HEADER.items() if k != "expires"}, id="missing field"),
        pytest.param(HEADER | {"type": "manifest"}, id="another type"),
        pytest.param(HEADER | {"type": None}, id="no type"),
        pytest.param(HEADER | {"site": "HQ"}, id="impossible site"),
        pytest.param(HEADER | {"expires": HEADER["issued"]}, id="no life"),
        pytest.param(HEADER | {"expires": HEADER["issued"] + 32 * 86400}, id="too long a life"),
        pytest.param(HEADER | {"manifest": "ff"}, id="short digest"),
        pytest.param([HEADER], id="a list"),
    ],
)
def test_a_header_that_is_not_exactly_right_is_malformed(header: object) -> None:
    found = read_manifest(FILES["manifest.bin"], RING, site=SITE)
    content = json.dumps(header).encode()
    wire = signed(FRESHNESS, "freshness", MAGIC + len(content).to_bytes(2, "big") + content)
    assert reason_of(lambda: read_freshness(wire, found)) == "malformed"


def test_a_field_given_twice_is_malformed() -> None:
    content = FILES["freshness.bin"][6:-64].replace(b"{", b'{"epoch":9,', 1)
    wire = signed(FRESHNESS, "freshness", MAGIC + len(content).to_bytes(2, "big") + content)
    found = read_manifest(FILES["manifest.bin"], RING, site=SITE)
    assert reason_of(lambda: read_freshness(wire, found)) == "malformed"


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        pytest.param({"card": 7}, "card", id="card is a number"),
        pytest.param({"display_name": "  "}, "display name", id="blank name"),
        pytest.param({"display_name": "a\u0000b"}, "display name", id="control character"),
        pytest.param({"valid_from": 5, "valid_to": 5}, "validity", id="empty window"),
        pytest.param({"valid_from": 1.5}, "valid_from", id="fraction of a second"),
        pytest.param({"templates": {SPACE: ""}}, "templates", id="no template"),
        pytest.param({"templates": {SPACE: "AAAA"}}, "templates", id="cut template"),
        pytest.param({"templates": {SPACE: "*"}}, "base64", id="no base64"),
        pytest.param({"templates": {"x": "AAAA"}}, "space", id="no space id"),
        pytest.param({"templates": {SPACE: "A" * 184 * 33}}, "templates", id="33 templates"),
    ],
)
def test_content_that_cannot_be_stored_is_malformed(change: dict[str, Any], fits: str) -> None:
    content = json.loads(encode_payload(ALICES)) | change
    plain = json.dumps(content).encode()
    with pytest.raises(RefusedError, match=fits) as caught:
        decode_payload(plain + b" " * (-len(plain) % 256))
    assert caught.value.reason == "malformed"


def test_unknown_fields_of_the_content_are_left_to_later_versions() -> None:
    content = json.loads(encode_payload(ALICES)) | {"floor": 3}
    plain = json.dumps(content).encode()
    assert decode_payload(plain + b" " * (-len(plain) % 256)).card == ALICES.card


def test_the_length_of_a_name_cannot_be_read_off_a_record() -> None:
    short, long = (
        record(BOB, replace(BOBS, display_name="B" * length), Version(1, 1), 1)
        for length in (1, 128)
    )
    assert len(short) == len(long)


def test_a_nonce_is_random_unless_a_test_asks_for_one() -> None:
    wires = {record(BOB, BOBS, Version(1, 1), 1, nonce=None) for _ in range(3)}
    assert len(wires) == 3


@pytest.mark.parametrize(
    "templates",
    [
        pytest.param({}, id="none"),
        pytest.param({letter * 64: (vectors.template(1),) for letter in "abc"}, id="three spaces"),
        pytest.param({SPACE: (vectors.template(1),) * 96}, id="too many"),
    ],
)
def test_what_no_device_would_take_is_not_encoded(
    templates: dict[str, tuple[StoredTemplate, ...]],
) -> None:
    with pytest.raises(ValueError, match=BOB):
        record(BOB, Payload(templates=templates), Version(1, 1), 1)


def test_a_full_record_fits() -> None:
    full = {
        space: tuple(replace(vectors.template(n), quality=1 / 3) for n in range(1, 33))
        for space in (SPACE, vectors.NEXT_SPACE)
    }
    payload = Payload(full, display_name="𝔘" * 128, card="😀" * 128, valid_to_s=1e9)
    wire = record(BOB, payload, Version(2**53 - 1, 2**53 - 1), 1, site="s" * 64)
    found = verify_person(wire, RING, site="s" * 64, person_id=BOB)
    assert isinstance(found, SignedRecord)
    assert len(open_record(found, RING).templates[SPACE]) == 32


def test_quality_and_scale_survive_as_32_bit_numbers() -> None:
    item = replace(vectors.template(1), quality=1 / 3)
    plain = encode_payload(Payload({SPACE: (item,)}))
    (found,) = decode_payload(plain).templates[SPACE]
    assert found.quality == np.float32(1 / 3)
    assert found.template == item.template
    assert encode_payload(decode_payload(plain)) == plain
    assert math.isinf(decode_payload(plain).valid_to_s)


def test_several_keys_of_each_kind_are_accepted() -> None:
    ring = KeyRing([STRANGER.public, ADMINISTRATOR.public], [bytes(32), vectors.ENCRYPTION_KEY])
    for signer in (STRANGER, ADMINISTRATOR):
        for key in (bytes(32), vectors.ENCRYPTION_KEY):
            wire = record(BOB, BOBS, Version(1, 1), 1, signer=signer, encryption_key=key)
            found = verify_person(wire, ring, site=SITE, person_id=BOB)
            assert isinstance(found, SignedRecord)
            assert open_record(found, ring).templates.keys() == {SPACE}


class TestBucket:
    def test_people_of_other_buckets_or_twice_are_refused(self) -> None:
        number = bucket_number(BOB)
        entry = Entry(BOB, 1, bytes(32))
        good = encode_bucket(SITE, number, [entry])
        doubled = good + good[-52:]
        strange = good[:-52] + ALICE.encode() + good[-40:]
        for wire in (doubled, strange, good[:-1], good[:-52]):
            call = lambda wire=wire: read_bucket(  # noqa: E731
                wire, digest_of(wire), site=SITE, number=number
            )
            assert reason_of(call) == "malformed"
        with pytest.raises(ValueError, match="twice"):
            encode_bucket(SITE, number, [entry, entry])
        with pytest.raises(ValueError, match="elsewhere"):
            encode_bucket(SITE, number ^ 1, [entry])

    @pytest.mark.parametrize(
        ("site", "number", "reason"),
        [
            pytest.param("annexe", bucket_number(BOB), "foreign_site", id="site"),
            pytest.param(SITE, bucket_number(BOB) ^ 1, "wrong_topic", id="number"),
        ],
    )
    def test_a_bucket_of_elsewhere_is_refused(self, site: str, number: int, reason: str) -> None:
        wire = encode_bucket(SITE, bucket_number(BOB), [Entry(BOB, 1, bytes(32))])
        call = lambda: read_bucket(wire, digest_of(wire), site=site, number=number)  # noqa: E731
        assert reason_of(call) == reason

    def test_only_the_bytes_that_the_manifest_lists_are_read(self) -> None:
        call = lambda: read_bucket(b"x", bytes(32), site=SITE, number=1)  # noqa: E731
        assert reason_of(call) == "wrong_digest"


def test_topics_are_told_apart() -> None:
    assert TOPICS.person_of(TOPICS.person(ALICE)) == ALICE
    assert TOPICS.bucket_of(TOPICS.bucket(10)) == 10
    for topic in (TOPICS.manifest, TOPICS.person("p_x"), "edgeface/v1/hq/door-1/event"):
        assert TOPICS.person_of(topic) is None
        assert TOPICS.bucket_of(topic) is None
    for name in ("0A", "1", "+f", "100"):
        assert TOPICS.bucket_of(f"{TOPICS.base}/bucket/{name}") is None
    with pytest.raises(ContractError):
        GalleryTopics("Main Office")
