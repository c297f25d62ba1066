"""Synthetic people for tests: embeddings, crops, galleries, and an exact calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.alignment import ARCFACE
from edgeface.recognition.crops import Crop
from edgeface.recognition.frame import Moment
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.quality import Quality
from edgeface.recognition.templates import CodedRows, decode_template, encode_template
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import Box, Embedding, Face

DIMENSIONS = 128
START = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows (or one vector) of unit length."""
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / length, dtype=np.float32)


def identity(rng: np.random.Generator) -> Embedding:
    """A person nobody has seen: a uniform direction."""
    return unit(rng.normal(size=DIMENSIONS))


def view(person: Embedding, rng: np.random.Generator, likeness: float = 0.85) -> Embedding:
    """Another picture of the same person, at exactly this cosine to `person`."""
    noise = rng.normal(size=DIMENSIONS)
    noise -= (noise @ person) * person
    noise /= np.linalg.norm(noise)
    return unit(likeness * person.astype(np.float64) + math.sqrt(1 - likeness**2) * noise)


def quality(weight: float = 0.8, face_px: float = 90.0) -> Quality:
    """A good crop of this weight."""
    return Quality(face_px, 0.9, 1.0, 2.0, -1.0, 0.5, weight)


def moment(time_s: float) -> Moment:
    """A frame with one face, so many seconds after `START`, which is 0 on CLOCK_BOOTTIME."""
    return Moment(START + timedelta(seconds=time_s), round(time_s * 1e9), 1)


def crop(embedding: Embedding, time_s: float, weight: float = 0.8) -> Crop:
    """A good crop of this weight."""
    return Crop(embedding, quality(weight), moment(time_s))


def face(left: float, top: float = 200.0, size: float = 100.0, score: float = 0.9) -> Face:
    """A frontal face whose box is a square of `size` pixels."""
    landmarks = np.asarray(
        ARCFACE.template * (size / 90) + [left - size * 0.12, top], dtype=np.float32
    )
    return Face(Box(left, top, left + size, top + size), landmarks, score)


@cache
def uniform_calibration(tail_survival: float = 1e-6) -> Calibration:
    """The exact survival function of the cosine of two uniform directions in 128 dimensions."""
    grid = np.linspace(-1, 1, 20001)
    density = (1 - grid**2) ** ((DIMENSIONS - 3) / 2)
    survival = np.cumsum(density[::-1])[::-1] / density.sum()
    use = (grid > -0.4) & (survival > tail_survival)
    scores, rates = grid[use], np.minimum(survival[use], 1.0)
    # The law falls faster than any exponential: one of its last slope bounds it from above.
    scale = (scores[-1] - scores[-101]) / math.log(rates[-101] / rates[-1])
    return Calibration(
        tuple(scores[:-1:20]),
        tuple(rates[:-1:20]),
        float(scores[-1]),
        float(rates[-1]),
        0.0,
        float(scale),
        1e-6,
    )


def stored(embedding: Embedding) -> Embedding:
    """What a gallery keeps of it."""
    return decode_template(encode_template(embedding))


def gallery(
    templates: Sequence[NDArray[np.float32]],
    names: Sequence[str] | None = None,
    revision: int = 1,
) -> GalleryIndex:
    """An index with one entry of `templates`, float32 `(k, 128)` or `(128,)`, per person."""
    rows = [np.atleast_2d(entry) for entry in templates]
    people = tuple(names or (f"p_{number:010d}" for number in range(len(rows))))
    if not rows:
        return GalleryIndex.empty(revision=revision)
    return GalleryIndex(
        matrix=CodedRows(np.stack([encode_template(row).codes for row in np.concatenate(rows)])),
        owners=np.repeat(np.arange(len(rows)), [len(entry) for entry in rows]).astype(np.int32),
        people=people,
        display_names=tuple(f"Name {person}" for person in people),
        valid_from_s=np.full(len(rows), -np.inf),
        valid_to_s=np.full(len(rows), np.inf),
        epoch=0,
        revision=revision,
        space="space",
    )


def everybody(index: GalleryIndex) -> NDArray[np.bool_]:
    """The mask that lets all people match."""
    return np.ones(len(index.people), dtype=np.bool_)
