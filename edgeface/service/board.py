"""What the workers tell one another. Every value is immutable and replaced whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeface.capture.reopening import CameraHealth
from edgeface.contract.report import AlertId
from edgeface.fleet.device.trusted import Provision
from edgeface.inference.models import AcceleratorState
from edgeface.inference.package import ModelPackage
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.thresholds import Calibration
from edgeface.service.meters import Meters
from edgeface.settings.tree import Settings


@dataclass(frozen=True, slots=True, eq=False)
class TpuOrder:
    """What the main thread has decided about the Edge TPU: holds until the models are opened."""

    lost: str | None
    """Why it is given up; None when it is to be tried again."""


@dataclass(frozen=True, slots=True, eq=False)
class NextEmbedder:
    """An offer to the main thread: the next embedder can be taken into use."""

    space: str


@dataclass(frozen=True, slots=True, eq=False)
class ModelFacts:
    """What others need to know of the open models, which their own thread keeps."""

    detector: ModelPackage
    embedder: ModelPackage
    calibration: Calibration
    accelerator: AcceleratorState
    pad: ModelPackage | None = None
    """What looks for attacks."""
    order: TpuOrder | None = None
    """The newest one when they were opened."""

    @property
    def space(self) -> str:
        """Of the templates that can be compared."""
        return self.embedder.space_id

    @property
    def dimensions(self) -> int:
        """How many numbers such a template has."""
        return self.embedder.dimensions

    @property
    def lost(self) -> str | None:
        """Why they do without the Edge TPU that they should run on; None when they do not."""
        return self.accelerator.reason if self.accelerator.degraded else None


@dataclass(slots=True)
class MainPost:
    """What the main thread writes."""

    settings: Settings
    """The configuration in use."""
    provision: Provision | None = None
    """The fleet's keys and floor as a reload has read them; None before one."""
    order: TpuOrder | None = None
    turn: int = 0
    """How many recognizers were given up: those begun before that are not listened to."""
    taken: NextEmbedder | None = None
    """The newest offer that was answered."""


@dataclass(slots=True)
class RecognizerPost:
    """What the worker that owns the models writes."""

    models: ModelFacts | None = None
    """None until they are open and the golden test has passed."""
    reopening: str | None = None
    """Why the accelerator is being opened anew; None when it is not."""
    had_tpu: bool = False
    """Whether the models have run on an Edge TPU since the start."""
    regained: int = 0
    """How many times it has heard from the watcher that an Edge TPU is back."""
    first_track_id: int = 1
    """The first id that no track has had."""
    liveness_trouble: str | None = None
    """Why liveness is not assessed though it is wanted; None when it is."""
    frame_interval_s: float | None = None
    """The usual time from frame to frame; None until it is known."""
    idle: bool = False
    """Nobody is there and nothing moves: faces are looked for now and then only."""
    picture: Mapping[AlertId, str | None] = field(default_factory=dict)
    """What is wrong with the camera's pictures, by the alert that says so."""
    exposure_ev: float = 0.0
    """How much lighter the camera's pictures ought to be for the face, in EV."""
    turn: int = 0
    """Degrees clockwise after which alone faces are found; 0 where they are upright."""


@dataclass(frozen=True, slots=True)
class SyncLag:
    """How far the device is behind the fleet's newest manifest."""

    published_revision: int
    missing: int
    """Records that have not come."""
    behind_since_ns: int | None
    """CLOCK_MONOTONIC; None when all of it is applied."""
    fresh_until_s: float | None
    """UTC epoch seconds until which it is confirmed."""


@dataclass(slots=True)
class GalleryPost:
    """What the gallery's worker writes."""

    index: GalleryIndex | None = None
    """None until the gallery was loaded."""
    digest: str | None = None
    """SHA-256 of the fleet's manifest that is wholly applied."""
    trouble: str | None = None
    """Why the gallery cannot be brought up to date."""
    time_trouble: str | None = None
    """Why the latest time that was reached is not known."""
    model_trouble: str | None = None
    """Why templates and model do not go together."""
    offer: NextEmbedder | None = None
    lag: SyncLag | None = None
    """None without a fleet, and before its first manifest."""


@dataclass(slots=True)
class CapturePost:
    """What the camera's worker writes."""

    camera: CameraHealth | None = None


@dataclass(slots=True)
class WatcherPost:
    """What the accelerator's watcher writes."""

    found: int = 0
    """How many times an Edge TPU that was lost could be used again."""


@dataclass(slots=True)
class SnapshotPost:
    """What the snapshots' worker writes."""

    trouble: str | None = None
    """Why pictures of decisions cannot be kept, or erased."""


class Board:
    """One post for each worker, which alone writes it; any number of readers."""

    def __init__(self, settings: Settings) -> None:
        self.meters = Meters()
        self.by_main = MainPost(settings)
        self.by_recognizer = RecognizerPost()
        self.by_gallery = GalleryPost()
        self.by_capture = CapturePost()
        self.by_watcher = WatcherPost()
        self.by_snapshots = SnapshotPost()

    @property
    def settings(self) -> Settings:
        """The configuration in use."""
        return self.by_main.settings

    @property
    def models(self) -> ModelFacts | None:
        """None until they are open and proved."""
        return self.by_recognizer.models

    @property
    def gallery(self) -> GalleryIndex | None:
        """None until it was loaded."""
        return self.by_gallery.index

    @property
    def lost(self) -> str | None:
        """Why an Edge TPU is not to be used; None when it is not given up."""
        facts, order = self.models, self.by_main.order
        if order is not None and (facts is None or facts.order is not order):
            return order.lost
        return None if facts is None else facts.lost
