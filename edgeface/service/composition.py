"""From the settings to the daemon's objects and workers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from edgeface.base.clock import NS, Clock
from edgeface.base.files import folder_trouble, own_folder
from edgeface.base.messages import Subscription
from edgeface.capture.slot import LatestSlot
from edgeface.contract.event import Sighting, new_session
from edgeface.contract.topics import Topics
from edgeface.fleet.protocol.terms import GalleryTopics
from edgeface.mqtt.announcer import Announcer
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.options import ConnectionOptions
from edgeface.mqtt.presence import Presence
from edgeface.mqtt.publisher import Publisher
from edgeface.outbox.outbox import Outbox
from edgeface.recognition.frame import Frame
from edgeface.recognition.pipeline import FrameResult
from edgeface.security.keys import SigningKey
from edgeface.service.board import Board
from edgeface.service.capturing import CameraTrial, Capture
from edgeface.service.checked_models import in_use
from edgeface.service.commanding.desk import CommandDesk
from edgeface.service.exporter import Exporter
from edgeface.service.fleet_gallery import FleetGallery
from edgeface.service.local_gallery import LocalGallery
from edgeface.service.recognizing import DEADLINE_S, Observer, Recognizer, give_up_stuck
from edgeface.service.regaining import watch_accelerator
from edgeface.service.reporting import Reporter
from edgeface.service.snapshot_folder import SnapshotFolder
from edgeface.service.snapshots import Snapshots
from edgeface.service.supervisor import Supervisor
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse, WorkerSpec
from edgeface.settings.tree import Settings

if TYPE_CHECKING:  # the library that it needs is an extra
    from edgeface.service.metrics import DeviceMetrics

CAPTURE: Final = "capture"
RECOGNIZER: Final = "inference"
GALLERY: Final = "gallery"
ACCELERATOR: Final = "accelerator"
COMMANDS: Final = "commands"
METRICS: Final = "metrics"
SNAPSHOTS: Final = "snapshots"
PUBLISHER: Final = "publisher"
BEFORE_PUBLISHER: Final = (CAPTURE, RECOGNIZER, GALLERY, ACCELERATOR, COMMANDS, METRICS)
"""These are stopped first: what they decide at the end is still published."""
PUBLISHING: Final = (PUBLISHER, SNAPSHOTS)
"""And these after them."""

_OUTBOX_LIMIT_S: Final = 60.0
"""An SD card may hold a write up for long; then events wait in memory."""
_PUBLISHER_LIMIT_S: Final = 120.0
"""Looking up the broker's name and connecting may take so long with the network down."""
_DRAIN_SHARE: Final = 0.25

_log = logging.getLogger(__name__)


class Composition:
    """Everything the daemon is made of; nothing runs before `start()`.

    Raises NamedFileError for a state folder and StateError for a key or outbox that cannot be used.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, observe: Observer | None = None
    ) -> None:
        """`observe` looks on at every frame."""
        own_folder(settings.state_dir, "state folder (state_dir)")
        if (trouble := folder_trouble(settings.state_dir)) is not None:
            _log.warning("%s", trouble)
        settings = in_use(settings)
        self._observe = observe
        self.clock = clock or Clock()
        self.me = DeviceSession(
            Topics(settings.site, settings.device),
            new_session(),
            SigningKey.load_or_create(settings.device_key_file),
            self.clock,
        )
        self.board = Board(settings)
        self.floor = TimeFloor(settings.state_dir / "time", self.clock)
        self.slot: LatestSlot[Frame] = LatestSlot()
        self.supervisor = Supervisor(settings.service)
        self.outbox = self._make_outbox(settings)
        self.presence = Presence(self.me)
        self.publisher = self._make_publisher(settings)
        self.announcer = Announcer(self.publisher, settings.state_dir / "homeassistant")
        self._capture = Capture(self.board, self.slot, self.clock)
        self._folder = SnapshotFolder(
            settings.snapshots_folder, self.clock.boottime_ns() / NS, tidy=True
        )
        self.snapshots = Snapshots(self.board, self.me, self.floor, self._folder)
        self._gallery_worker = self._make_gallery_worker(settings)
        self.reporter = Reporter(
            self.board,
            self.me,
            self.presence,
            outbox=self.outbox,
            publisher=self.publisher,
            supervisor=self.supervisor,
            slot=self.slot,
        )
        self.desk = CommandDesk(
            self.me,
            self.publisher.publish,
            self.board,
            self.floor,
            lifecycle=lambda: self.reporter.lifecycle,
            stored=self._folder.get,
        )
        # A retained command is asked for as well: it is refused where somebody can see it.
        self.publisher.listen(Subscription(self.me.topics.commands), self.desk.receive)

    def _make_outbox(self, settings: Settings) -> Outbox:
        return Outbox(
            settings.outbox_file,
            self.me.topics,
            self.me.session,
            clock=self.clock,
            limits=settings.outbox,
            beat=self.supervisor.adopt("outbox", _OUTBOX_LIMIT_S, lambda: self.outbox.alive),
        )

    def _make_publisher(self, settings: Settings) -> Publisher:
        return Publisher(
            ConnectionOptions.from_settings(
                settings.mqtt,
                f"edgeface-{settings.site}-{settings.device}",
                settings.decision.validity_s,
                gallery=settings.gallery.source == "fleet",
            ),
            self.me,
            self.outbox,
            self.presence,
            drain_s=_DRAIN_SHARE * settings.service.stop_timeout_s,
        )

    def _make_gallery_worker(self, settings: Settings) -> WorkerSpec:
        """An SD card may hold the closing of the file up, in which nothing is lost; in a fleet also
        a batch of records for long."""
        if settings.gallery.source == "local":
            local = LocalGallery(self.board, self.floor, self._folder.forget)
            return WorkerSpec(GALLERY, local.run, may_linger=True)
        shared = self.publisher.share(f"{GalleryTopics(settings.site).base}/")
        worker = FleetGallery(self.board, self.me, self.floor, shared, self._folder.forget)
        return WorkerSpec(GALLERY, worker.run, _OUTBOX_LIMIT_S, may_linger=True)

    def start(self) -> None:
        """Open the outbox and start every worker. Raises StateError."""
        self.outbox.start()
        for spec in self.specs():
            self.supervisor.start(spec)

    def specs(self) -> tuple[WorkerSpec, ...]:
        """The workers."""
        return (
            WorkerSpec(
                PUBLISHER,
                lambda pulse: self.publisher.run(pulse.stop, pulse.beat),
                _PUBLISHER_LIMIT_S,
                may_linger=True,
            ),
            self.recognizer(),
            self.capture(),
            self._gallery_worker,
            WorkerSpec(COMMANDS, self.desk.run, critical=False),
            WorkerSpec(
                SNAPSHOTS,
                self.snapshots.run,
                _OUTBOX_LIMIT_S,
                critical=False,
                may_linger=True,
            ),
            WorkerSpec(
                ACCELERATOR,
                lambda pulse: watch_accelerator(self.board, pulse),
                critical=False,
                may_linger=True,
            ),
            *self._exporter(),
        )

    def _exporter(self) -> tuple[WorkerSpec, ...]:
        address = self.board.settings.metrics.address
        if address is None:
            return ()
        return (WorkerSpec(METRICS, Exporter(address, self._metrics).run, critical=False),)

    def _metrics(self) -> DeviceMetrics:
        from edgeface.service.metrics import DeviceMetrics, Readings

        return DeviceMetrics(
            Readings(
                self.board,
                lambda: self.presence.state,
                self.reporter.counters,
                lambda: self.publisher.status,
                self.clock,
            )
        )

    def recognizer(self) -> WorkerSpec:
        """The worker that owns the models."""
        return WorkerSpec(
            RECOGNIZER,
            self._recognize,
            DEADLINE_S,
            replace_stuck=lambda: give_up_stuck(self.board),
        )

    def capture(self, trial: CameraTrial | None = None) -> WorkerSpec:
        """The worker that owns the camera; it begins with the `trial` of another one. At the end a
        driver that does not let go of the camera holds up nothing: the process goes without it."""
        return WorkerSpec(CAPTURE, lambda pulse: self._capture.run(pulse, trial), may_linger=True)

    def _recognize(self, pulse: Pulse) -> None:
        Recognizer(
            self.board,
            self.slot,
            self._decided,
            self.floor,
            observe=self._look_on,
            peephole=self.desk.peephole,
        ).run(pulse)

    def _decided(self, sighting: Sighting) -> None:
        self.desk.traces.note(sighting)
        self.outbox.append(sighting, self.snapshots.of(sighting))

    def _look_on(self, frame: Frame, result: FrameResult) -> None:
        self.snapshots.observe(frame, result)
        if self._observe is not None:
            self._observe(frame, result)
