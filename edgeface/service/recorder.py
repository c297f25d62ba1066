"""Records annotated frames with faces, for commissioning: `edgeface run --record DIR`.

These are images of people's faces on a disk, which the daemon keeps nowhere else. So it is off
unless asked for on the command line, says so in the log, keeps a bounded number of frames, and
only their owner may read them.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import threading
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import cv2

from edgeface.base.files import drafted, own_folder
from edgeface.contract.codec import format_time
from edgeface.recognition.decision import Decision
from edgeface.recognition.frame import Frame
from edgeface.recognition.pipeline import FrameResult, Sight
from edgeface.service.annotation import annotate

_log = logging.getLogger(__name__)

MAX_FRAMES: Final = 400
"""The newest are kept, about 100 MB of 1280x720."""
INTERVAL_S: Final = 0.2
"""A frame without a decision is recorded at most this often."""
MAX_QUEUED: Final = 4
"""Frames that may wait to be written."""
_MAX_TRACKS: Final = 64
_NAME: Final = re.compile(r"\d{8}T\d{6}\.\d{3}-\d{6,}")
"""Of a recorded frame, without the ending: nothing else in the folder is ever removed."""
_JPEG: Final = (cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111)
"""Color in full resolution, for thin colored lines."""


class _Item(NamedTuple):
    frame: Frame
    result: FrameResult
    outcomes: dict[int, str]


class Recorder:
    """An observer of the pipeline. `NAME.jpg` is the frame, annotated; `NAME.json` beside it is
    what was found, see `description`. Names sort by time of capture.

    `observe` is called by the thread of the models and never waits: writing is done by a thread of
    the recorder, and what it cannot keep up with is left out and counted.
    """

    def __init__(
        self, folder: Path, *, max_frames: int = MAX_FRAMES, max_queued: int = MAX_QUEUED
    ) -> None:
        """Make the folder (mode 0700) and start. Raises StateError when that cannot be done."""
        own_folder(folder)
        self.left_out = 0
        """Frames that were due and could not be written in time, or at all."""
        self._folder = folder
        # The picture is written first: one that was left alone by a power cut goes with the rest.
        pictures = (path.with_suffix("") for path in folder.glob("*.jpg"))
        self._kept = sorted(path for path in pictures if _NAME.fullmatch(path.name))
        self._max_frames = max_frames
        self._last_ns: int | None = None
        self._outcomes: OrderedDict[int, str] = OrderedDict()
        self._items: queue.Queue[_Item | None] = queue.Queue(max_queued)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()
        _log.warning("frames with faces are recorded to %s (--record); not for daily use", folder)

    def observe(self, frame: Frame, result: FrameResult) -> None:
        """Take a frame, if it shows a face and is due."""
        for decision in result.decisions:
            self._outcomes[decision.track_id] = decision.outcome
            self._outcomes.move_to_end(decision.track_id)
        while len(self._outcomes) > _MAX_TRACKS:
            self._outcomes.popitem(last=False)
        last_ns = self._last_ns
        early = last_ns is not None and frame.boottime_ns - last_ns < INTERVAL_S * 1e9
        if not result.decisions and (early or not result.sights):
            return
        self._last_ns = frame.boottime_ns
        try:
            self._items.put_nowait(_Item(frame, result, dict(self._outcomes)))
        except queue.Full:
            self.left_out += 1

    def close(self) -> None:
        """Write what waits and end; safe to call twice."""
        if self._thread.is_alive():
            self._items.put(None)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                self._write(item)
            except (OSError, ArithmeticError, ValueError, cv2.error) as error:
                self.left_out += 1
                _log.warning("%s: a frame could not be recorded: %s", self._folder, error)

    def _write(self, item: _Item) -> None:
        frame = item.frame
        stamp = format_time(frame.captured_at).replace(":", "").replace("-", "")
        name = self._folder / f"{stamp[:-1]}-{frame.sequence:06d}"
        encoded, data = cv2.imencode(".jpg", annotate(*item), _JPEG)
        if not encoded:
            raise OSError("it could not be encoded")
        text = json.dumps(description(frame, item.result))
        for ending, content in ((".jpg", data.tobytes()), (".json", text.encode())):
            path = name.with_name(name.name + ending)
            with drafted(path, replace=True, durable=False) as file:
                file.write(content)
        self._kept.append(name)
        while len(self._kept) > self._max_frames:
            oldest = self._kept.pop(0)
            for ending in (".json", ".jpg"):
                oldest.with_name(oldest.name + ending).unlink(missing_ok=True)


def description(frame: Frame, result: FrameResult) -> dict[str, Any]:
    """What was found in a frame, ready for JSON; boxes are left, top, right, bottom in pixels."""
    height, width = frame.image.shape[:2]
    return {
        "captured_at": format_time(frame.captured_at),
        "sequence": frame.sequence,
        "size": [width, height],
        "faces": [_face(sight) for sight in result.sights],
        "decisions": [_decision(decision) for decision in result.decisions],
    }


def _face(sight: Sight) -> dict[str, Any]:
    box = sight.face.box
    return {
        "track": sight.track_id,
        "box": [round(float(side), 1) for side in (box.left, box.top, box.right, box.bottom)],
        "landmarks": [[round(float(x), 1), round(float(y), 1)] for x, y in sight.face.landmarks],
        "score": round(float(sight.face.score), 3),
        "quality": None
        if sight.quality is None
        else {key: round(float(value), 3) for key, value in asdict(sight.quality).items()},
        "gate": sight.gate,
        "embedded": sight.embedded,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "track": decision.track_id,
        "outcome": decision.outcome,
        "person_id": decision.person_id,
        "score": None if decision.score is None else round(decision.score, 4),
        "threshold": None if decision.threshold is None else round(decision.threshold, 4),
        "frames": decision.frames,
        "agreeing": decision.agreeing,
        "live": decision.liveness.live,
    }
