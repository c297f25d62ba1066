"""Other ways to find the nearest row of each probe among coded rows, held beside edgeface's own.

Those of two stages multiply a probe that is rounded to int8 with all codes, and compare with floats
what may be nearest: by Cauchy and Schwarz a cosine is off by the length of what was rounded away at
most.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.bench.plain_product import product_network
from edgeface.inference.runtimes import Interpreter, find_runtime
from edgeface.recognition.templates import CodedRows, decode_codes

Rows: TypeAlias = NDArray[np.float32]
Found: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Of each probe the nearest row, `(k,)`, and its cosine, `(k,)`."""
Piece: TypeAlias = tuple[slice, NDArray[Any]]
"""Some of the rows, and the products of int8 probes with them, `(k, b)`."""
_LARGEST: Final = np.float32(127)
_SPAN: Final = 16384


class Search(Protocol):
    """Finds the nearest row of each probe, float32 `(k, d)`."""

    def __call__(self, probes: Rows, /) -> Found: ...


def _faiss(codes: NDArray[np.int8]) -> Search:
    faiss: Any = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(codes.shape[1])
    index.add(CodedRows(codes)[:])

    def search(probes: Rows) -> Found:
        scores, rows = index.search(probes, 1)
        return rows[:, 0], scores[:, 0]

    return search


def _usearch(codes: NDArray[np.int8]) -> Search:
    library: Any = importlib.import_module("usearch.index")

    def search(probes: Rows) -> Found:
        whole = np.rint(_scaled(probes)).astype(np.int8)
        found = library.search(codes, whole, 1, library.MetricKind.Cos, exact=True, threads=1)
        rows = np.asarray(found.keys, np.int64).reshape(len(probes))
        return rows, 1 - np.asarray(found.distances, np.float32).reshape(len(probes))

    return search


def _numkong(codes: NDArray[np.int8]) -> Search:
    library: Any = importlib.import_module("numkong")

    def scan(probes: NDArray[np.int8]) -> Iterator[Piece]:
        packed = library.dots_pack(probes, dtype="int8")
        for rows in _spans(len(codes)):
            yield rows, np.asarray(library.dots_packed(codes[rows], packed)).T

    return _two_stages(codes, scan)


def _litert(codes: NDArray[np.int8]) -> Search:
    """The rows are the weights of a network, one for each number of probes."""
    runtime, made = find_runtime(), dict[int, Interpreter]()
    step = codes.shape[1] * float(_LARGEST)  # 127 of them are the largest product there can be.

    def scan(probes: NDArray[np.int8]) -> Iterator[Piece]:
        count = len(probes)
        if count not in made:
            made[count] = runtime.interpreter(product_network(codes, count, step))
        network = made[count]
        network.set_tensor(int(network.get_input_details()[0]["index"]), probes)
        network.invoke()
        found = network.get_tensor(int(network.get_output_details()[0]["index"]))
        for rows in _spans(len(codes)):
            yield rows, found[:, rows] * np.float32(step)

    return _two_stages(codes, scan, step)


MAKERS: Final[dict[str, tuple[str, Callable[[NDArray[np.int8]], Search]]]] = {
    "faiss flat": ("faiss", _faiss),
    # Before usearch, which brings an older copy of it: the other way round the process crashes.
    "numkong + floats": ("numkong", _numkong),
    "usearch exact": ("usearch", _usearch),
    "LiteRT + floats": ("ai_edge_litert", _litert),
}
"""The module that each needs, and what makes it from the codes, int8 `(n, d)`."""


def _spans(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _SPAN, count)) for start in range(0, count, _SPAN))


def _scaled(probes: Rows) -> Rows:
    return np.asarray(probes * (_LARGEST / np.abs(probes).max(axis=1, keepdims=True)), np.float32)


def _two_stages(
    codes: NDArray[np.int8], scan: Callable[[NDArray[np.int8]], Iterator[Piece]], step: float = 0.0
) -> Search:
    """`scan` gives products that are off by half a `step` at most."""
    lengths = np.concatenate(
        [np.linalg.norm(codes[rows].astype(np.float32), axis=1) for rows in _spans(len(codes))]
    )
    coarse = step / float(lengths.min())

    def search(probes: Rows) -> Found:
        scaled = _scaled(probes)
        whole = np.rint(scaled)
        # Twice: what is nearest may look further by it, and what is not may look nearer.
        slack = 2 * np.linalg.norm(scaled - whole, axis=1) + coarse
        best = np.full(len(probes), -np.inf)
        near: list[list[NDArray[np.int64]]] = [[] for _ in probes]
        for rows, products in scan(whole.astype(np.int8)):
            rough = products / lengths[rows]
            best = np.maximum(best, rough.max(axis=1))
            for number, least in enumerate(best - slack):
                near[number].append(np.flatnonzero(rough[number] >= least) + rows.start)
        found, scores = np.empty(len(probes), np.int64), np.empty(len(probes), np.float32)
        for number, probe in enumerate(probes):
            chosen = np.concatenate(near[number])
            cosines = decode_codes(codes[chosen]) @ probe
            first = int(np.argmax(cosines))
            found[number], scores[number] = chosen[first], cosines[first]
        return found, scores

    return search
