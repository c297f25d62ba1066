"""From the camera section of the settings to the back end it names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from edgeface.capture.factory import make_backend, make_source
from edgeface.capture.images import ImagesSource
from edgeface.capture.picamera2 import Picamera2Source
from edgeface.capture.reopening import ReopeningSource
from edgeface.capture.simulated import SimulatedSource
from edgeface.capture.stream import FileStreamSource, NetworkStreamSource
from edgeface.capture.v4l2 import V4l2Source
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
