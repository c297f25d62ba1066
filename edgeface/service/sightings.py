"""From a decision to what the outbox makes an event of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from edgeface.contract.event import (
    FaceQuality,
    GalleryUsed,
    Match,
    ModelsUsed,
    Pad,
    PadSource,
    Sighting,
    Track,
)
from edgeface.recognition.decision import Decision
from edgeface.recognition.liveness import Liveness
from edgeface.recognition.pipeline import Gallery
from edgeface.recognition.quality import Quality


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What every event of this moment has in common."""

    models: ModelsUsed
    accelerator: Literal["cpu", "edgetpu"]
    validity_s: float
    boottime_ns: int
    decided_at: datetime
    clock_synced: bool


def sighting(decision: Decision, gallery: Gallery, now: Circumstances) -> Sighting:
    """The event's content. The validity counts from the capture of the newest frame that the
    decision rests on."""
    basis = decision.basis
    age_ns = max(0, now.boottime_ns - basis.boottime_ns)
    return Sighting(
        event_type=decision.outcome,
        captured_at=basis.captured_at,
        captured_boottime_ns=basis.boottime_ns,
        decided_at=now.decided_at,
        validity_s=now.validity_s,
        clock_synced=now.clock_synced,
        track=Track(
            id=decision.track_id,
            frames=decision.frames,
            agreeing=decision.agreeing,
            duration_ms=round(decision.duration_s * 1000),
        ),
        faces_in_view=basis.faces_in_view,
        match=match_of(decision),
        quality=face_quality(decision.quality),
        gallery=gallery_used(gallery),
        models=now.models,
        accelerator=now.accelerator,
        latency_ms=age_ns // 1_000_000,
        pad=pad_of(decision.liveness),
        why=decision.why,
    )


def gallery_used(gallery: Gallery) -> GalleryUsed:
    """As messages carry it."""
    index = gallery.index
    return GalleryUsed(index.epoch, index.revision, index.templates_allowed(gallery.allowed))


def match_of(decision: Decision) -> Match | None:
    """Who was recognized; None for any other outcome."""
    if decision.outcome != "recognized":
        return None
    assert decision.person_id is not None
    assert decision.score is not None
    assert decision.threshold is not None
    return Match(
        person_id=decision.person_id,
        display_name=decision.display_name,
        score=round(decision.score, 4),
        threshold=round(decision.threshold, 4),
        threshold_extrapolated=decision.extrapolated,
        margin=_lead(decision),
    )


def _lead(decision: Decision) -> float | None:
    """The margin over the second-best person; None when there is none."""
    near: list[Any] = decision.why.get("near", [])
    return None if len(near) < 2 or decision.margin is None else round(decision.margin, 4)


def log_line(found: Sighting, decision: Decision, spent_s: Mapping[str, float]) -> dict[str, Any]:
    """The one line of the log about a decision: numbers, and a person by the opaque id alone, never
    by name. `spent_s` is what the stages of the frame took in which it was decided."""
    fields: dict[str, Any] = {
        "outcome": found.event_type,
        "track": decision.track_id,
        "person_id": decision.person_id,
        "score": decision.score and round(decision.score, 4),
        "threshold": decision.threshold and round(decision.threshold, 4),
        "margin": _lead(decision),
        "frames": decision.frames,
        "agreeing": decision.agreeing,
        "looks": decision.why.get("looks"),
        "gate": decision.why.get("gate"),
        "live": decision.liveness.live,
        "live_score": decision.liveness.score,
        "faces_in_view": found.faces_in_view,
        **({} if found.quality is None else asdict(found.quality)),
        "duration_ms": found.track.duration_ms,
        "latency_ms": found.latency_ms,
        **{f"{stage}_ms": round(1000 * duration_s, 1) for stage, duration_s in spent_s.items()},
    }
    return {name: value for name, value in fields.items() if value is not None}


def pad_of(liveness: Liveness) -> Pad:
    """As messages carry it."""
    if not liveness.assessed:
        return Pad()
    sources = tuple(
        PadSource(
            source.name,
            None if source.score is None else round(source.score, 4),
            source.live,
            None if source.threshold is None else round(source.threshold, 4),
            source.detail or None,
        )
        for source in liveness.sources
    )
    score = None if liveness.score is None else round(liveness.score, 4)
    return Pad(True, liveness.live, score, sources, liveness.policy)


def face_quality(quality: Quality | None) -> FaceQuality | None:
    """As messages carry it."""
    if quality is None:
        return None
    return FaceQuality(
        face_px=round(quality.face_px, 1),
        sharpness=round(quality.sharpness, 3),
        yaw_deg=_degrees(quality.yaw_deg),
        pitch_deg=_degrees(quality.pitch_deg),
        roll_deg=_degrees(quality.roll_deg),
        contrast=round(quality.contrast, 3),
        eyes=round(quality.eyes, 3),
    )


def _degrees(value: float) -> float:
    """To a tenth, and no zero with a minus."""
    return round(value, 1) + 0.0
