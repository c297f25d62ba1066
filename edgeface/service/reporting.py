"""What the device says about itself: the state, the alerts, the periodic health message."""

from __future__ import annotations

import platform
from typing import get_args

from edgeface import __version__
from edgeface.base.clock import NS, StepWatch, utc_now
from edgeface.base.files import disk_trouble
from edgeface.capture.slot import LatestSlot
from edgeface.contract.report import GalleryState, Health, Lifecycle, OutboxState, State
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.presence import Presence
from edgeface.mqtt.publisher import Publisher
from edgeface.outbox.outbox import Outbox
from edgeface.recognition.frame import Frame
from edgeface.service.board import Board
from edgeface.service.meters import memory_mb, temperature_c
from edgeface.service.supervisor import Supervisor
from edgeface.settings.camera import PictureAlert

PATIENCE_S = 5.0
"""So long somebody stands at a door and looks."""
DISK_EVERY_S = 1.0
_MAX_LINE = 1000


class Reporter:
    """Used by the main thread; any may ask for the `counters`."""

    def __init__(
        self,
        board: Board,
        me: DeviceSession,
        presence: Presence,
        *,
        outbox: Outbox,
        publisher: Publisher,
        supervisor: Supervisor,
        slot: LatestSlot[Frame],
    ) -> None:
        self._board = board
        self._me = me
        self._clock = me.clock
        self._presence = presence
        self._outbox = outbox
        self._publisher = publisher
        self._supervisor = supervisor
        self._slot = slot
        self._started_ns = me.clock.monotonic_ns()
        self._health_ns = self._started_ns
        self._was_ready = False
        self._steps = StepWatch(me.clock)
        self._disk: str | None = None
        """Why nothing can be written; as of the last look."""
        self._disk_due_ns = 0
        self.stopping = False
        """Set when the end has begun."""

    @property
    def ready(self) -> bool:
        """Models proved, gallery loaded and a frame seen, at least once."""
        board = self._board
        if board.models is not None and board.gallery is not None and self._frame_seen:
            self._was_ready = True
        return self._was_ready

    @property
    def lifecycle(self) -> Lifecycle:
        """Where the daemon stands."""
        if self.stopping:
            return "stopping"
        if not self.ready:
            return "init"
        return "degraded" if self.reasons() else "ready"

    def reasons(self) -> tuple[str, ...]:
        """Why it is not, or not wholly, ready; short texts."""
        board, found = self._board, []
        if board.models is None:
            found.append("models: not yet proved")
        elif board.lost is not None:
            found.append(f"accelerator: {board.lost}")
        elif board.by_recognizer.reopening is not None:
            found.append(f"accelerator: is opened anew: {board.by_recognizer.reopening}")
        if self._liveness_trouble is not None and board.settings.pad.refusing:
            found.append(f"liveness: {self._liveness_trouble}")
        if board.gallery is None:
            found.append("gallery: not yet loaded")
        if board.by_gallery.trouble is not None:
            found.append(f"gallery: {board.by_gallery.trouble}")
        if self._camera_trouble is not None:
            found.append(f"camera: {self._camera_trouble}")
        elif not self._frame_seen:
            found.append("camera: no frame yet")
        frozen = board.by_recognizer.picture.get("camera_frozen")
        if frozen is not None:
            found.append(f"camera: {frozen}")
        degraded = self._outbox.status.degraded
        if degraded is not None:
            found.append(f"outbox: {degraded}")
        if self._disk is not None:
            found.append(f"disk: {self._disk}")
        found += self._supervisor.troubles
        return tuple(reason[:_MAX_LINE] for reason in found)

    def tick(self) -> None:
        """Bring state and alerts up to date; cheap, a few times a second."""
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._disk_due_ns:  # an event would tell as well, when one comes
            self._disk = disk_trouble(self._board.settings.state_dir)
            self._disk_due_ns = now_ns + round(DISK_EVERY_S * NS)
        self._presence.set_state(self.state())
        self._presence.set_alert("camera_stalled", self._camera_trouble)
        if not self.ready:
            return
        board = self._board
        self._presence.set_alert("accelerator_lost", board.lost)
        self._presence.set_alert("gallery_stale", board.by_gallery.trouble)
        self._presence.set_alert("model_mismatch", board.by_gallery.model_trouble)
        self._presence.set_alert("liveness_failing", self._liveness_trouble)
        step = self._steps.trouble()
        troubles = (self._clock.sync_trouble(), step, board.by_gallery.time_trouble)
        clock = "; ".join(text for text in troubles if text is not None)
        self._presence.set_alert("clock_unsynced", clock or None)
        for alert in get_args(PictureAlert):
            self._presence.set_alert(alert, board.by_recognizer.picture.get(alert))
        self._presence.set_alert("snapshots_failing", board.by_snapshots.trouble)
        self._presence.set_alert("camera_turned", self._turn_hint())
        self._presence.set_alert("frame_rate_low", self._rate_trouble())

    def _turn_hint(self) -> str | None:
        turn = self._board.by_recognizer.turn
        return self._board.settings.camera.turn_hint(turn) if turn else None

    def _rate_trouble(self) -> str | None:
        interval_s = self._board.by_recognizer.frame_interval_s
        wanted = self._board.settings.decision.min_agreeing
        if interval_s is None or wanted * interval_s <= PATIENCE_S:
            return None
        return (
            f"a frame comes every {interval_s:.1f} s only: the {wanted} that have to agree on a "
            "person take longer than people stand at a door; raise the camera's frame rate"
        )

    def health(self) -> Health | None:
        """The health message when it is due."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._health_ns < self._board.settings.health.interval_s * NS:
            return None
        self._health_ns = now_ns
        fps, latency = self._board.meters.report(now_ns / NS)
        return Health(
            session=self._me.session,
            sent_at=utc_now(self._clock),
            uptime_s=round((now_ns - self._started_ns) / NS, 1),
            fps=fps,
            latency_ms=latency,
            temperature_c=temperature_c(),
            memory_mb=memory_mb(),
            counters=self.counters(),
        )

    def state(self) -> State:
        """The state as it is now."""
        board, outbox = self._board, self._outbox.status
        facts = board.models
        versions = {"edgeface": __version__, "python": platform.python_version()}
        models: dict[str, str] = {}
        if facts is not None:
            versions["runtime"] = facts.accelerator.runtime
            models = {
                "detector": f"sha256:{facts.detector.sha256}",
                "detector_version": facts.detector.description.version,
                "embedder": f"sha256:{facts.embedder.sha256}",
                "embedder_version": facts.embedder.description.version,
                "detector_accelerator": facts.accelerator.detector,
                "embedder_accelerator": facts.accelerator.embedder,
                "space": facts.space,
            }
            if facts.pad is not None:
                models["pad"] = f"sha256:{facts.pad.sha256}"
                models["pad_version"] = facts.pad.description.version
        return State(
            lifecycle=self.lifecycle,
            reasons=self.reasons(),
            session=self._me.session,
            last_seq=outbox.last_seq,
            clock_synced=self._clock.synced(),
            accelerator=None if facts is None else facts.accelerator.in_use,
            camera=self._camera(),
            gallery=self._gallery(),
            models=models,
            outbox=OutboxState(
                depth=outbox.depth,
                bytes=outbox.bytes,
                dropped=outbox.dropped,
                dead_letters=outbox.dead_letters,
                degraded=outbox.degraded,
                oldest_at=self._outbox.oldest_at,
            ),
            versions=versions,
            signing_key=self._me.key.kid,
            threshold_extrapolated=self._extrapolated(),
            idle=board.by_recognizer.idle,
        )

    @property
    def _frame_seen(self) -> bool:
        camera = self._board.by_capture.camera
        return camera is not None and camera.frames > 0

    @property
    def _liveness_trouble(self) -> str | None:
        trouble, refusing = (
            self._board.by_recognizer.liveness_trouble,
            self._board.settings.pad.refusing,
        )
        if trouble is None:
            return None
        policies = " and ".join(f"pad.{policy}" for policy in refusing)
        held = f"; by {policies} nobody is let in" if refusing else ""
        return f"not assessed: {trouble}{held}"

    @property
    def _camera_trouble(self) -> str | None:
        camera = self._board.by_capture.camera
        return None if camera is None else camera.last_error

    def _camera(self) -> dict[str, str | int | float | bool | None]:
        settings, camera = self._board.settings.camera, self._board.by_capture.camera
        found: dict[str, str | int | float | bool | None] = {
            "name": settings.name,
            "source": settings.source,
            "connected": camera is not None and camera.connected,
            "error": None if camera is None else camera.last_error,
        }
        if camera is not None:
            found |= {key: getattr(camera, key) for key in ("stalls", "losses", "reopened")}
        return found

    def _gallery(self) -> GalleryState | None:
        index = self._board.gallery
        if index is None:
            return None
        return GalleryState(
            source=self._board.settings.gallery.source,
            epoch=index.epoch,
            revision=index.revision,
            digest=self._board.by_gallery.digest,
            people=len(index.people),
            templates=len(index.matrix),
        )

    def _extrapolated(self) -> bool:
        facts, index = self._board.models, self._board.gallery
        if facts is None or index is None or len(index.matrix) == 0:
            return False
        decision = self._board.settings.decision
        return facts.calibration.identification_threshold(
            decision.target_fpir, decision.max_looks, len(index.compared)
        ).extrapolated

    def counters(self) -> dict[str, int]:
        """What is counted since the start, by name."""
        link, camera = self._publisher.status, self._board.by_capture.camera
        counters = self._board.meters.counters()
        counters |= {
            "frames_dropped": self._slot.drops,
            "worker_restarts": self._supervisor.restarts,
            "connections": link.connections,
            "live_sent": link.live_sent,
            "live_missed": sum(link.live_missed.values()),
            "log_delivered": link.log_delivered,
            "log_refused": link.log_refused,
        }
        if camera is not None:
            counters |= {"camera_stalls": camera.stalls, "camera_reopened": camera.reopened}
        return counters
