from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface.base.errors import ModelError
from edgeface.inference.embedder import Embedder
from edgeface.inference.network import TensorSpec
from edgeface.inference.package import load_package
from edgeface.inference.runtimes import Runtime
from edgeface.recognition.values import Image
from tests.support.packages import INPUT_SCALE, edit_description, seal, write_embedder
from tests.support.tflite import Graph


def open_embedder(folder: Path, runtime: Runtime) -> Embedder:
    package = load_package(folder)
    return Embedder(package, runtime.interpreter(package.read("model.tflite")))


def crops(count: int) -> list[Image]:
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (112, 112, 3), np.uint8) for _ in range(count)]


def zero_model() -> bytes:
    """Gives 128 zeros whatever it sees."""
    graph = Graph()
    image = graph.tensor("image", (1, 112, 112, 3), scale=INPUT_SCALE)
    output = graph.tensor("embedding", (1, 128), scale=0.05)
    graph.dense(
        image,
        output,
        np.zeros((128, 112 * 112 * 3), np.int8),
        np.zeros(128, np.int32),
        scale=0.01,
        bias_scale=INPUT_SCALE * 0.01,
    )
    return graph.build([image], [output])


def test_embeddings_are_unit_rows_in_the_order_of_the_crops(
    pristine: Path, runtime: Runtime
) -> None:
    embedder = open_embedder(pristine / "embedder", runtime)
    images = crops(3)
    rows = embedder.embed(images)
    assert rows.shape == (3, 128)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(embedder.embed(images[::-1]), rows[::-1])


def test_no_crops_give_no_rows(pristine: Path, runtime: Runtime) -> None:
    assert open_embedder(pristine / "embedder", runtime).embed([]).shape == (0, 128)


def test_a_model_that_wants_bgr_gets_it(packages: Path, runtime: Runtime) -> None:
    (crop,) = crops(1)
    expected = open_embedder(packages / "embedder", runtime).embed([crop[..., ::-1]])
    edit_description(packages / "embedder", lambda d: d["input"].update(channels="BGR"))
    seal(packages / "embedder")
    assert np.array_equal(open_embedder(packages / "embedder", runtime).embed([crop]), expected)


def test_a_crop_of_another_size_is_refused(pristine: Path, runtime: Runtime) -> None:
    embedder = open_embedder(pristine / "embedder", runtime)
    with pytest.raises(ValueError, match=r"\(112, 112, 3\) is needed"):
        embedder.embed([np.zeros((96, 96, 3), np.uint8)])


def test_a_vector_of_length_zero_is_an_error_not_a_nan(tmp_path: Path, runtime: Runtime) -> None:
    folder = write_embedder(tmp_path / "zeros")
    (folder / "model.tflite").write_bytes(zero_model())
    seal(folder)
    embedder = open_embedder(folder, runtime)
    with pytest.raises(ModelError, match="length 0"):
        embedder.embed(crops(1))


def test_a_vector_of_endless_length_is_an_error_not_a_nan(
    pristine: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = open_embedder(pristine / "embedder", runtime)
    endless = np.full((1, 128), np.inf, np.float32)
    monkeypatch.setattr(TensorSpec, "dequantize", lambda spec, values: endless)
    with pytest.raises(ModelError, match="length inf"):
        embedder.embed(crops(1))


def test_an_embedder_that_takes_no_aligned_crops_is_refused(packages: Path) -> None:
    edit_description(packages / "embedder", lambda d: d["input"].update(width=96, height=96))
    fault = r"model\.yaml: .*input: 96x96, but crops aligned to arcface-112 are 112x112"
    with pytest.raises(ModelError, match=fault):
        load_package(packages / "embedder")


def test_an_unknown_alignment_is_refused_by_its_field(packages: Path) -> None:
    edit_description(packages / "embedder", lambda d: d.update(alignment="arcface-96"))
    fault = r"alignment: .*should be 'arcface-112' or 'retail-128'"
    with pytest.raises(ModelError, match=fault):
        load_package(packages / "embedder")


def test_a_detector_is_no_embedder(pristine: Path, runtime: Runtime) -> None:
    with pytest.raises(ModelError, match="face-detection, not a face embedder"):
        open_embedder(pristine / "detector", runtime)
