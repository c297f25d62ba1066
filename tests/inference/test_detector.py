from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.description import Preprocessing
from edgeface.inference.detector import Detector
from edgeface.inference.network import Preprocessor, Quantization, TensorSpec
from edgeface.inference.package import load_package
from edgeface.inference.runtimes import Runtime
from tests.support.packages import detector_model, edit_description, write_detector
from tests.support.yardstick import in_yardsticks

RED = (0, 0, 255)  # BGR


def open_detector(folder: Path, runtime: Runtime, **options: float) -> Detector:
    package = load_package(folder)
    content = package.read("model.tflite")
    return Detector(package, runtime.interpreter(content), **options)  # type: ignore[arg-type]


def scene(width: int = 96, height: int = 64, *, scale: int = 1) -> NDArray[np.uint8]:
    """Gray, with the cell of row 3, column 5 (stride 8) red."""
    image = np.full((height * scale, width * scale, 3), 90, np.uint8)
    image[24 * scale : 32 * scale, 40 * scale : 48 * scale] = RED
    return image


@pytest.fixture
def detector(pristine: Path, runtime: Runtime) -> Detector:
    return open_detector(pristine / "detector", runtime)


def test_a_face_is_found_where_it_is(detector: Detector) -> None:
    (face,) = detector.detect(scene())
    # Cell center (44, 28), sides of 1.5, 1.5, 1.5 and 2 strides.
    assert (face.box.left, face.box.top, face.box.right, face.box.bottom) == (32, 16, 56, 44)
    assert face.landmarks.dtype == np.float32
    assert face.landmarks.tolist() == [[40, 26], [48, 26], [44, 30], [40, 34], [48, 34]]
    assert face.score == pytest.approx(1 / (1 + math.exp(-127 / 16)), abs=1e-6)


def test_a_doubtful_face_is_found_when_asked_for(pristine: Path, runtime: Runtime) -> None:
    score = 1 / (1 + math.exp(-127 / 16))
    strict = open_detector(pristine / "detector", runtime, score_threshold=(1 + score) / 2)
    assert strict.detect(scene()) == []
    (face,) = strict.detect(scene(), doubtful=True)
    assert face.score == pytest.approx(score, abs=1e-6)
    assert not face.sure


def test_a_face_whose_score_reaches_the_threshold_is_sure(pristine: Path, runtime: Runtime) -> None:
    for threshold in (0.5, 1 / (1 + math.exp(-127 / 16))):
        detector = open_detector(pristine / "detector", runtime, score_threshold=threshold)
        for doubtful in (False, True):
            assert [face.sure for face in detector.detect(scene(), doubtful=doubtful)] == [True]


def test_nothing_is_found_where_nothing_is(detector: Detector) -> None:
    assert detector.detect(np.full((64, 96, 3), 90, np.uint8)) == []


def test_results_are_in_pixels_of_a_larger_image(detector: Detector) -> None:
    (face,) = detector.detect(scene(scale=10))
    assert face.box.left == pytest.approx(320)
    assert face.box.bottom == pytest.approx(440)
    assert face.landmarks[2] == pytest.approx([440, 300])
    assert face.zoom == pytest.approx(0.1)


def test_how_closely_was_looked_counts_from_the_full_image(detector: Detector) -> None:
    (face,) = detector.detect(scene(scale=5), (2.0, 2.0))
    assert face.zoom == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("width", "height"),
    [pytest.param(96, 32, id="wide"), pytest.param(48, 64, id="tall")],
)
def test_letterboxing_does_not_move_faces(detector: Detector, width: int, height: int) -> None:
    image = np.full((height * 4, width * 4, 3), 90, np.uint8)
    image[8 * 4 : 16 * 4, 16 * 4 : 24 * 4] = RED
    (face,) = detector.detect(image)
    assert face.box.center == pytest.approx((20 * 4, 12 * 4 + 8))


def test_stretching_maps_each_axis_by_its_own_factor(packages: Path, runtime: Runtime) -> None:
    edit_description(packages / "detector", lambda d: d["input"].update(fit="stretch"))
    (face,) = open_detector(packages / "detector", runtime).detect(
        cv2.resize(scene(), (192, 256), interpolation=cv2.INTER_NEAREST)
    )
    assert face.box.left == pytest.approx(64)
    assert face.box.top == pytest.approx(64)


def test_the_scale_of_a_smaller_detection_image_is_applied(detector: Detector) -> None:
    (small,) = detector.detect(scene())
    (full,) = detector.detect(scene(), (4.0, 3.0))
    assert full.box == small.box.scale(4.0, 3.0)
    assert full.landmarks == pytest.approx(small.landmarks * np.array([4.0, 3.0]))


def test_an_image_smaller_than_the_input_is_enlarged(detector: Detector) -> None:
    image = cv2.resize(scene(), (48, 32), interpolation=cv2.INTER_AREA)
    (face,) = detector.detect(image)
    assert face.box.left == pytest.approx(16)


def test_one_call_leaves_nothing_for_the_next(pristine: Path, runtime: Runtime) -> None:
    detector = open_detector(pristine / "detector", runtime, max_faces=100)
    assert len(detector.detect(np.full((64, 96, 3), RED, np.uint8))) > 30
    narrow = detector.detect(np.full((64, 32, 3), RED, np.uint8))
    assert max(face.box.center[0] for face in narrow) < 32
    assert detector.detect(np.full((64, 32, 3), 90, np.uint8)) == []


def test_no_more_faces_than_allowed(pristine: Path, runtime: Runtime) -> None:
    detector = open_detector(pristine / "detector", runtime, max_faces=2)
    assert len(detector.detect(np.full((64, 96, 3), RED, np.uint8))) == 2


def test_a_threshold_of_ones_own_replaces_the_package(pristine: Path, runtime: Runtime) -> None:
    image = scene()
    image[24:32, 40:48] = (90, 90, 140)  # a logit near -0.9
    assert open_detector(pristine / "detector", runtime).detect(image) == []
    low = open_detector(pristine / "detector", runtime, score_threshold=0.1)
    assert len(low.detect(image)) == 1


def test_the_second_stride_reports_too(tmp_path: Path, runtime: Runtime) -> None:
    folder = write_detector(tmp_path / "d", detector_model(biases=(-60.0, -4.0)))
    image = np.full((64, 96, 3), 90, np.uint8)
    image[16:32, 32:48] = RED
    (face,) = open_detector(folder, runtime).detect(image)
    assert (face.box.left, face.box.top, face.box.right) == (16, 0, 64)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param({"tensor": "picture"}, "no tensor 'picture'", id="input-name"),
        pytest.param({"width": 128}, r"'image' has shape \(1, 64, 96, 3\)", id="input-size"),
    ],
)
def test_a_description_that_does_not_fit_the_model_is_refused(
    packages: Path, runtime: Runtime, change: dict[str, object], fault: str
) -> None:
    edit_description(packages / "detector", lambda d: d["input"].update(change))
    with pytest.raises(ModelError, match=f"detector: .*{fault}"):
        open_detector(packages / "detector", runtime)


def test_an_output_of_another_layout_is_refused(packages: Path, runtime: Runtime) -> None:
    edit_description(packages / "detector", lambda d: d["output"].update(anchors_per_cell=2))
    with pytest.raises(ModelError, match=r"'score_8' has shape \(1, 8, 12, 1\)"):
        open_detector(packages / "detector", runtime)


def test_an_embedder_is_no_detector(pristine: Path, runtime: Runtime) -> None:
    with pytest.raises(ModelError, match="face-embedding, not a face detector"):
        open_detector(pristine / "embedder", runtime)


def input_spec(scale: float = 1 / 128, zero: int = 0, dtype: type = np.int8) -> TensorSpec:
    quantization = None if dtype is np.float32 else Quantization(scale, zero)
    return TensorSpec("image", 0, (1, 4, 6, 3), np.dtype(dtype), quantization)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        pytest.param((10.0, 120.0, 200.0), (50.0, 60.0, 70.0), id="each channel its own"),
        pytest.param((127.5,) * 3, (128.0,) * 3, id="all channels alike"),
    ],
)
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32], ids=["int8", "uint8", "float"])
def test_the_table_equals_the_arithmetic(
    channels: str, dtype: type, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    rules = Preprocessing(tensor="image", width=6, height=4, channels=channels, mean=mean, std=std)
    spec = input_spec(0.03, 7 if dtype is np.int8 else 120, dtype)
    image = np.random.default_rng(3).integers(0, 256, (4, 6, 3), np.uint8)
    tensor, scale = Preprocessor(rules, spec).fit(image)
    ordered = image[..., ::-1] if channels == "RGB" else image
    expected = spec.quantize((ordered.astype(np.float64) - mean) / std)
    assert scale == (1.0, 1.0)
    assert tensor.dtype == dtype
    assert np.array_equal(tensor[0], expected)


def test_a_table_of_a_step_a_level_equals_the_arithmetic_at_every_level() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    spec = input_spec(1 / 128, -1)
    tensor, _ = Preprocessor(Preprocessing(tensor="image", width=16, height=16), spec).fit(levels)
    assert np.array_equal(tensor[0], spec.quantize((levels.astype(np.float64) - 127.5) / 128))


def test_what_a_picture_leaves_free_is_the_pad_value_whatever_was_there_before() -> None:
    preprocessor = Preprocessor(Preprocessing(tensor="image", width=6, height=4), input_spec())
    for height, width in ((2, 6), (4, 3), (2, 6)):
        tensor, _ = preprocessor.fit(np.full((height, width, 3), 200, np.uint8))
        free = np.ones((4, 6), np.bool_)
        free[:height, :width] = False
        pad = input_spec().quantize(np.array([-127.5 / 128]))[0]
        assert (tensor[0, free] == pad).all()
        assert (tensor[0, ~free] != pad).all()


def test_the_rest_of_a_letterbox_is_the_pad_value() -> None:
    rules = Preprocessing(tensor="image", width=6, height=4, pad=30)
    spec = input_spec()
    preprocessor = Preprocessor(rules, spec)
    preprocessor.encode(np.full((4, 6, 3), 255, np.uint8))
    tensor, scale = preprocessor.fit(np.full((8, 6, 3), 200, np.uint8))
    assert scale == (0.5, 0.5)
    pad = spec.quantize(np.array([(30 - 127.5) / 128]))[0]
    assert (tensor[0, :, 3:] == pad).all()
    assert (tensor[0, :, :3] == spec.quantize(np.array([(200 - 127.5) / 128]))[0]).all()


@pytest.mark.parametrize("shape", [(4, 6), (6, 4, 3), (4, 6, 4)], ids=str)
def test_an_input_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    rules = Preprocessing(tensor="image", width=6, height=4)
    with pytest.raises(ValueError, match="is needed"):
        Preprocessor(rules, input_spec()).encode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("width", "height"),
    [
        pytest.param(1280, 960, id="halvings-alone"),
        pytest.param(1000, 750, id="halving-and-rest"),
        pytest.param(641, 481, id="odd"),
        pytest.param(629, 471, id="nearly-halved"),
    ],
)
def test_shrinking_averages_instead_of_picking_pixels(width: int, height: int) -> None:
    rules = Preprocessing(tensor="image", width=320, height=240, channels="BGR", mean=0, std=1)
    stripes = np.zeros((height, width, 3), np.uint8)
    stripes[:, ::2] = 200
    tensor, _ = Preprocessor(rules, input_spec(1.0, 0, np.uint8)).fit(stripes)
    inner = tensor[0, :239, :319].astype(int)
    assert 60 < inner.min() <= inner.max() < 140


def test_preprocessing_a_camera_picture_costs_less_than_blurring_it() -> None:
    rules = Preprocessing(tensor="image", width=320, height=240)
    preprocessor = Preprocessor(rules, input_spec())
    image = np.random.default_rng(4).integers(0, 256, (720, 1280, 3), np.uint8)
    assert in_yardsticks(lambda _: preprocessor.fit(image)) < 0.7
