"""Pictures of decisions: the best look at each track is held in memory until it is decided on, then
sealed to the administrator and put into the folder.

The thread of the models only cuts out and holds; what is slow (encoding, sealing, the disk) is done
by a worker. What that cannot keep up with, or cannot write, is left out and counted: an event never
waits for its picture.
"""

from __future__ import annotations

import logging
import queue
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple

import cv2
import numpy as np

from edgeface.base.clock import NS
from edgeface.base.errors import StateError
from edgeface.contract.answers import SnapshotData
from edgeface.contract.event import Outcome, Sighting
from edgeface.mqtt.link import DeviceSession
from edgeface.recognition.frame import Frame
from edgeface.recognition.pipeline import FrameResult, Sight
from edgeface.recognition.values import Box, Image
from edgeface.security.sealing import AdministratorKey, picture_context
from edgeface.service.board import Board
from edgeface.service.commanding.admission import CommandRefusedError
from edgeface.service.commanding.picturing import MAX_SIDE_PX, jpeg
from edgeface.service.snapshot_folder import SnapshotFolder
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse
from edgeface.settings.tree import Settings

MAX_QUEUED: Final = 16
"""Pictures that may wait to be written."""
MAX_TRACKS: Final = 16
"""Tracks whose best look is held, at most 1.2 MB each."""
UNSEEN_S: Final = 30.0
"""A track that was not seen for longer has ended and was decided on."""
TIDY_S: Final = 10.0
"""Between two looks for what has grown too old."""
MARGIN: Final = 0.5
"""Around the face, in lengths of its box on each side: a detector needs some of it."""
_WAIT_S: Final = 0.2
_BOX: Final = (0, 176, 255)
_log = logging.getLogger(__name__)


class _Look(NamedTuple):
    rank: tuple[bool, float]
    image: Image
    captured_at: datetime
    seen_ns: int


class _Due(NamedTuple):
    event_id: str
    look: _Look
    sighting: Sighting


class Snapshots:
    """`observe` and `of` are for the thread of the models, `run` is the worker's function."""

    def __init__(
        self, board: Board, me: DeviceSession, floor: TimeFloor, folder: SnapshotFolder
    ) -> None:
        """Raises StateError where pictures are to be kept and the key cannot be used."""
        self._board = board
        self._me = me
        self._floor = floor
        self._folder = folder
        self._looks: OrderedDict[int, _Look] = OrderedDict()
        self._due: queue.Queue[_Due] = queue.Queue(MAX_QUEUED)
        self._tidied_s: float | None = None
        self._trouble: str | None = None
        self._logged = ""
        if board.settings.snapshots.events != "off":
            _key(board.settings)

    def observe(self, frame: Frame, result: FrameResult) -> None:
        """Hold the best look at each face, while pictures are kept."""
        settings = self._board.settings.snapshots
        if settings.events == "off":
            self._looks.clear()
            return
        for sight in result.sights:
            quality = sight.quality
            rank = (sight.gate is None, 0.0 if quality is None else quality.weight)
            held = self._looks.get(sight.track_id)
            if held is None or rank > held.rank:
                image = _picture(frame.image, sight, crop=settings.crops_only)
                if image is None:
                    continue
                held = _Look(rank, image, frame.captured_at, frame.boottime_ns)
            self._looks[sight.track_id] = held._replace(seen_ns=frame.boottime_ns)
            self._looks.move_to_end(sight.track_id)
        while self._looks:
            track, oldest = next(iter(self._looks.items()))
            unseen_s = (frame.boottime_ns - oldest.seen_ns) / NS
            if len(self._looks) <= MAX_TRACKS and unseen_s <= UNSEEN_S:
                break
            del self._looks[track]

    def of(self, sighting: Sighting) -> Callable[[str], None]:
        """What is to be called with the id of the decision's event once it has one."""
        look = self._looks.get(sighting.track.id)
        if look is None or not self._wanted(sighting.event_type):
            return lambda _: None

        def name(event_id: str) -> None:
            try:
                self._due.put_nowait(_Due(event_id, look, sighting))
            except queue.Full:
                self._left_out("they come faster than they can be written")

        return name

    def run(self, pulse: Pulse) -> None:
        """Write and erase until told to stop, and then what still waits."""
        while True:
            pulse.beat()
            self._tidy()
            self._board.by_snapshots.trouble = self._folder.trouble or self._trouble
            try:
                due = self._due.get(timeout=_WAIT_S)
            except queue.Empty:
                if pulse.stop.is_set():
                    return
                continue
            self._keep(due)

    def _wanted(self, outcome: Outcome) -> bool:
        events = self._board.settings.snapshots.events
        return events == "all" or events == outcome

    def _tidy(self) -> None:
        settings, now_s = self._board.settings.snapshots, self._me.clock.monotonic_ns() / NS
        if settings.events == "off":
            self._trouble = None
        pause_s = min(TIDY_S, settings.keep_s)
        if self._tidied_s is None or now_s - self._tidied_s >= pause_s:
            self._tidied_s = now_s
            self._enforce()

    def _enforce(self) -> None:
        settings = self._board.settings.snapshots
        self._folder.enforce(
            self._floor.now_s(), self._boottime_s(), settings.keep_s, settings.max_mb * 1_000_000
        )

    def _keep(self, due: _Due) -> None:
        """Seal and write one, or leave it out."""
        topics, settings = self._me.topics, self._board.settings
        try:
            key = _key(settings)
            content, width, height = jpeg(due.look.image)
            data = SnapshotData(
                captured_at=due.look.captured_at,
                width=width,
                height=height,
                faces=1 if settings.snapshots.crops_only else due.sighting.faces_in_view,
                sealed=key.seal(content, picture_context(topics.site, topics.device, due.event_id)),
                event_id=due.event_id,
            )
            sighting = due.sighting
            self._folder.put(data, sighting.event_type, people_of(sighting), self._boottime_s())
        except OSError as error:
            self._left_out(error.strerror or str(error))
        except (StateError, CommandRefusedError, ArithmeticError, ValueError, cv2.error) as error:
            self._left_out(str(error))
        else:
            self._trouble, self._logged = None, ""
            self._board.meters.count("snapshots_kept")
            self._enforce()

    def _left_out(self, why: str) -> None:
        """Called by the outbox's thread as well."""
        self._board.meters.count("snapshots_left_out")
        self._trouble = f"pictures of decisions are left out: {why}"
        if why != self._logged:
            self._logged = why
            _log.error("%s", self._trouble)

    def _boottime_s(self) -> float:
        return self._me.clock.boottime_ns() / NS


def people_of(sighting: Sighting) -> tuple[str, ...]:
    """Whom the picture of a decision may show: who was recognized, or else who came nearest (of two
    that could not be told apart both). It is erased with any of them."""
    if sighting.match is not None:
        return (sighting.match.person_id,)
    near = (sighting.why or {}).get("near", [])
    count = 2 if sighting.event_type == "ambiguous" else 1
    return tuple(str(item["person_id"]) for item in near[:count])


def _key(settings: Settings) -> AdministratorKey:
    path = settings.commands.administrator_key_file
    try:
        if path is None:
            raise StateError("commands.administrator_key_file: there is none")
        return AdministratorKey.load(path)
    except StateError as error:
        raise StateError(
            f"{error}; pictures of decisions (snapshots.events) are sealed to it: make it with "
            "`edgeface keys administrator FILE`, keep FILE off the device, and put FILE.pub there"
        ) from error


def _picture(image: Image, sight: Sight, *, crop: bool) -> Image | None:
    """A picture of its own, at most `MAX_SIDE_PX` long: the face with a margin, or the whole frame
    with a box around that; None for a face outside the frame."""
    height, width = image.shape[:2]
    left, top, right, bottom = _around(sight.face.box)
    left, top = max(0, left), max(0, top)
    right, bottom = min(width, right), min(height, bottom)
    if right <= left or bottom <= top:
        return None
    shown = image[top:bottom, left:right] if crop else image
    scale = min(1.0, MAX_SIDE_PX / max(shown.shape[:2]))
    size = (max(1, round(scale * shown.shape[1])), max(1, round(scale * shown.shape[0])))
    small = cv2.resize(shown, size, interpolation=cv2.INTER_AREA) if scale < 1 else shown.copy()
    if not crop:
        first, last = (
            (round(scale * left), round(scale * top)),
            (
                round(scale * right) - 1,
                round(scale * bottom) - 1,
            ),
        )
        cv2.rectangle(small, first, last, _BOX, 2)
    return np.asarray(small, np.uint8)


def _around(box: Box) -> tuple[int, int, int, int]:
    across, up = MARGIN * box.width, MARGIN * box.height
    return (
        round(box.left - across),
        round(box.top - up),
        round(box.right + across),
        round(box.bottom + up),
    )
