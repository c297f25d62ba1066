"""What the demo is to do: where, with which camera, at what pace, and about whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edgeface.base.errors import SettingsError
from edgeface.demo.photographs import COLLINS, HOPPER

SITE: Final = "demo"
DEVICE: Final = "door-1"


VISITORS: Final[dict[str, Any]] = {
    "source": "simulated",
    "photographs": (COLLINS, HOPPER, COLLINS, COLLINS),
    "size": (1280, 720),
    "fps": 15.0,
    "visit_s": 4.0,
    "gap_s": 1.0,
    "loop": True,
}
"""The section `camera` for the simulated one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the demo."""

    output: Path
    """The contact sheet, a PNG."""
    camera: str | None = None
    """A real camera: see `camera_section`. None: the simulated one."""
    keep: bool = False
    """Leave configuration, gallery, logs and recorded frames."""
    step_s: float = 40.0
    """A step that has not come about by then has failed."""
    again: bool = True
    """After the broker is back, wait until the door has opened again."""
    visitors: Mapping[str, Any] = field(default_factory=lambda: VISITORS)
    """Those of the simulated camera."""


@dataclass(frozen=True, slots=True)
class People:
    """Who comes."""

    person_id: str
    enrolled: str
    """As the screen calls them."""
    stranger: str | None
    """None: a real camera; no stranger has to come."""
    photograph: Path
    """One that was enrolled."""


def camera_section(what: str) -> Mapping[str, Any]:
    """The section `camera` for a real one.

    `0` or `/dev/video0` is a USB camera, `picamera2` or `picamera2:1` one of a Raspberry Pi;
    an address with `://` or the path of a video file is a stream. Raises SettingsError.
    """
    name, _, index = what.partition(":")
    if name == "picamera2" and (not index or index.isdigit()):
        return {"source": "picamera2", "index": int(index or 0)}
    if what.isdigit():
        return {"source": "v4l2", "device": int(what)}
    if "://" in what:
        return {"source": "stream", "url": what}
    path = Path(what).expanduser().resolve()
    if what.startswith("/dev/"):
        return {"source": "v4l2", "device": what}
    if path.is_file():
        return {"source": "stream", "url": str(path), "loop": True}
    raise SettingsError(
        f"--camera {what}: neither the number of a camera (0 is /dev/video0) nor picamera2, an "
        "address such as rtsp://..., or a video file"
    )
