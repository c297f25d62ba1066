"""The file `view` in the state folder: what a camera sees where it hangs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edgeface.base.errors import StateError
from edgeface.base.files import PRIVATE, read_file, write_file
from edgeface.recognition.scene_watch import VIEWS_MAX, CameraView
from edgeface.recognition.view import SMALL_PX, Gray

MAX_BYTES: Final = 1 << 18
_log = logging.getLogger(__name__)


def read_view(path: Path, camera: str) -> CameraView | None:
    """The view of this camera; None where there is none, or the file cannot be used, which is
    logged: then it is learned anew."""
    try:
        found = json.loads(read_file(path, MAX_BYTES))
        if found.pop("sha256") != _digest(found):
            raise ValueError("the digest differs")
        if found["camera"] != camera:
            _log.info("%s is of another camera or another setting of it: learned anew", path)
            return None
        pictures = tuple(_picture(text) for text in found["pictures"][:VIEWS_MAX])
        edge_px = found["edge_px"]
        if len({picture.shape for picture in pictures}) != 1:
            raise ValueError("there is no picture, or they differ in size")
        return CameraView(pictures, None if edge_px is None else float(edge_px))
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("%s: cannot read: %s; the view is learned anew", path, error.strerror)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, cv2.error) as error:
        _log.warning("%s: damaged (%s); the view is learned anew", path, error)
    return None


def write_view(path: Path, camera: str, view: CameraView) -> bool:
    """Keep it; False, and a line in the log, when that cannot be done."""
    pictures = [
        base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()
        for picture in view.pictures
    ]
    content = {"camera": camera, "edge_px": view.edge_px, "pictures": pictures}
    text = json.dumps(content | {"sha256": _digest(content)}, indent=1) + "\n"
    try:
        write_file(path, text.encode(), PRIVATE, replace=True)
    except StateError as error:
        _log.warning("what the camera sees cannot be remembered: %s", error)
        return False
    return True


def _picture(text: str) -> Gray:
    coded = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    picture = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
    if picture is None or max(picture.shape) > SMALL_PX:
        raise ValueError("a picture cannot be decoded")
    return np.asarray(picture, np.uint8)


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(f"edgeface view {text}".encode()).hexdigest()
