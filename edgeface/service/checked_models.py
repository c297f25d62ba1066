"""Both models, opened and proved by their golden test on the accelerator in use."""

from __future__ import annotations

from dataclasses import dataclass

from edgeface.base.errors import ModelError
from edgeface.contract.event import ModelsUsed
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.golden import check_golden
from edgeface.inference.models import AcceleratorState, Wanted, open_models
from edgeface.recognition.thresholds import Calibration
from edgeface.settings.tree import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """A detector and an embedder that passed. Owned by one thread."""

    detector: Detector
    embedder: Embedder
    accelerator: AcceleratorState
    calibration: Calibration

    @property
    def used(self) -> ModelsUsed:
        """What events say of them."""
        return ModelsUsed(
            detector=f"sha256:{self.detector.package.sha256}",
            embedder=f"sha256:{self.embedder.package.sha256}",
        )

    def check(self) -> None:
        """Run the golden inputs again. Raises ModelError when a result is wrong."""
        for model in (self.detector, self.embedder):
            check_golden(model.package, model).require()


def open_checked(
    settings: Settings, lost: str | None = None, *, accelerator: Wanted | None = None
) -> Models:
    """Open the configured models and run the golden test.

    An Edge TPU that fails it is given up: then the CPU is used, degraded. `lost` says why a TPU
    was given up before; `accelerator` replaces the configured one. Raises ModelError or
    RuntimeMissingError.
    """
    detector, embedder, state = open_models(
        settings.models.detector,
        settings.models.embedder,
        accelerator or settings.models.accelerator,
        settings.models.edgetpu_device,
        settings.models.threads,
        score_threshold=settings.detection.score_threshold,
        max_faces=settings.detection.max_faces,
        lost=lost,
    )
    models = Models(detector, embedder, state, embedder.package.calibration)
    try:
        models.check()
    except ModelError as error:
        if state.in_use == "cpu":
            raise
        return open_checked(settings, f"the golden test on the Edge TPU failed: {error}")
    return models
