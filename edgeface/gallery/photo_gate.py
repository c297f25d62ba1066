"""The gate and the bar that enrolment from photographs goes through, as the settings have them."""

from __future__ import annotations

from edgeface.gallery.enrolment import Bar, bar_for
from edgeface.gallery.gate import Gate
from edgeface.gallery.store import GalleryStore
from edgeface.inference.models import open_models
from edgeface.inference.package import ModelPackage
from edgeface.recognition.quality import QualityLimits
from edgeface.settings.models import ModelsSettings
from edgeface.settings.recognition import DecisionSettings, DetectionSettings, QualitySettings


def open_gate(
    models: ModelsSettings, detection: DetectionSettings, quality: QualitySettings
) -> tuple[Gate, ModelPackage]:
    """The models' gate, and the embedder's package. Raises ModelError or RuntimeMissingError."""
    # On the CPU: a running daemon owns the Edge TPU, and templates of both are of one space.
    detector, embedder, _ = open_models(
        models.detector,
        models.embedder,
        "cpu",
        threads=models.threads,
        score_threshold=detection.score_threshold,
        max_faces=detection.max_faces,
    )
    return Gate(detector, embedder, QualityLimits(**quality.model_dump())), embedder.package


def bar_in(store: GalleryStore, decision: DecisionSettings, package: ModelPackage) -> Bar:
    """For templates of the package's space among those that `store` has."""
    templates = store.spaces().get(package.space_id, 0)
    return bar_for(package.calibration, decision.target_fpir, decision.max_looks, templates)
