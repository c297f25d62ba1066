"""Records of an embedder whose embeddings have not 128 numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeface.fleet.protocol.payload import Payload, decode_payload, encode_payload
from edgeface.fleet.protocol.record import SignedRecord, open_record, verify_person
from edgeface.fleet.protocol.terms import GalleryTopics, RefusedError, Version
from edgeface.gallery.person import StoredTemplate
from edgeface.recognition.templates import Template
from tests.support import gallery_vectors as vectors
from tests.support import independent_gallery_reader as independent
from tests.support.fleet_device import follow, ids, memory_site, published
from tests.support.fleet_site import person_id
from tests.support.gallery import direction, stored
from tests.support.gallery_vectors import ADMINISTRATOR, BOB, RING, SITE, SPACE, record
from tests.support.memory_broker import MemoryBroker


class TestAnotherLengthOfEmbeddings:
    def wide(self, number: int) -> StoredTemplate:
        codes = ((np.arange(512) + number) % 255 - 127).astype(np.int8)
        return StoredTemplate(Template(codes, np.float32(0.5)), quality=0.25)

    def test_both_readers_read_templates_of_512_numbers_beside_those_of_128(self) -> None:
        payload = Payload({SPACE: (vectors.template(1),), vectors.NEXT_SPACE: (self.wide(2),)})
        wire = record(BOB, payload, Version(1, 1), 1)
        found = verify_person(wire, RING, site=SITE, person_id=BOB)
        assert isinstance(found, SignedRecord)
        opened = open_record(found, RING)
        reader = independent.Reader(SITE, [ADMINISTRATOR.public.raw], [vectors.ENCRYPTION_KEY])
        other = reader.read(GalleryTopics(SITE).person(BOB), wire)
        for space, (item,) in payload.templates.items():
            assert opened.templates[space][0].template == item.template
            assert other["templates"][space][0]["codes"] == item.template.codes.tolist()
        assert other["content"]["dimensions"] == {vectors.NEXT_SPACE: 512}

    @pytest.mark.parametrize("count", [0, 60, 127, 256, 4096, 2**40])
    def test_a_length_that_does_not_fit_is_malformed(self, count: int) -> None:
        content = json.loads(encode_payload(Payload({SPACE: (self.wide(1),)})))
        plain = json.dumps(content | {"dimensions": {SPACE: count}}).encode()
        with pytest.raises(RefusedError) as caught:
            decode_payload(plain + b" " * (-len(plain) % 256))
        assert caught.value.reason == "malformed"

    def test_a_record_holds_twenty_of_them(self) -> None:
        payload = Payload({SPACE: (self.wide(1),) * 20}, display_name="B" * 128, card="C" * 128)
        found = verify_person(
            record(BOB, payload, Version(1, 1), 1), RING, site=SITE, person_id=BOB
        )
        assert isinstance(found, SignedRecord)
        assert len(open_record(found, RING).templates[SPACE]) == 20


def test_templates_that_the_devices_embedder_cannot_have_made_are_refused(
    tmp_path: Path, broker: MemoryBroker
) -> None:
    """Signed, but of 512 numbers where the model gives 128: nobody else is touched by it."""
    site = published(tmp_path / "site", broker)
    device = follow(tmp_path / "door-1", site, broker)
    before = device.people()
    device.site.put({30: [30]})
    with device.site.fleet() as fleet, fleet.master.store.change() as change:
        change.put_templates(person_id(30), SPACE, [stored(direction(30, 512))])
    device.site.put({31: [31]})
    device.site.publish()
    device.settle()
    assert device.people() == tuple(sorted({*before, person_id(31)}))
    assert device.refusals() == {person_id(30): "malformed"}
    assert device.replica.index.matrix.shape[1] == 128


def test_a_fleet_whose_embedder_gives_512_numbers_is_followed(
    tmp_path: Path, broker: MemoryBroker
) -> None:
    site = memory_site(tmp_path / "site", broker)
    site.put({1: [1], 2: [2]})
    with site.fleet() as fleet, fleet.master.store.change() as change:
        for number in (1, 2):
            change.put_templates(person_id(number), SPACE, [stored(direction(number, 512))])
    site.publish()
    device = follow(tmp_path / "door-1", site, broker, dimensions=512)
    index = device.replica.index
    assert (device.people(), device.refusals(), index.matrix.shape) == (ids(1, 2), {}, (2, 512))
    best = index.matrix.cosines(direction(2, 512)[np.newaxis])[0].argmax()
    assert index.people[index.owners[best]] == person_id(2)
