"""`snapshot`: what the camera sees now, as a JPEG sealed to the administrator.

Pictures of events (`edgeface.service.snapshots`) are of the same size.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edgeface.contract.answers import SnapshotData
from edgeface.recognition.values import Image
from edgeface.service.commanding.admission import CommandRefusedError, Outcome, Request, Seal
from edgeface.service.commanding.peephole import Glance

MAX_SIDE_PX: Final = 640
MAX_JPEG_BYTES: Final = 44 * 1024
"""In base64, with the envelope around it, it stays below the 64 KiB of a message."""
_QUALITIES: Final = (85, 75, 60, 45, 30, 15)


class Picturing:
    """One snapshot: of the first frame captured after the receipt."""

    def __init__(self, request: Request, seal: Seal) -> None:
        self.request = request
        self._seal = seal

    def see(self, glance: Glance, *, last: bool) -> Outcome | None:
        """Take the frame."""
        del last
        frame, faces = glance.frame, len(glance.result.sights)
        seal = self._seal

        def sealed() -> SnapshotData:
            content, width, height = jpeg(frame.image)
            return SnapshotData(
                captured_at=frame.captured_at,
                width=width,
                height=height,
                faces=faces,
                sealed=seal(content),
            )

        return sealed


def jpeg(image_bgr: Image) -> tuple[bytes, int, int]:
    """The picture as a JPEG of at most `MAX_JPEG_BYTES`, its width and its height. Raises
    CommandRefusedError when it cannot be made so small."""
    scale = min(1.0, MAX_SIDE_PX / max(image_bgr.shape[:2]))
    while scale > 0.1:
        small = cv2.resize(image_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for quality in _QUALITIES:
            encoded, data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, quality))
            if encoded and data.size <= MAX_JPEG_BYTES:
                return np.asarray(data).tobytes(), small.shape[1], small.shape[0]
        scale *= 0.7
    raise CommandRefusedError("internal", "the picture cannot be made small enough to be sent")
