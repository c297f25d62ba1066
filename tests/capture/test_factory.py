"""From the camera section of the settings to the back end it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter

from edgeface.base.clock import Clock, stamp_now
from edgeface.capture.factory import make_backend, make_source
from edgeface.capture.images import ImagesSource
from edgeface.capture.picamera2 import Picamera2Source
from edgeface.capture.reopening import ReopeningSource
from edgeface.capture.simulated import SimulatedSource
from edgeface.capture.source import FrameSource, Picture
from edgeface.capture.stream import FileStreamSource, NetworkStreamSource
from edgeface.capture.v4l2 import V4l2Source
from edgeface.recognition.turning import turned
from edgeface.settings.camera import Camera

SECTION: TypeAdapter[Camera] = TypeAdapter(Camera)


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        pytest.param({"source": "picamera2"}, Picamera2Source, id="picamera2"),
        pytest.param({"source": "v4l2", "device": "/dev/video3"}, V4l2Source, id="v4l2"),
        pytest.param({"source": "stream", "url": "door.mp4"}, FileStreamSource, id="file"),
        pytest.param(
            {"source": "stream", "url": "rtsp://camera/1"}, NetworkStreamSource, id="rtsp"
        ),
        pytest.param({"source": "images", "folder": "pictures"}, ImagesSource, id="images"),
        pytest.param(
            {"source": "simulated", "photographs": ["a.jpg"]}, SimulatedSource, id="simulated"
        ),
    ],
)
def test_every_source_of_the_settings_has_a_back_end(
    section: dict[str, object], kind: type
) -> None:
    camera = SECTION.validate_python({"name": "front", **section})
    backend = make_backend(camera)
    assert type(backend) is kind
    assert backend.name == "front"
    assert not backend.is_open
    source = make_source(camera)
    assert isinstance(source, ReopeningSource)
    assert type(source._source) is kind


def test_a_source_made_from_settings_plays(folder: Path) -> None:
    camera = SECTION.validate_python({"source": "images", "folder": str(folder), "fps": 100.0})
    with make_source(camera) as source:
        assert source.live
        assert source.read(10.0).sequence == 0


def test_importing_the_room_imports_no_vendor_library() -> None:
    code = "import sys, edgeface.capture; print({'cv2', 'picamera2'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("rotate", "flip", "corner", "size"),
    [
        pytest.param(0, False, (0, 0), (40, 60), id="as it is"),
        pytest.param(90, False, (0, -1), (60, 40), id="90"),
        pytest.param(180, False, (-1, -1), (40, 60), id="180"),
        pytest.param(270, False, (-1, 0), (60, 40), id="270"),
        pytest.param(0, True, (0, -1), (40, 60), id="mirrored"),
        pytest.param(90, True, (0, 0), (60, 40), id="turned, then mirrored"),
    ],
)
def test_the_pictures_of_any_source_are_turned_as_the_settings_say(
    tmp_path: Path, rotate: int, flip: bool, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[0, 0] = 255
    cv2.imwrite(str(tmp_path / "a.png"), image)
    camera = SECTION.validate_python(
        {"source": "images", "folder": str(tmp_path), "rotate": rotate, "flip": flip}
    )
    with make_source(camera) as source:
        frame = source.read(10.0)
    assert frame.image.shape[:2] == size
    assert frame.image[corner].tolist() == [255, 255, 255]
    assert frame.image.flags["C_CONTIGUOUS"]


def test_the_smaller_picture_for_detection_is_turned_with_it() -> None:
    class Two(FrameSource):
        def _start(self) -> None: ...

        def _next(self, timeout_s: float) -> Picture:
            large, small = np.zeros((40, 60, 3), np.uint8), np.zeros((20, 15, 3), np.uint8)
            return Picture(large, stamp_now(Clock()), detect_image=small, detect_scale=(4.0, 2.0))

        def _stop(self) -> None: ...

    with Two("two", None) as source:
        source.rotate = 270
        frame = source.read(1.0)
    assert frame.detect_image is not None
    assert (frame.image.shape, frame.detect_image.shape) == ((60, 40, 3), (15, 20, 3))
    assert frame.detect_scale == (2.0, 4.0)


@pytest.mark.parametrize(
    ("rotate", "flip", "degrees", "wanted"),
    [(0, False, 90, 90), (90, False, 270, 0), (180, False, 90, 270), (0, True, 90, 270)],
)
def test_the_hint_names_what_to_set(rotate: int, flip: bool, degrees: int, wanted: int) -> None:
    """What is set so gives what was seen after turning."""
    camera = SECTION.validate_python({"source": "v4l2", "rotate": rotate, "flip": flip})
    assert camera.turn_hint(degrees).endswith(f"set camera.rotate: {wanted}")
    sensor = np.random.default_rng(1).integers(0, 255, (4, 6, 3), np.uint8)

    def shown(by: int) -> np.ndarray:
        return turned(sensor, by)[:, ::-1] if flip else turned(sensor, by)

    assert np.array_equal(turned(np.ascontiguousarray(shown(rotate)), degrees), shown(wanted))
