"""The golden test: a known input must give the known output, and a wrong input must not.

It catches a wrong file, a swapped channel order and an accelerator that computes nonsense. Run
before ready and now and then while no face is in view, on the interpreters in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.description import (
    GOLDEN_FILE,
    DetectorDescription,
    DetectorGolden,
    EmbedderDescription,
    EmbedderGolden,
    LivenessDescription,
    LivenessGolden,
)
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.package import ModelPackage
from edgeface.inference.passive_liveness import PassiveLiveness
from edgeface.recognition.values import Box, Image


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """What a golden run gave."""

    measured: str
    """The numbers, for people."""
    fault: str | None = None
    """Why it failed; None when it passed."""

    def require(self) -> None:
        """Raise ModelError with the fault, if there is one."""
        if self.fault is not None:
            raise ModelError(self.fault)


def check_golden(
    package: ModelPackage, model: Detector | Embedder | PassiveLiveness
) -> GoldenResult:
    """Run the golden input of `package` on `model`, then the same with red and blue swapped.

    Passes when the first run matches within the tolerances of `model.yaml` and the second does
    not. Raises ModelError when `golden.npz` cannot be used or the model cannot be run.
    """
    arrays = package.golden()
    rules = package.description
    size = (rules.input.height, rules.input.width, 3)
    pixels = _array(package, arrays, "input", np.uint8, size)
    swapped = np.ascontiguousarray(pixels[..., ::-1])
    if isinstance(model, Detector) and isinstance(rules, DetectorDescription):
        fault, measured = _compare_faces(package, rules.golden, model, arrays, pixels)
        other, other_measured = _compare_faces(package, rules.golden, model, arrays, swapped)
    elif isinstance(model, Embedder) and isinstance(rules, EmbedderDescription):
        fault, measured = _compare_embedding(package, rules.golden, model, arrays, pixels)
        other, other_measured = _compare_embedding(package, rules.golden, model, arrays, swapped)
    elif isinstance(model, PassiveLiveness) and isinstance(rules, LivenessDescription):
        fault, measured = _compare_score(package, rules.golden, model, arrays, pixels)
        other, other_measured = _compare_score(package, rules.golden, model, arrays, swapped)
    else:
        raise ModelError(f"{package.folder}: {rules.task}, not what the model does")
    measured = f"{measured}; red and blue swapped: {other_measured}"
    if fault is not None:
        return GoldenResult(measured, f"{package.folder}: golden run: {fault}")
    if other is None:
        fault = f"{package.folder}: golden run: passes with red and blue swapped ({other_measured})"
        return GoldenResult(measured, fault)
    return GoldenResult(measured)


def _array(
    package: ModelPackage,
    arrays: dict[str, NDArray[Any]],
    name: str,
    dtype: type[np.generic],
    shape: tuple[int | None, ...],
) -> NDArray[Any]:
    source = package.folder / GOLDEN_FILE
    if name not in arrays:
        raise ModelError(f"{source}: {name}: missing")
    array = arrays[name]
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        sizes = tuple("n" if size is None else size for size in shape)
        given = f"{array.dtype} {array.shape}"
        raise ModelError(f"{source}: {name}: {np.dtype(dtype)} {sizes} is needed, not {given}")
    return array


def _compare_embedding(
    package: ModelPackage,
    rules: EmbedderGolden,
    embedder: Embedder,
    arrays: dict[str, NDArray[Any]],
    pixels: Image,
) -> tuple[str | None, str]:
    least = rules.embedding_cosine_min
    golden = _array(package, arrays, "embedding", np.float32, (embedder.dimensions,))
    norm = float(np.linalg.norm(golden))
    cosine = float(embedder.embed_input(pixels) @ golden) / norm if norm > 0 else 0.0
    measured = f"cosine {cosine:.4f}"
    return (None if cosine >= least else f"{measured}, at least {least} is needed"), measured


def _compare_score(
    package: ModelPackage,
    rules: LivenessGolden,
    liveness: PassiveLiveness,
    arrays: dict[str, NDArray[Any]],
    pixels: Image,
) -> tuple[str | None, str]:
    most = rules.score_tolerance
    golden = float(_array(package, arrays, "score", np.float32, ()))
    change = abs(liveness.score_input(pixels) - golden)
    measured = f"score {change:.3f} off"
    # A value that is not a number meets nothing.
    return (None if change <= most else f"{measured}, at most {most} allowed"), measured


def _compare_faces(
    package: ModelPackage,
    rules: DetectorGolden,
    detector: Detector,
    arrays: dict[str, NDArray[Any]],
    pixels: Image,
) -> tuple[str | None, str]:
    boxes = _array(package, arrays, "boxes", np.float32, (None, 4))
    landmarks = _array(package, arrays, "landmarks", np.float32, (len(boxes), 5, 2))
    scores = _array(package, arrays, "scores", np.float32, (len(boxes),))
    if len(boxes) == 0:
        raise ModelError(f"{package.folder / GOLDEN_FILE}: boxes: at least one face is needed")
    found = detector.detect_input(pixels)
    if len(found) != len(boxes):
        measured = f"{len(found)} faces for {len(boxes)}"
        return measured, measured
    overlaps = np.array(
        [[Box(*golden).iou(Box(*box)) for box in found.boxes.tolist()] for golden in boxes.tolist()]
    )
    nearest = overlaps.argmax(axis=1)
    overlap = float(overlaps.max(axis=1).min())
    moved = np.linalg.norm(found.landmarks[nearest] - landmarks, axis=2)
    distance = float(moved.max())
    change = float(np.abs(found.scores[nearest] - scores).max())
    measured = f"IoU {overlap:.3f}, landmarks {distance:.2f} px, score {change:.3f} off"
    # A value that is not a number meets nothing.
    if not overlap >= rules.iou_min:
        return f"IoU {overlap:.3f}, at least {rules.iou_min} is needed", measured
    if not distance <= rules.landmark_px:
        return f"landmarks {distance:.2f} px off, at most {rules.landmark_px} allowed", measured
    if not change <= rules.score_tolerance:
        return f"scores {change:.3f} off, at most {rules.score_tolerance} allowed", measured
    return None, measured
