"""The embedding teacher, its inner maps included: it looks at the very view that the student sees.

The maps are given as they are to be learned: each channel less its mean, by its deviation. Both are
inside the teacher's graph, as is the change to channels last, so that nothing is computed twice.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgeface.base.errors import ModelError
from models.training.embedder import STREAM
from models.training.faces import load, load_bank
from models.training.views import CROP_PX, normalise, random_view

NODES = ("430", "494", "509", "557", "605", "620", "652")
"""The layers of face-reidentification-retail-0095 after which the student's segments end."""
STATISTICS = "maps.npz"


@dataclass(frozen=True)
class Lesson:
    """A batch: `images` bfloat16 `(n, 3, 128, 128)`; the seven `maps` that the student should have,
    bfloat16 channels last; the teacher's unit `targets` float32 `(n, d)` on its principal axes."""

    images: Tensor
    maps: tuple[Tensor, ...]
    targets: Tensor


def _compiled(xml: Path, batch: int, threads: int, statistics: Any | None) -> Any:
    import openvino
    from openvino import opset13 as ops

    if not xml.is_file():
        raise FileNotFoundError(errno.ENOENT, "no such teacher", str(xml))
    core = openvino.Core()
    try:
        network = core.read_model(xml)
    except RuntimeError as error:
        raise ModelError(f"{xml}: not an OpenVINO model: {error}") from error
    nodes = {node.get_friendly_name(): node for node in network.get_ordered_ops()}
    missing = [name for name in NODES if name not in nodes]
    if missing:
        raise ModelError(f"{xml}: has no layer {missing[0]}; it is not the teacher of the pool")
    outputs = [network.output(0)]
    for place, name in enumerate(NODES):
        out = nodes[name].output(0)
        if statistics is not None:
            mean, spread = statistics[f"mean{place}"], statistics[f"deviation{place}"]
            gain = ops.constant((1 / spread).reshape(1, -1, 1, 1).astype(np.float32))
            shift = ops.constant((-mean / spread).reshape(1, -1, 1, 1).astype(np.float32))
            out = ops.add(ops.multiply(out, gain), shift).output(0)
        outputs.append(ops.transpose(out, ops.constant(np.array([0, 2, 3, 1]))).output(0))
    wrapped = openvino.Model(outputs, network.get_parameters())
    wrapped.reshape([batch, 3, CROP_PX, CROP_PX])
    precision = "f32" if statistics is None else "bf16"
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    return core.compile_model(wrapped, "CPU", options).create_infer_request()


def _run(request: Any, views: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    request.infer({0: views.transpose(0, 3, 1, 2).astype(np.float32)})
    return [request.get_output_tensor(i).data for i in range(1 + len(NODES))]


def prepare(cache: Path, xml: Path, batch: int = 64, count: int = 512) -> None:
    """Write the mean and deviation of every channel of the teacher's maps over plain faces.

    `xml` is the OpenVINO IR file; needs the `openvino` package. Raises FileNotFoundError without a
    prepared pool in `cache`, ModelError when the teacher lacks one of `NODES`.
    """
    pool = load(cache, in_memory=False)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(pool))[:count]
    batch = min(batch, len(rows))
    request = _compiled(xml, batch, 1, None)
    sums, squares, cells = [0.0] * len(NODES), [0.0] * len(NODES), [0] * len(NODES)
    for start in range(0, len(rows) - batch + 1, batch):
        views = [
            random_view(rng, np.asarray(pool.images[r]), 0.0, 0.0) for r in rows[start:][:batch]
        ]
        for place, found in enumerate(_run(request, np.stack(views))[1:]):
            flat = found.reshape(-1, found.shape[-1]).astype(np.float64)
            sums[place] = sums[place] + flat.sum(axis=0)
            squares[place] = squares[place] + (flat**2).sum(axis=0)
            cells[place] += len(flat)
    facts = {}
    for place, width in enumerate(STREAM):
        mean = np.asarray(sums[place]) / cells[place]
        spread = np.sqrt(np.maximum(np.asarray(squares[place]) / cells[place] - mean**2, 1e-12))
        if mean.shape != (width,):
            raise ModelError(f"{xml}: layer {NODES[place]} has not {width} channels")
        facts[f"mean{place}"], facts[f"deviation{place}"] = mean, spread
    np.savez(cache / STATISTICS, **facts)


class Teacher:
    """Gives lessons: one pass of the teacher for each batch of views."""

    def __init__(self, cache: Path, xml: Path, batch: int, threads: int = 1) -> None:
        """Raises FileNotFoundError before `prepare`, ModelError for another teacher's file."""
        self._axes = torch.from_numpy(load_bank(cache).axes)
        self._request = _compiled(xml, batch, threads, np.load(cache / STATISTICS))

    def lesson(self, views: Sequence[NDArray[np.uint8]]) -> Lesson:
        """What to learn from views BGR uint8 `(128, 128, 3)`, as many as a batch has."""
        stacked = np.stack(views)
        embedding, *maps = (torch.from_numpy(found) for found in _run(self._request, stacked))
        return Lesson(
            as_fed(normalise(stacked)),
            tuple(found.to(torch.bfloat16).permute(0, 3, 1, 2) for found in maps),
            functional.normalize(functional.normalize(embedding.flatten(1)) @ self._axes),
        )


def as_fed(images: Tensor) -> Tensor:
    """bfloat16, channels last."""
    return images.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
