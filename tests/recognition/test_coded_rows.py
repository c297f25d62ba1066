"""Templates held as codes match as decoded ones do, in a quarter of the memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.matching import match
from edgeface.recognition.templates import KEEP_DECODED, CodedRows, decode_codes
from tests.support.people import everybody, gallery

SIZES = [
    pytest.param(0, id="none"),
    pytest.param(1, id="one"),
    pytest.param(KEEP_DECODED, id="kept decoded"),
    pytest.param(KEEP_DECODED + 1, id="decoded in blocks"),
]
ROUNDING = 1e-6


def codes_of(count: int, seed: int = 1) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-127, 128, (count, 128), dtype=np.int8)


def probes(count: int = 8) -> NDArray[np.float32]:
    return decode_codes(codes_of(count, seed=2))


@pytest.mark.parametrize("count", SIZES)
def test_products_are_those_of_the_decoded_rows(count: int) -> None:
    codes, seen = codes_of(count), probes()
    rows, decoded = CodedRows(codes), decode_codes(codes)
    found = rows.cosines(seen)
    assert found.shape == (8, count)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, seen @ decoded.T, rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(rows @ seen.T, found.T)
    np.testing.assert_allclose(rows @ seen[0], found[0], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("count", SIZES)
def test_rows_come_out_decoded(count: int) -> None:
    codes = codes_of(count)
    rows, decoded = CodedRows(codes), decode_codes(codes)
    assert (len(rows), rows.shape) == (count, (count, 128))
    np.testing.assert_array_equal(np.asarray(rows), decoded)
    np.testing.assert_array_equal(rows[1:3], decoded[1:3])
    mask = np.arange(count) % 3 == 0
    np.testing.assert_array_equal(rows[mask], decoded[mask])
    np.testing.assert_array_equal(rows[np.flatnonzero(mask)], decoded[mask])


@pytest.mark.parametrize("count", SIZES)
def test_a_change_keeps_and_adds(count: int) -> None:
    codes, added = codes_of(count), codes_of(3, seed=3)
    kept = np.arange(count) % 5 != 0
    changed = CodedRows(codes).changed(kept, added)
    np.testing.assert_array_equal(changed.codes, np.concatenate([codes[kept], added]))
    assert not np.shares_memory(changed.codes, codes)


def test_the_codes_may_be_a_column_of_something_wider() -> None:
    count = KEEP_DECODED + 5
    wide = np.zeros((count, 144), dtype=np.int8)
    wide[:, 16:] = codes_of(count)
    np.testing.assert_array_equal(
        CodedRows(wide[:, 16:]).cosines(probes()), CodedRows(codes_of(count)).cosines(probes())
    )


def test_the_codes_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        CodedRows(codes_of(3)).codes[0] = 1


@pytest.mark.parametrize("count", [3, KEEP_DECODED + 1])
def test_a_row_of_zeros_is_refused(count: int) -> None:
    codes = codes_of(count)
    codes[count // 2] = 0
    with pytest.raises(ValueError, match="zero"):
        CodedRows(codes)


@pytest.mark.parametrize(
    "codes",
    [
        np.ones((2, 127), np.int8),
        np.ones((2, 128), np.uint8),
        np.eye(4, 128, dtype=np.float32),
        np.ones(128, np.int8),
    ],
)
def test_another_form_is_refused(codes: NDArray[np.int8]) -> None:
    with pytest.raises(ValueError, match="codes"):
        CodedRows(codes)


@pytest.mark.parametrize("people", [100, KEEP_DECODED // 2 + 100])
@pytest.mark.parametrize("off", [0, 1, 2, 50], ids=lambda off: f"one in {off} not allowed")
def test_a_ranking_is_that_of_the_decoded_gallery(
    people: int, off: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = codes_of(2 * people)
    codes[7] = codes_of(8, seed=2)[0]  # the first probe is somebody
    coded = gallery(list(decode_codes(codes).reshape(people, 2, 128)))
    coded = replace(coded, matrix=CodedRows(codes))
    monkeypatch.setattr("edgeface.recognition.templates.KEEP_DECODED", len(codes))
    plain: GalleryIndex = replace(coded, matrix=CodedRows(codes))
    allowed = everybody(plain)
    if off:
        allowed[::off] = False
        allowed[3] = True
    expected, found = (
        match(probes(), np.linspace(0.5, 1, 8, dtype=np.float32), index, allowed)
        for index in (plain, coded)
    )
    assert expected.frame_people[0] == 3
    assert found.templates == expected.templates
    assert [person for person, _ in found.people] == [person for person, _ in expected.people]
    np.testing.assert_allclose(
        [score for _, score in found.people],
        [score for _, score in expected.people],
        rtol=0,
        atol=ROUNDING,
    )
    np.testing.assert_array_equal(found.frame_people, expected.frame_people)
    np.testing.assert_allclose(found.frame_scores, expected.frame_scores, rtol=0, atol=ROUNDING)


def test_a_large_gallery_and_its_successor_take_little_more_than_their_codes() -> None:
    codes = codes_of(40_000)
    tracemalloc.start()
    try:
        rows = CodedRows(codes)
        held = tracemalloc.get_traced_memory()[0]
        changed = rows.changed(np.ones(len(codes), dtype=np.bool_), codes[:2])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(changed) == 40_002
    assert held < 0.1 * codes.nbytes
    assert peak < 1.4 * codes.nbytes


def test_an_empty_matrix_takes_probes_and_rows_of_every_length() -> None:
    nobody = CodedRows(np.zeros((0, 128), np.int8))
    wide = np.random.default_rng(3).integers(-127, 128, (5, 512), dtype=np.int8)
    seen = decode_codes(wide)
    assert nobody.cosines(seen).shape == (5, 0)
    somebody = nobody.changed(np.zeros(0, np.bool_), wide)
    assert somebody.shape == (5, 512)
    assert somebody.cosines(seen).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    ranking = match(seen[:1], np.ones(1, np.float32), GalleryIndex.empty(), np.zeros(0, np.bool_))
    assert ranking.people == ()


@pytest.mark.parametrize("count", [100, KEEP_DECODED + 1])
def test_rows_of_512_numbers_multiply_as_decoded_ones(count: int) -> None:
    codes = np.random.default_rng(4).integers(-127, 128, (count, 512), dtype=np.int8)
    rows, seen = CodedRows(codes), decode_codes(codes[:3])
    np.testing.assert_allclose(rows.cosines(seen), seen @ decode_codes(codes).T, atol=ROUNDING)
    with pytest.raises(ValueError, match="512"):
        rows.changed(np.ones(count, np.bool_), np.ones((1, 128), np.int8))
