from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.base.errors import ModelError
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.golden import GoldenResult, check_golden
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import load_package
from edgeface.inference.runtimes import Runtime
from tests.support.packages import detector_model, embedder_model, seal


def run(folder: Path, runtime: Runtime) -> GoldenResult:
    package = load_package(folder)
    return check_golden(package, open_on_cpu(package, runtime))


def alter(folder: Path, **changes: Callable[[Any], Any]) -> None:
    """Replace arrays of the golden file by what the callables make of them, and seal again."""
    with np.load(folder / "golden.npz") as file:
        arrays = dict(file)
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    np.savez(folder / "golden.npz", **{k: v for k, v in arrays.items() if v is not None})
    seal(folder)


@pytest.mark.parametrize("name", ["detector", "embedder"])
def test_the_right_model_passes(pristine: Path, runtime: Runtime, name: str) -> None:
    result = run(pristine / name, runtime)
    assert result.fault is None
    assert "red and blue swapped" in result.measured
    result.require()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        pytest.param("detector", detector_model(biases=(-20.0, -60.0)), id="blind-detector"),
        pytest.param("embedder", embedder_model(seed=9), id="other-embedder"),
    ],
)
def test_another_model_fails(packages: Path, runtime: Runtime, name: str, model: bytes) -> None:
    (packages / name / "model.tflite").write_bytes(model)
    seal(packages / name)
    result = run(packages / name, runtime)
    assert result.fault is not None
    with pytest.raises(ModelError, match=f"{name}: golden run: "):
        result.require()


@pytest.mark.parametrize("name", ["detector", "embedder"])
def test_the_wrong_channel_order_fails(packages: Path, runtime: Runtime, name: str) -> None:
    alter(packages / name, input=lambda pixels: pixels[..., ::-1])
    assert run(packages / name, runtime).fault is not None


def test_a_grey_face_cannot_vouch_for_a_detector(packages: Path, runtime: Runtime) -> None:
    folder = packages / "detector"
    (folder / "model.tflite").write_bytes(detector_model(biases=(4.0, -60.0)))
    alter(folder, input=lambda pixels: np.full_like(pixels, 128))
    detector = open_on_cpu(load_package(folder), runtime)
    assert isinstance(detector, Detector)
    found = detector.detect_input(np.full((64, 96, 3), 128, np.uint8))
    assert len(found) > 0
    alter(
        folder,
        boxes=lambda _: found.boxes,
        landmarks=lambda _: found.landmarks,
        scores=lambda _: found.scores,
    )
    assert "passes with red and blue swapped" in str(run(folder, runtime).fault)


def test_a_grey_face_cannot_vouch_for_an_embedder(packages: Path, runtime: Runtime) -> None:
    folder = packages / "embedder"
    embedder = open_on_cpu(load_package(folder), runtime)
    assert isinstance(embedder, Embedder)
    gray = np.random.default_rng(6).integers(0, 256, (112, 112, 1), np.uint8).repeat(3, axis=2)
    vector = embedder.embed_input(gray)
    alter(folder, input=lambda _: gray, embedding=lambda _: vector)
    assert "passes with red and blue swapped" in str(run(folder, runtime).fault)


@pytest.mark.parametrize(
    ("array", "change", "fault"),
    [
        pytest.param("boxes", lambda b: b + 5, "IoU 0", id="box-moved"),
        pytest.param("landmarks", lambda m: m + 2, "landmarks 2.83 px off", id="landmarks-moved"),
        pytest.param("scores", lambda s: s - 0.1, "scores 0.100 off", id="score-changed"),
        pytest.param("boxes", lambda b: b * np.nan, "IoU 0", id="box-not-a-number"),
        pytest.param("landmarks", lambda m: m * np.nan, "nan px off", id="landmark-not-a-number"),
        pytest.param("scores", lambda s: s * np.nan, "scores nan off", id="score-not-a-number"),
        pytest.param("boxes", lambda b: np.repeat(b, 2, 0), "landmarks: float32", id="count"),
        pytest.param("boxes", lambda b: b[:0], "landmarks: ", id="none"),
        pytest.param("boxes", lambda b: b.astype(np.float64), "boxes: float32", id="dtype"),
        pytest.param("scores", lambda _: None, "scores: missing", id="missing"),
        pytest.param("input", lambda p: p[1:], "input: uint8", id="input-size"),
    ],
)
def test_a_golden_output_that_is_not_met_is_named(
    packages: Path, runtime: Runtime, array: str, change: Callable[[Any], Any], fault: str
) -> None:
    alter(packages / "detector", **{array: change})
    try:
        found = run(packages / "detector", runtime).fault
    except ModelError as error:
        found = str(error)
    assert fault in str(found)


def test_a_face_more_than_there_should_be_fails(packages: Path, runtime: Runtime) -> None:
    def second(pixels: Any) -> Any:
        pixels[40:48, 8:16] = (255, 0, 0)
        return pixels

    alter(packages / "detector", input=second)
    assert "2 faces for 1" in str(run(packages / "detector", runtime).fault)


def test_a_model_of_the_other_task_is_refused(pristine: Path, runtime: Runtime) -> None:
    detector = open_on_cpu(load_package(pristine / "detector"), runtime)
    with pytest.raises(ModelError, match="not what the model does"):
        check_golden(load_package(pristine / "embedder"), detector)
