"""Photographs of whoever stands before a real camera, to be enrolled."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2

from edgeface.base.errors import FrameTimeoutError
from edgeface.capture.factory import make_source
from edgeface.demo.child import DemoError
from edgeface.gallery.gate import Portrait, open_gate
from edgeface.settings.tree import Settings

WANTED: Final = 3
PAUSE_S: Final = 0.5
"""Between two photographs, so that they differ."""
PATIENCE_S: Final = 60.0
_HINT_S: Final = 3.0


def take_portraits(settings: Settings, folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Good photographs of one person, taken with the configured camera, which is released after.

    Raises CameraError when there is no camera, DemoError when nobody stood before it well.
    """
    with make_source(settings.camera) as source:
        gate, _ = open_gate(settings.models, settings.detection, settings.quality)
        say("Look into the camera, alone, in good light: you are being enrolled.")
        found: list[Path] = []
        began_s = hinted_s = time.monotonic()
        taken_s, why = began_s - PAUSE_S, "no frame came"
        while len(found) < WANTED:
            now_s = time.monotonic()
            if now_s - began_s > PATIENCE_S:
                raise DemoError(f"nobody could be enrolled within {PATIENCE_S:g} s: {why}")
            if why and now_s - hinted_s > _HINT_S:
                say(why)
                hinted_s = now_s
            try:
                frame = source.read(1.0)
            except FrameTimeoutError as error:
                why = str(error)
                continue
            if time.monotonic() - taken_s < PAUSE_S:
                continue
            examined = gate.examine(frame.image, "camera")
            if not isinstance(examined, Portrait):
                why = examined.message
                continue
            why, taken_s = "", time.monotonic()
            path = folder / f"portrait-{len(found) + 1}.png"
            cv2.imwrite(str(path), frame.image)
            found.append(path)
            say(f"photograph {len(found)} of {WANTED} is good")
    return found
