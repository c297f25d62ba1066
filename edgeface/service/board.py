"""What the workers tell one another. Every value is immutable and replaced whole."""

from __future__ import annotations

from dataclasses import dataclass

from edgeface.capture.reopening import CameraHealth
from edgeface.fleet.device.provision import Provision
from edgeface.inference.models import AcceleratorState
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.thresholds import Calibration
from edgeface.service.meters import Meters
from edgeface.service.models import Models
from edgeface.settings.tree import Settings


@dataclass(frozen=True, slots=True, eq=False)
class ModelFacts:
    """What others need to know of the open models, which their own thread keeps."""

    detector_sha256: str
    embedder_sha256: str
    detector_version: str
    embedder_version: str
    space: str
    calibration: Calibration
    accelerator: AcceleratorState

    @classmethod
    def of(cls, models: Models) -> ModelFacts:
        """The facts of open models."""
        detector, embedder = models.detector.package, models.embedder.package
        return cls(
            detector_sha256=detector.sha256,
            embedder_sha256=embedder.sha256,
            detector_version=detector.description.version,
            embedder_version=embedder.description.version,
            space=embedder.space_id,
            calibration=models.calibration,
            accelerator=models.accelerator,
        )


class Board:
    """One writer for each value, any number of readers."""

    def __init__(self, settings: Settings) -> None:
        self.meters = Meters()
        self.settings = settings
        """Main thread. The configuration in use."""
        self.models: ModelFacts | None = None
        """Recognizer. None until they are open and the golden test has passed."""
        self.lost: str | None = None
        """Main thread and recognizer. Why an Edge TPU was given up; None when it was not."""
        self.had_tpu = False
        """Recognizer. Whether the models have run on an Edge TPU since the start."""
        self.tpu_is_back = False
        """Set by the accelerator's watcher, cleared by the recognizer."""
        self.model_trouble: str | None = None
        """Gallery worker. Why templates and model do not go together."""
        self.gallery: GalleryIndex | None = None
        """Gallery worker. None until the gallery was loaded."""
        self.gallery_digest: str | None = None
        """Gallery worker. SHA-256 of the fleet's manifest that is wholly applied."""
        self.fleet_provision: Provision | None = None
        """Main thread. The fleet's keys and floor as a reload has read them; None before one."""
        self.covered_space: str | None = None
        """Gallery worker, cleared by the main thread. The space of the next embedder, when it can
        be taken into use."""
        self.gallery_trouble: str | None = None
        """Gallery worker. Why the gallery cannot be brought up to date."""
        self.camera: CameraHealth | None = None
        """Capture."""
        self.first_track_id = 1
        """Recognizer. The first id that no track has had."""
        self.turn = 0
        """Recognizer and main thread. Counts the recognizers: only the newest one speaks."""
