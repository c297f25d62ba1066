"""The two photographs of the demo, and the differently lit and cropped one that is enrolled.

Both are public domain and come inside other packages: Eileen Collins (NASA, 1999) as
`skimage.data.astronaut()`, Grace Hopper (US Navy, 1984) as matplotlib's `grace_hopper.jpg`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edgeface.base.errors import RuntimeMissingError, StateError
from edgeface.recognition.values import Image

ENROLLED: Final = "Eileen Collins"
STRANGER: Final = "Grace Hopper"

_MISSING: Final = (
    "the demo needs matplotlib and scikit-image for its photographs and its picture: install "
    "edgeface with the extra 'demo' (pip install 'edgeface[demo]')"
)
_CROP: Final = (0.035, 0.67, 0.16, 0.74)
"""Top, bottom, left and right of the enrolled part, as shares of the photograph."""
_ENLARGED: Final = 1.3
_GAMMA: Final = 1.25
_TINT_BGR: Final = (1.10, 1.0, 0.86)
"""Cold light."""


@dataclass(frozen=True, slots=True)
class Photographs:
    """Files in the demo's folder."""

    enrolled: Path
    """Eileen Collins as the camera sees her."""
    stranger: Path
    """Grace Hopper as the camera sees her."""
    enrolment: Path
    """Eileen Collins as she is enrolled: another crop, in other light."""


def check_extra() -> None:
    """Raises RuntimeMissingError, naming the extra, when a package of it is missing."""
    try:
        import matplotlib as mpl
        import PIL.ImageFont
        import skimage
    except ImportError as error:
        raise RuntimeMissingError(_MISSING) from error
    del mpl, PIL, skimage


def gather(folder: Path) -> Photographs:
    """Write the photographs into `folder`. Raises RuntimeMissingError or StateError."""
    try:
        from matplotlib.cbook import get_sample_data
        from skimage.data import astronaut

        stranger_file = Path(get_sample_data("grace_hopper.jpg", asfileobj=False))
    except (ImportError, OSError) as error:
        raise RuntimeMissingError(_MISSING) from error
    as_rgb: Any = astronaut  # scikit-image has no types
    astronaut_bgr = np.ascontiguousarray(np.asarray(as_rgb(), np.uint8)[:, :, 2::-1])
    found = Photographs(
        enrolled=folder / "eileen-collins.png",
        stranger=folder / "grace-hopper.jpg",
        enrolment=folder / "eileen-collins-enrolled.jpg",
    )
    found.stranger.write_bytes(stranger_file.read_bytes())
    _save(found.enrolled, astronaut_bgr)
    _save(found.enrolment, in_other_light(astronaut_bgr))
    return found


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


def _save(path: Path, image: Image) -> None:
    if not cv2.imwrite(str(path), image):
        raise StateError(f"{path}: the photograph cannot be written")
