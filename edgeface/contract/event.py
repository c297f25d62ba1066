"""Events of contract v1: what the device saw (`Recognition`) and what was lost (`Gap`).

The daemon hands a `Sighting` to the outbox, which makes the event out of it: id, session and
sequence number are given where the event is committed, nowhere else.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, TypeAlias, TypedDict, get_args

from pydantic import Field

from edgeface.base.errors import ContractError
from edgeface.base.ids import EVENT_ID, ID, PERSON_ID
from edgeface.contract import codec
from edgeface.contract.codec import JsonObject, matching

CONTRACT_VERSION: Final = 1

Id: TypeAlias = Annotated[str, matching(ID.pattern, 64)]
PersonId: TypeAlias = Annotated[str, matching(PERSON_ID.pattern, 12)]
EventId: TypeAlias = Annotated[str, matching(EVENT_ID.pattern, 36)]
Session: TypeAlias = Annotated[str, matching("[0-9a-f]{8,64}", 64)]
Digest: TypeAlias = Annotated[str, matching("sha256:[0-9a-f]{64}", 71)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Number: TypeAlias = Annotated[int, Field(ge=1)]
Cosine: TypeAlias = Annotated[float, Field(ge=-1, le=1)]
Unit: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Degrees: TypeAlias = Annotated[float, Field(ge=-180, le=180)]
Outcome: TypeAlias = Literal[
    "recognized", "ambiguous", "unknown", "inconclusive", "rejected_quality", "rejected_pad"
]
PadPolicy: TypeAlias = Literal["report", "refuse_recognized", "challenge"]
"""What the evidence does: it is told only; who would be recognized is refused on evidence of an
attack; who would be recognized is refused without evidence of a live person."""
AcceleratorInUse: TypeAlias = Literal["cpu", "edgetpu"]
"""`edgetpu` stands for an accelerator of any kind under any model."""
DropReason: TypeAlias = Literal["count", "bytes", "age", "memory", "corrupt", "refused"]


def new_session() -> str:
    """A fresh random session id, one for each start of the daemon."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Track:
    """The track that was decided on."""

    id: Count
    frames: Count
    """Good frames that were used."""
    agreeing: Count
    """How many of them name the best person."""
    duration_ms: Count
    """From the first face of the track to the decision."""


@dataclass(frozen=True, slots=True)
class Match:
    """Who was recognized, and by how much."""

    person_id: PersonId
    display_name: str | None
    score: Cosine
    threshold: Cosine
    threshold_extrapolated: bool
    margin: Annotated[float, Field(ge=0, le=2)] | None
    """Lead over the second-best person; null when there is no second person."""


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """Quality of the best frame."""

    face_px: Annotated[float, Field(ge=0)]
    sharpness: Unit
    yaw_deg: Degrees
    pitch_deg: Degrees
    roll_deg: Degrees
    contrast: Unit | None = None
    """From the darkest to the lightest parts of the face; low where the light is behind it."""
    eyes: Unit | None = None
    """Low where the eyes are covered."""


@dataclass(frozen=True, slots=True)
class PadSource:
    """What one kind of evidence says; null stands for not enough to say."""

    name: Annotated[str, matching("[a-z][a-z_]{0,31}", 32)]
    """`passive`, `motion`, `challenge`; others may be added."""
    score: Unit | None
    live: bool | None
    threshold: Unit | None = None
    """A lower score is an attack's."""
    detail: JsonObject | None = None
    """What was measured."""

    @property
    def told(self) -> str:
        """For people: how a challenge ended, else the score and what it means."""
        if self.detail is not None and isinstance(reason := self.detail.get("reason"), str):
            return reason
        word = {True: "live", False: "not live", None: "cannot tell"}[self.live]
        return word if self.score is None else f"{self.score:.2f}: {word}"


@dataclass(frozen=True, slots=True)
class Pad:
    """Presentation attack detection (ISO/IEC 30107-3): whether a photograph or a screen was looked
    for, and the evidence. A score of 0 is an attack, of 1 a live person."""

    assessed: bool = False
    live: bool | None = None
    """False where any source says so, else true where one does; null: nobody knows."""
    score: Unit | None = None
    """The lowest of the sources'."""
    sources: tuple[PadSource, ...] | None = None
    policy: PadPolicy | None = None

    def __post_init__(self) -> None:
        if self.live is not None and not self.assessed:
            raise ContractError("inconsistent", "pad: live is said of what was not assessed")

    @property
    def challenged(self) -> bool:
        """Whether the person has passed a challenge."""
        sources = self.sources or ()
        return any(source.name == "challenge" and source.live is True for source in sources)

    @property
    def told(self) -> str:
        """For people: the word and what it comes from: scores, and of a challenge how it ended."""
        if not self.assessed:
            return "not assessed"
        word = {True: "live", False: "not live", None: "nobody knows"}[self.live]
        said = [f"{source.name} {source.told}" for source in self.sources or ()]
        return f"{word} ({'; '.join(said)})" if said else word


@dataclass(frozen=True, slots=True)
class GalleryUsed:
    """The gallery that was compared with."""

    epoch: Count
    revision: Count
    templates: Count
    """How many templates could match; those of a person that agree are one."""


@dataclass(frozen=True, slots=True)
class ModelsUsed:
    """The model files, by digest."""

    detector: Digest
    embedder: Digest
    pad: Digest | None = None
    """What looked for attacks; null where none was looked for."""


@dataclass(frozen=True, slots=True)
class Previous:
    """The session before this one and the last sequence number that it brought to disk."""

    session: Session
    last_seq: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A decision as the daemon knows it, before the outbox makes an event of it.

    Times are aware; messages cut them to the millisecond. `captured_boottime_ns` is the capture on
    CLOCK_BOOTTIME, from which the validity is counted on the device.
    """

    event_type: Outcome
    captured_at: datetime
    captured_boottime_ns: int
    decided_at: datetime
    validity_s: float
    clock_synced: bool
    track: Track
    faces_in_view: int
    match: Match | None
    quality: FaceQuality | None
    gallery: GalleryUsed
    models: ModelsUsed
    accelerator: AcceleratorInUse
    latency_ms: int
    """From capture to decision."""
    pad: Pad = field(default_factory=Pad)
    why: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """One outcome of one track. On `~/event` it is for acting, on `~/event/log` for knowing."""

    contract_version: Literal[1]
    event_type: Outcome
    event_id: EventId
    seq: Number
    session: Session
    site: Id
    device: Id
    captured_at: datetime
    decided_at: datetime
    valid_until: datetime
    historical: bool
    clock_synced: bool
    track: Track
    faces_in_view: Count
    match: Match | None
    quality: FaceQuality | None
    pad: Pad
    gallery: GalleryUsed
    models: ModelsUsed
    accelerator: AcceleratorInUse
    latency_ms: Count
    why: JsonObject | None = None
    previous: Previous | None = None

    def __post_init__(self) -> None:
        if (self.match is not None) != (self.event_type == "recognized"):
            raise ContractError("inconsistent", f"{self.event_type}: match must not be as it is")
        if self.valid_until < self.captured_at:
            raise ContractError("inconsistent", "valid_until lies before captured_at")


@dataclass(frozen=True, slots=True)
class DroppedRange:
    """Consecutive events of one session that will not arrive."""

    session: Session
    first_seq: Number
    last_seq: Number
    dropped: Count
    reason: DropReason


@dataclass(frozen=True, slots=True)
class Loss:
    """What was dropped before it could be delivered."""

    dropped: Count | None
    """Number of events; null when a broken file does not tell."""
    ranges: tuple[DroppedRange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Announces on `~/event/log` which events had to be dropped. Never sent on `~/event`."""

    contract_version: Literal[1]
    event_type: Literal["gap"]
    event_id: EventId
    seq: Number
    session: Session
    site: Id
    device: Id
    announced_at: datetime
    historical: bool
    clock_synced: bool
    lost: Loss
    previous: Previous | None = None


Event: TypeAlias = Recognition | Gap


class Identity(TypedDict):
    """What the outbox gives an event when it commits it."""

    event_id: str
    seq: int
    session: str
    site: str
    device: str
    previous: Previous | None


_SHARED: Final = [item.name for item in fields(Sighting) if item.name in Recognition.__slots__]


def recognition(sighting: Sighting, identity: Identity) -> Recognition:
    """The live form of the event (`historical` false)."""
    return Recognition(
        contract_version=CONTRACT_VERSION,
        valid_until=sighting.captured_at + timedelta(seconds=sighting.validity_s),
        historical=False,
        **identity,
        **{name: getattr(sighting, name) for name in _SHARED},
    )


def gap(lost: Loss, identity: Identity, *, announced_at: datetime, clock_synced: bool) -> Gap:
    """The event that announces `lost`."""
    return Gap(
        contract_version=CONTRACT_VERSION,
        event_type="gap",
        **identity,
        announced_at=announced_at,
        historical=False,
        clock_synced=clock_synced,
        lost=lost,
    )


def parse(payload: bytes) -> Event:
    """The event in `payload`. Unknown fields are ignored.

    Raises ContractError with a reason of `contract.load` or `contract.from_mapping`, or
    `unsupported_version` or `unknown_event_type`.
    """
    mapping = codec.load(payload)
    version = mapping.get("contract_version")
    if version != CONTRACT_VERSION or isinstance(version, bool):
        raise ContractError("unsupported_version", f"contract_version is {version!r}, not 1")
    event_type = mapping.get("event_type")
    if event_type == "gap":
        return codec.from_mapping(Gap, mapping)
    if not isinstance(event_type, str) or event_type not in get_args(Outcome):
        raise ContractError("unknown_event_type", f"event_type {event_type!r} is not known")
    return codec.from_mapping(Recognition, mapping)


def as_historical(payload: bytes) -> bytes:
    """The same event marked as sent late. Raises ContractError when `payload` is no JSON object."""
    mapping = codec.load(payload)
    mapping["historical"] = True
    return codec.dump(mapping)
