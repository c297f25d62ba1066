"""The int8 form of an embedding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.recognition.templates import (
    Template,
    decode_codes,
    decode_template,
    encode_template,
)
from tests.support.people import identity


def test_by_hand_with_halves_rounded_to_even() -> None:
    embedding = np.zeros(128, dtype=np.float32)
    embedding[:6] = [127 / 128, 0.5 / 128, 1.5 / 128, 2.5 / 128, -0.5 / 128, -63.5 / 128]
    template = encode_template(embedding)
    assert template.scale == np.float32(1 / 128)
    assert template.codes.dtype == np.int8
    assert template.codes[:6].tolist() == [127, 0, 2, 2, 0, -64]
    assert not template.codes[6:].any()


def test_decoding_by_hand() -> None:
    codes = np.zeros(128, dtype=np.int8)
    codes[:2] = [3, -4]
    decoded = decode_template(Template(codes, np.float32(0.01)))
    assert decoded.dtype == np.float32
    assert decoded[:2] == pytest.approx([0.6, -0.8])


@given(st.integers(0, 2**32 - 1))
def test_what_is_decoded_is_the_same_direction_of_unit_length(seed: int) -> None:
    embedding = identity(np.random.default_rng(seed))
    template = encode_template(embedding)
    decoded = decode_template(template)
    assert np.linalg.norm(decoded) == pytest.approx(1, abs=1e-6)
    assert float(decoded @ embedding) > 0.9995
    assert np.abs(template.codes).max() == 127
    again = encode_template(decoded)
    assert again.codes.tolist() == template.codes.tolist()


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(1)
    templates = [encode_template(identity(rng)) for _ in range(5)]
    rows = decode_codes(np.stack([template.codes for template in templates]))
    assert rows == pytest.approx(np.stack([decode_template(t) for t in templates]))
    with pytest.raises(ValueError, match="all zero"):
        decode_codes(np.zeros((2, 128), dtype=np.int8))


@pytest.mark.parametrize(
    "embedding",
    [
        pytest.param(np.zeros(128), id="zero"),
        pytest.param(np.full(128, np.nan), id="not a number"),
        pytest.param(np.full(128, np.inf), id="infinite"),
        pytest.param(np.ones(127), id="no multiple of 8"),
        pytest.param(np.ones(56), id="too short"),
        pytest.param(np.ones(1032), id="too long"),
        pytest.param(np.ones((1, 128)), id="a matrix"),
        pytest.param(np.full(128, 1e-42), id="below what float32 holds"),
    ],
)
def test_what_is_no_embedding_is_refused(embedding: np.ndarray) -> None:
    with pytest.raises(ValueError, match="embedding"):
        encode_template(embedding.astype(np.float32))


@pytest.mark.parametrize(
    ("codes", "scale"),
    [
        pytest.param(np.zeros(128, np.int8), 1.0, id="zeros"),
        pytest.param(np.ones(128, np.int16), 1.0, id="int16"),
        pytest.param(np.ones(63, np.int8), 1.0, id="short"),
        pytest.param(np.full(128, -128, np.int8), 1.0, id="-128"),
        pytest.param(np.ones(128, np.int8), 0.0, id="no scale"),
        pytest.param(np.ones(128, np.int8), np.nan, id="scale is not a number"),
    ],
)
def test_a_template_that_cannot_be_is_refused(codes: np.ndarray, scale: float) -> None:
    with pytest.raises(ValueError, match="template"):
        Template(codes, np.float32(scale))


def test_a_template_is_a_value() -> None:
    codes = np.ones(128, dtype=np.int8)
    template = Template(codes, np.float32(0.5))
    codes[0] = 7
    assert template == Template(np.ones(128, dtype=np.int8), np.float32(0.5))
    assert hash(template) == hash(Template(np.ones(128, dtype=np.int8), np.float32(0.5)))
    assert template != Template(np.ones(128, dtype=np.int8), np.float32(0.25))
    assert template != "template"
    with pytest.raises(ValueError, match="read-only"):
        template.codes[0] = 1


@pytest.mark.parametrize("dimensions", [64, 128, 512, 1024])
def test_an_embedding_of_another_model_is_stored_as_well(dimensions: int) -> None:
    embedding = np.random.default_rng(dimensions).standard_normal(dimensions).astype(np.float32)
    embedding /= np.linalg.norm(embedding)
    template = encode_template(embedding)
    assert template.codes.shape == (dimensions,)
    assert float(decode_template(template) @ embedding) > 0.999
