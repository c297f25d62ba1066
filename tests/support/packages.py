"""Writes small but whole model packages: real flatbuffers that run, with golden files.

The detector sees a face wherever a cell of its grid is red, with a fixed shape around the cell's
center; the embedder is a random projection. Both are full int8 and keep the audit's rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from edgeface.inference.description import parse_description
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import load_package, space_id
from edgeface.inference.runtimes import Runtime, find_runtime
from tests.support.tflite import OPS, Graph

INPUT_SCALE = 1 / 128
SIDES = (1.5, 1.5, 1.5, 2.0)
"""left, top, right, bottom of every face, in strides from the center of its cell."""
MARKS = (-0.5, -0.25, 0.5, -0.25, 0.0, 0.25, -0.5, 0.75, 0.5, 0.75)
"""x, y of its landmarks, in strides from the center of its cell."""
CALIBRATION: dict[str, Any] = {
    "scores": [-0.5, 0.0, 0.2, 0.3],
    "survival": [1.0, 0.5, 0.05, 0.01],
    "tail_start": 0.3,
    "tail_rate": 0.01,
    "tail_shape": 0.0,
    "tail_scale": 0.04,
    "smallest_fmr": 1e-5,
}

NAMED: dict[str, Any] = {
    "people": 250,
    "photographs": 3,
    "sizes": [
        {"people": 12, "threshold": 0.5, "still": 0.9, "track": 1.0},
        {"people": 100, "threshold": 0.6, "still": 0.8, "track": 0.98},
    ],
}

REFUSED: dict[str, Any] = {
    "people": 300,
    "thresholds": [{"bpcer": 0.01, "threshold": 0.25}, {"bpcer": 0.05, "threshold": 0.5}],
}


def detector_model(
    width: int = 96,
    height: int = 64,
    strides: Sequence[int] = (8, 16),
    biases: Sequence[float] = (-4.0, -60.0),
    *,
    compiled: bool = False,
) -> bytes:
    """A flatbuffer with score, box and landmarks for each stride.

    A cell's logit is its bias plus 16 for pure red, less 16 for pure blue; with the default biases
    only the first stride ever reports.
    """
    graph = Graph()
    image = graph.tensor("image", (1, height, width, 3), scale=INPUT_SCALE)
    outputs = []
    for stride, bias in zip(strides, biases, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        kernel = np.zeros((1, stride, stride, 3), np.int8)
        kernel[..., 0], kernel[..., 2] = 127, -127
        scale = 8 / (stride * stride * 127)
        for name, weights, offsets, step, weight_scale in (
            ("score", kernel, (bias,), 1 / 16, scale),
            ("box", np.zeros((4, stride, stride, 3), np.int8), SIDES, 1 / 32, 0.01),
            ("landmarks", np.zeros((10, stride, stride, 3), np.int8), MARKS, 1 / 64, 0.01),
        ):
            shape = (1, rows, columns, len(weights))
            output = graph.tensor(f"{name}_{stride}", shape, scale=step)
            bias_scale = INPUT_SCALE * weight_scale
            graph.conv(
                image,
                output,
                weights,
                np.round(np.array(offsets) / bias_scale).astype(np.int32),
                stride=stride,
                scale=weight_scale,
                bias_scale=bias_scale,
            )
            outputs.append(output)
    return graph.build([image], graph.accelerated(outputs) if compiled else outputs)


def embedder_model(
    size: int = 112, seed: int = 0, *, compiled: bool = False, dimensions: int = 128
) -> bytes:
    """A flatbuffer with one convolution and one dense layer of random weights."""
    random = np.random.default_rng(seed)
    graph = Graph()
    cells = -(-size // 16)
    image = graph.tensor("image", (1, size, size, 3), scale=INPUT_SCALE)
    hidden = graph.tensor("hidden", (1, cells, cells, 8), scale=0.05)
    output = graph.tensor("embedding", (1, dimensions), scale=0.05)
    scale = 1e-3
    graph.conv(
        image,
        hidden,
        random.integers(-80, 81, (8, 16, 16, 3)).astype(np.int8),
        np.zeros(8, np.int32),
        stride=16,
        scale=scale,
        bias_scale=INPUT_SCALE * scale,
    )
    graph.dense(
        hidden,
        output,
        random.integers(-80, 81, (dimensions, cells * cells * 8)).astype(np.int8),
        np.zeros(dimensions, np.int32),
        scale=scale,
        bias_scale=0.05 * scale,
    )
    return graph.build([image], graph.accelerated([output]) if compiled else [output])


def write_detector(
    folder: Path, model: bytes | None = None, *, compiled: bytes | None = None, **output: Any
) -> Path:
    """A detector package of 96x64 with strides 8 and 16; `output` replaces entries of that name."""
    levels = [
        {"stride": s, "score": f"score_{s}", "box": f"box_{s}", "landmarks": f"landmarks_{s}"}
        for s in (8, 16)
    ]
    description = {
        "format": 1,
        "name": "test_detector",
        "version": "1",
        "task": "face-detection",
        "licence": "none",
        "training_data": "none",
        "input": {"tensor": "image", "width": 96, "height": 64},
        "output": {"layout": "anchor-free", "levels": levels, **output},
    }
    _write(folder, description, model or detector_model(), compiled)
    pixels = np.full((64, 96, 3), 90, np.uint8)
    pixels[24:32, 40:48] = (255, 0, 0)

    def golden(detector: Detector) -> dict[str, NDArray[Any]]:
        found = detector.detect_input(pixels)
        return {"boxes": found.boxes, "landmarks": found.landmarks, "scores": found.scores}

    return _write_golden(folder, pixels, golden)


def write_embedder(
    folder: Path,
    model: bytes | None = None,
    *,
    compiled: bytes | None = None,
    dimensions: int = 128,
) -> Path:
    """An embedder package of 112x112."""
    description = {
        "format": 1,
        "name": "test_embedder",
        "version": "1",
        "task": "face-embedding",
        "licence": "none",
        "training_data": "none",
        "input": {"tensor": "image", "width": 112, "height": 112},
        "output": {"tensor": "embedding", "dimensions": dimensions},
        "alignment": "arcface-112",
        "space_id": "0" * 64,
        "calibration": CALIBRATION,
        "identification": NAMED,
    }
    _write(folder, description, model or embedder_model(dimensions=dimensions), compiled)
    pixels = np.random.default_rng(1).integers(0, 256, (112, 112, 3), np.uint8)

    def golden(embedder: Embedder) -> dict[str, NDArray[Any]]:
        return {"embedding": embedder.embed_input(pixels)}

    return _write_golden(folder, pixels, golden)


def liveness_model(side: int = 80) -> bytes:
    """A flatbuffer whose logit is 4 for pure red, -4 for pure blue, 0 for gray."""
    graph = Graph()
    image = graph.tensor("image", (1, side, side, 3), scale=INPUT_SCALE)
    output = graph.tensor("score", (1, 1, 1, 1), scale=1 / 16)
    kernel = np.zeros((1, side, side, 3), np.int8)
    kernel[..., 0], kernel[..., 2] = 127, -127
    scale = 2 / (side * side * 127)
    bias = np.zeros(1, np.int32)
    graph.conv(
        image, output, kernel, bias, stride=side, scale=scale, bias_scale=INPUT_SCALE * scale
    )
    return graph.build([image], [output])


def write_liveness(folder: Path, **changes: Any) -> Path:
    """An attack detector's package of 80x80; `changes` replace entries of its description."""
    description = {
        "format": 1,
        "name": "test_liveness",
        "version": "1",
        "task": "attack-detection",
        "licence": "none",
        "training_data": "none",
        "input": {"tensor": "image", "width": 80, "height": 80, "fit": "stretch"},
        "output": {"tensor": "score"},
        "calibration": REFUSED,
    }
    _write(folder, {**description, **changes}, liveness_model(), None)
    pixels = np.full((80, 80, 3), (200, 90, 40), np.uint8)
    return _write_golden(
        folder, pixels, lambda model: {"score": np.array(model.score_input(pixels), np.float32)}
    )


def edit_description(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Load `model.yaml` of a package, let `change` alter it, write it back."""
    path = folder / "model.yaml"
    description = yaml.safe_load(path.read_text())
    change(description)
    path.write_text(yaml.safe_dump(description, sort_keys=False))


def seal(folder: Path) -> None:
    """Bring the sha256 of every file and the space id in `model.yaml` up to date."""

    def change(description: dict[str, Any]) -> None:
        files = sorted(path for path in folder.iterdir() if path.name != "model.yaml")
        description["files"] = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }
        if "space_id" in description:
            parsed = parse_description(yaml.safe_dump(description), folder)
            description["space_id"] = space_id(
                description["files"]["model.tflite"], parsed.input, description["alignment"]
            )

    edit_description(folder, change)


def _write(folder: Path, description: dict[str, Any], model: bytes, compiled: bytes | None) -> None:
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(model)
    if compiled is not None:
        (folder / "model_edgetpu.tflite").write_bytes(compiled)
    np.savez(folder / "golden.npz", input=np.zeros(0, np.uint8))
    (folder / "model.yaml").write_text(yaml.safe_dump(description))
    seal(folder)


def _write_golden(
    folder: Path, pixels: NDArray[np.uint8], outputs: Callable[[Any], dict[str, NDArray[Any]]]
) -> Path:
    runtime: Runtime = find_runtime()
    model = open_on_cpu(load_package(folder), runtime)
    arrays: dict[str, Any] = outputs(model)
    np.savez(folder / "golden.npz", input=pixels, **arrays)
    seal(folder)
    return folder


def rectify_model() -> bytes:
    """A flatbuffer that runs but breaks a rule: a RELU of its own, which XNNPACK leaves out."""
    graph = Graph()
    x = graph.tensor("x", (1, 8, 8, 3), scale=0.5)
    y = graph.tensor("y", (1, 8, 8, 3), scale=0.5)
    graph.op(OPS.RELU, [x], [y], version=2)
    return graph.build([x], [y])


def name_only(sha256: str, version: str = "1", space: str = "space") -> Any:
    """What passes for a package where nobody looks into its files."""
    return SimpleNamespace(
        sha256=sha256,
        description=SimpleNamespace(version=version),
        space_id=space,
        dimensions=128,
        compiled=True,
    )
