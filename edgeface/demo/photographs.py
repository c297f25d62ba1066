"""The photographs of the demo: two that ship, the differently lit and cropped one that is enrolled,
and those of whoever stands before a real camera.

Those that ship are in the public domain; `pictures/README.md` says where they are from.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.errors import StateError
from edgeface.capture.factory import make_backend
from edgeface.demo.child import DemoError
from edgeface.gallery.gate import on_cpu
from edgeface.gallery.likeness import bar_for
from edgeface.recognition.values import Image
from edgeface.service.recognizing import rules_of
from edgeface.settings.tree import Settings
from edgeface.toolbox.photo_booth import OnePerson, PhotoBooth

_PICTURES: Final = Path(__file__).with_name("pictures")
COLLINS: Final = _PICTURES / "eileen-collins.png"
HOPPER: Final = _PICTURES / "grace-hopper.jpg"
NAMES: Final = {COLLINS: "Eileen Collins", HOPPER: "Grace Hopper"}


def held_name(name: str) -> str:
    """What is in view when a picture of that person is held up."""
    return f"a print of {name}"


_CROP: Final = (0.035, 0.67, 0.16, 0.74)
"""Top, bottom, left and right of the enrolled part, as shares of the photograph."""
_ENLARGED: Final = 1.3
_GAMMA: Final = 1.25
_TINT_BGR: Final = (1.10, 1.0, 0.86)
"""Cold light."""

WANTED: Final = 3
_STALL_S: Final = 5.0


def write_enrollment(folder: Path) -> Path:
    """Eileen Collins as she is enrolled: another crop, in other light, than the camera will see.

    Raises StateError.
    """
    photograph = cv2.imread(str(COLLINS))
    if photograph is None:
        raise StateError(f"{COLLINS}: the photograph cannot be read; install edgeface anew")
    path = folder / "eileen-collins-enrolled.jpg"
    if not cv2.imwrite(str(path), in_other_light(np.asarray(photograph, np.uint8))):
        raise StateError(f"{path}: the photograph cannot be written")
    return path


def in_other_light(photograph: Image) -> Image:
    """Head and shoulders of a portrait BGR uint8 `(h, w, 3)`, enlarged, darker, colder, and lit
    from one side: another picture of the same face."""
    height, width = photograph.shape[:2]
    top, bottom, left, right = _CROP
    part = photograph[
        round(top * height) : round(bottom * height), round(left * width) : round(right * width)
    ].astype(np.float32)
    from_the_right = np.linspace(0.6, 1.15, part.shape[1], dtype=np.float32)[None, :, None]
    lit = 255.0 * (part / 255.0) ** _GAMMA * from_the_right * np.array(_TINT_BGR, np.float32)
    as_bytes = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    enlarged = cv2.resize(as_bytes, None, fx=_ENLARGED, fy=_ENLARGED, interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.uint8)


def take_portraits(settings: Settings, folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Good photographs of one person, taken with the configured camera, which is released after.

    Raises CameraError when there is no camera, DemoError when nobody stood before it well,
    GalleryError when several people did.
    """
    detector, embedder = on_cpu(settings.models, settings.detection)
    calibration, rules = embedder.package.calibration, rules_of(settings)
    decision = rules.decision
    bar = bar_for(calibration, decision.target_fpir, decision.max_looks)
    evidence = OnePerson(WANTED, bar.same_person)
    booth = PhotoBooth(
        (detector, embedder, calibration), rules, evidence, lambda _, text: say(text)
    )
    found: list[Path] = []
    with make_backend(settings.camera) as source:
        for picture in islice(booth.pictures(source.frames(_STALL_S)), WANTED):
            path = folder / f"portrait-{len(found) + 1}.png"
            cv2.imwrite(str(path), picture.frame.image)
            found.append(path)
            say(f"photograph {len(found)} of {WANTED} is good")
    if len(found) < WANTED:
        raise DemoError(f"nobody could be enrolled: {booth.missing}")
    return found
