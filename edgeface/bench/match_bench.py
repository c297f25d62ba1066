"""The match benchmark: a search of the gallery from a hundred templates to a million, beside what
else searches unit vectors exactly, where it is installed."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.bench.exact_searches import MAKERS, Found, Rows, Search
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.matching import match
from edgeface.recognition.templates import KEEP_DECODED, CodedRows

COUNTS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
BATCH: Final = 8
MOST_ALLOWED: Final = 0.9
"""The share of people who may match where a mask is measured."""
_DIMENSIONS: Final = 128
_AMONG: Final = 0.9
"""The cosine of a probe to the template of the person it is of."""


@dataclass(frozen=True, slots=True)
class MatchSpeed:
    """One way to search so many templates. Milliseconds are medians on one thread, taken in turns
    with the other ways."""

    way: str
    templates: int
    probe_ms: float
    batch_ms: float
    """Of `BATCH` probes at once."""
    masked_ms: float | None
    """Of one probe where only `MOST_ALLOWED` of the people may match; None where it cannot."""
    build_ms: float
    swap_ms: float | None
    """Until an index with one person more is there; None where it is not made anew."""
    bytes_a_template: float
    same_top: bool
    """Whether each probe's nearest is that of all decoded rows, or one as near."""
    largest_error: float
    """Of a cosine."""


@dataclass(frozen=True, slots=True)
class MatchBench:
    """What `edgeface bench match` prints."""

    speeds: list[MatchSpeed]
    left_out: list[str]
    """What is not installed."""


def bench_match(
    counts: Sequence[int], runs: int, each: Callable[[int], object] | None = None
) -> MatchBench:
    """Search galleries of so many people; `each` is told how many galleries are done."""
    left_out: list[str] = []
    makers: dict[str, Callable[[NDArray[np.int8]], Search]] = {}
    for way, (module, maker) in MAKERS.items():
        try:
            importlib.import_module(module)
            makers[way] = maker
        except ImportError:
            left_out.append(f"{way}: not installed")
    speeds: list[MatchSpeed] = []
    for done, count in enumerate(counts, 1):
        speeds += _measured(count, runs, makers)
        if each is not None:
            each(done)
    return MatchBench(speeds, left_out)


def _measured(
    count: int, runs: int, makers: dict[str, Callable[[NDArray[np.int8]], Search]]
) -> list[MatchSpeed]:
    random = np.random.default_rng(count)
    codes = random.integers(-127, 128, (count, _DIMENSIONS), np.int8)
    probes = _probes(codes, random)
    began_s = time.perf_counter()
    index = _index(CodedRows(codes))
    built = {"edgeface": time.perf_counter() - began_s}
    mask = random.random(count) < MOST_ALLOWED
    everybody = np.ones(count, np.bool_)
    ways: dict[str, Search] = {"edgeface": lambda some: _matched(some, index, everybody)}
    for way, maker in makers.items():
        began_s = time.perf_counter()
        ways[way] = maker(codes)
        built[way] = time.perf_counter() - began_s
    probe_ms, batch_ms = _medians_ms(ways, probes[:1], runs), _medians_ms(ways, probes, runs)
    masked: dict[str, Search] = {"edgeface": lambda some: _matched(some, index, mask)}
    masked_ms = _medians_ms(masked, probes[:1], runs)
    began_s = time.perf_counter()
    _index(index.matrix.changed(everybody, codes[:1]))
    swap = {"edgeface": (time.perf_counter() - began_s) * 1e3}
    speeds = []
    for way, search in ways.items():
        same, error = _agreement(search(probes), codes, probes)
        speeds.append(
            MatchSpeed(
                way=way,
                templates=count,
                probe_ms=probe_ms[way],
                batch_ms=batch_ms[way],
                masked_ms=masked_ms.get(way),
                build_ms=built[way] * 1e3,
                swap_ms=swap.get(way),
                bytes_a_template=_bytes(way, count),
                same_top=same,
                largest_error=error,
            )
        )
    return speeds


def _probes(codes: NDArray[np.int8], random: np.random.Generator) -> Rows:
    """Half of them look like somebody in the gallery."""
    probes = random.standard_normal((BATCH, _DIMENSIONS)).astype(np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    known = codes[random.integers(0, len(codes), BATCH // 2)].astype(np.float32)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    probes[: BATCH // 2] = _AMONG * known + np.sqrt(1 - _AMONG**2) * probes[: BATCH // 2]
    return np.asarray(probes / np.linalg.norm(probes, axis=1, keepdims=True), np.float32)


def _index(rows: CodedRows) -> GalleryIndex:
    people = len(rows)
    return GalleryIndex(
        matrix=rows,
        owners=np.arange(people, dtype=np.int32),
        people=tuple(map(str, range(people))),
        display_names=(None,) * people,
        valid_from_s=np.full(people, -np.inf),
        valid_to_s=np.full(people, np.inf),
        epoch=0,
        revision=1,
        space="bench",
    )


def _matched(probes: Rows, index: GalleryIndex, allowed: NDArray[np.bool_]) -> Found:
    found = match(probes, np.ones(len(probes), np.float32), index, allowed)
    return found.frame_people.astype(np.int64), found.frame_scores


def _bytes(way: str, count: int) -> float:
    """What is held of a template while it can be searched; of others the owner is left out."""
    codes, number = _DIMENSIONS, 4
    return {
        "edgeface": codes + 2 * number + (number * codes if count <= KEEP_DECODED else 0),
        "faiss flat": number * codes,
        "usearch exact": codes,
        # Codes, those in the file, those that the runtime has packed with three numbers a row.
        "LiteRT + floats": 3 * codes + 4 * number,
    }.get(way, codes + number)


def _agreement(found: Found, codes: NDArray[np.int8], probes: Rows) -> tuple[bool, float]:
    exact = CodedRows(codes).cosines(probes)
    rows, scores = found
    nearest = exact.max(axis=1)
    places = np.arange(len(probes))
    error = float(np.abs(scores - nearest).max())
    return bool((exact[places, rows] >= nearest - 1e-5).all()), error


def _medians_ms(ways: dict[str, Search], probes: Rows, runs: int) -> dict[str, float]:
    spent_s: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(runs + 1):
        for way, search in ways.items():
            began_s = time.perf_counter()
            search(probes)
            if turn:
                spent_s[way].append(time.perf_counter() - began_s)
    return {way: float(np.median(times)) * 1e3 for way, times in spent_s.items()}
