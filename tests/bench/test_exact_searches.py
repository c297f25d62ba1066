"""The ways that `bench match` holds the product's search against find what numpy finds."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface.bench.exact_searches import MAKERS
from edgeface.recognition.templates import CodedRows

INSTALLED = [way for way, (module, _) in MAKERS.items() if importlib.util.find_spec(module)]
RANDOM = np.random.default_rng(4)
CODES = {
    "one row": RANDOM.integers(-127, 128, (1, 128), np.int8),
    "twice the same": np.repeat(RANDOM.integers(-127, 128, (40, 128), np.int8), 2, axis=0),
    "as large as can be": np.where(RANDOM.random((300, 128)) < 0.5, -127, 127).astype(np.int8),
    "long and short": np.concatenate(
        [
            RANDOM.integers(-127, 128, (20_000, 128), np.int8),
            RANDOM.integers(-3, 4, (500, 128), np.int8),
        ]
    ),
}


@pytest.mark.parametrize("codes", CODES.values(), ids=CODES)
@pytest.mark.parametrize("way", INSTALLED)
def test_the_nearest_row_is_found_with_its_cosine(way: str, codes: NDArray[np.int8]) -> None:
    probes = RANDOM.standard_normal((6, 128)).astype(np.float32)
    probes[:3] = CodedRows(codes)[:][RANDOM.integers(0, len(codes), 3)]
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    exact = CodedRows(codes).cosines(probes)
    rows, scores = MAKERS[way][1](codes)(probes)
    error = 5e-3 if way.startswith("usearch") else 1e-5
    assert scores == pytest.approx(exact.max(axis=1), abs=error)
    assert exact[np.arange(6), rows] == pytest.approx(exact.max(axis=1), abs=2 * error)
