"""Sections `detection`, `quality`, `tracking`, `decision` and `pad`: from a frame to a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from edgeface.settings.base import Seconds, Section, Share
from edgeface.settings.models import Package

Angle = Annotated[float, Field(gt=0, le=90)]
PadPolicy: TypeAlias = Literal["report", "refuse_recognized", "challenge"]


class DetectionSettings(Section):
    """Which faces the detector reports."""

    score_threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The least score of a face, in (0, 1); null takes the model package's."""
    max_faces: Annotated[int, Field(ge=1, le=64)] = 8
    """At most so many faces of a frame are looked at, the best scores first."""
    idle_after_s: Seconds | None = 5.0
    """Nobody is there and nothing has moved for so long: then faces are looked for once a second,
    and at once where the picture changes, and a camera of the Raspberry Pi or on USB leaves out
    frames, but shows one in every 200 ms; null: always in every frame."""


class QualitySettings(Section):
    """The limits a crop has to keep before it counts; the fields of `QualityLimits`."""

    min_face_px: Annotated[float, Field(ge=10, le=2000)] = 30.0
    """The shorter side of the face's box, in pixels of the camera image."""
    min_sharpness: Share = 0.15
    """0 is blurred, 1 is sharp."""
    min_exposure: Share = 0.2
    """0 is black or burnt out, 1 is well exposed."""
    min_eyes: Share = 0.0
    """0 is covered eyes, 1 is seen ones. Enrollment demands more, whatever is set here."""
    min_contrast: Share = 0.0
    """0 is light from behind, 1 is light from the front. Enrollment demands more."""
    min_score: Share = 0.5
    """The detector's score of the face."""
    max_yaw_deg: Angle = 40.0
    """Turned to the side, in degrees."""
    max_pitch_deg: Angle = 35.0
    """Looking up or down, in degrees."""
    max_roll_deg: Annotated[float, Field(gt=0, le=180)] = 45.0
    """The head leant over, in degrees."""


class TrackingSettings(Section):
    """How faces of successive frames become tracks; the fields of `TrackerRules`."""

    min_iou: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """The least overlap of a face with the track's predicted box."""
    max_gap_s: Seconds = 0.7
    """A track without a face for so long has ended."""


class DecisionSettings(Section):
    """When a track is a person; the fields of `DecisionRules`, and how long a decision holds.

    There is no threshold here: it follows from `target_fpir`, the embedder's calibration and the
    size of the gallery.
    """

    target_fpir: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    """The share of strangers' tracks that may be taken for somebody of the gallery."""
    verify_fmr: Annotated[float, Field(gt=0, le=0.1)] = 1e-4
    """The share of wrong people that may pass for the person of a presented card."""
    max_looks: Annotated[int, Field(ge=1, le=20)] = 3
    """Decisions per track at most."""
    min_agreeing: Annotated[int, Field(ge=1, le=50)] = 3
    """Frames that have to name the same person."""
    min_margin: Annotated[float, Field(ge=0, le=1)] = 0.06
    """The least lead of the best over the second-best person, as a difference of cosines."""
    best_frames: Annotated[int, Field(ge=1, le=50)] = 8
    """The best crops of a track that are kept and fused."""
    same_track_min: Annotated[float, Field(ge=-1, le=1)] = 0.3
    """A crop whose cosine to the track's reference is below it starts a new track."""
    unknown_after_s: Seconds = 2.0
    """A track with enough good frames and no name is called unknown after so long."""
    cool_down_s: Annotated[float, Field(ge=0)] = 2.0
    """The same person in an overlapping or split track is not announced again so soon."""
    validity_s: Annotated[float, Field(ge=1, le=60)] = 5.0
    """A door may act on a decision for so long, counted from the capture of the frame."""

    @model_validator(mode="after")
    def _enough_frames(self) -> DecisionSettings:
        if self.best_frames < self.min_agreeing:
            raise ValueError(
                f"best_frames {self.best_frames} is below min_agreeing {self.min_agreeing}"
            )
        return self


class PadSettings(Section):
    """Presentation attack detection: photographs and screens that are held up to the camera. What
    it stops, and what not, is in docs/security.md."""

    event: PadPolicy = "report"
    """Of events. `report`: the evidence is told, nothing else. `refuse_recognized`: nobody is
    recognized against evidence of an attack. `challenge`: nor without evidence of a live person."""
    verify: PadPolicy = "report"
    """The same of the answers to `verify` and `identify`; with `challenge` each `verify` asks the
    person for movements in a random order."""
    model: Package | None = Path("pad")
    """The package that looks for attacks; null: none are looked for."""
    target_bpcer: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    """The share of live people that may be taken for an attack."""
    wait_s: Annotated[float, Field(ge=0, le=10)] = 2.0
    """Where a name may be refused, it is held back so long for evidence that takes time."""
    back_off_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    """After somebody was refused as an attack, nobody passes as the same person for 10 s, after
    each further time in a row twice as long, at most so long; 0: at once."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> PadSettings:
        if self.model is None and self.refusing:
            raise ValueError(
                f"{' and '.join(self.refusing)}: nobody can be refused without evidence; name a "
                "package in model (the one that ships is pad), or say report"
            )
        return self

    @property
    def refusing(self) -> tuple[str, ...]:
        """Which policies do more than to report, as they are written."""
        policies = {"event": self.event, "verify": self.verify}
        return tuple(f"{name}: {word}" for name, word in policies.items() if word != "report")
