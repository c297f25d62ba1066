"""The gate and the bar that enrolment from photographs goes through, for both `enroll` verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeface.gallery.enrolment import Bar, bar_for
from edgeface.gallery.gate import Gate
from edgeface.gallery.store import GalleryStore
from edgeface.inference.models import open_models
from edgeface.inference.package import ModelPackage
from edgeface.recognition.quality import QualityLimits

if TYPE_CHECKING:
    from edgeface.fleet.admin.site import SiteSettings
    from edgeface.settings.tree import Settings


def open_gate(settings: Settings | SiteSettings) -> tuple[Gate, ModelPackage]:
    """The models' gate, and the embedder's package. Raises ModelError or RuntimeMissingError."""
    # On the CPU: a running daemon owns the Edge TPU, and templates of both are of one space.
    detector, embedder, _ = open_models(
        settings.models.detector,
        settings.models.embedder,
        "cpu",
        threads=settings.models.threads,
        score_threshold=settings.detection.score_threshold,
        max_faces=settings.detection.max_faces,
    )
    gate = Gate(detector, embedder, QualityLimits(**settings.quality.model_dump()))
    return gate, embedder.package


def bar_in(store: GalleryStore, settings: Settings | SiteSettings, package: ModelPackage) -> Bar:
    """For templates of the package's space among those that `store` has."""
    return bar_for(
        package.calibration,
        settings.decision.target_fpir,
        settings.decision.max_looks,
        store.spaces().get(package.space_id, 0),
    )
