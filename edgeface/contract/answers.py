"""Answers to commands, on `~/rsp/<verb>/<client>`: one form, and what each verb says in it.

Every answer is signed as events are. The transaction is the caller's; it is null only where the
request could not be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Generic, Literal, TypeAlias, TypeVar

from edgeface.contract.codec import MAX_PAYLOAD_BYTES, JsonObject, matching
from edgeface.contract.command_requests import TransactionId, Verb
from edgeface.contract.event import (
    AcceleratorInUse,
    Cosine,
    Count,
    Digest,
    EventId,
    FaceQuality,
    GalleryUsed,
    Id,
    Match,
    ModelsUsed,
    Outcome,
    Pad,
    PersonId,
    Session,
)
from edgeface.contract.report import Lifecycle, Line

Data = TypeVar("Data")
Code: TypeAlias = Literal[
    "too_large",
    "retained",
    "malformed",
    "unknown_verb",
    "disabled",
    "other_session",
    "expired",
    "expires_too_late",
    "repeated",
    "busy",
    "not_ready",
    "no_frames",
    "no_face",
    "multiple_faces",
    "incomplete",
    "not_found",
    "not_reloaded",
    "internal",
]
RETRYABLE: Final[frozenset[Code]] = frozenset(
    {
        "other_session",
        "expired",
        "busy",
        "not_ready",
        "no_frames",
        "no_face",
        "multiple_faces",
        "incomplete",
        "internal",
    }
)
"""Asking again, as a new transaction, may succeed without anything else being changed."""

Hint: TypeAlias = Literal[
    "step_into_view",
    "only_one_person",
    "come_nearer",
    "look_into_camera",
    "stay_inside_the_picture",
    "more_light",
    "less_light",
    "hold_still",
    "uncover_face",
    "turn_a_little",
]
"""What the next frame of an enrolment should be."""

Prompt: TypeAlias = Literal[
    "look_into_camera", "look_left", "look_right", "come_closer", "move_back"
]
"""What the person at the door is asked to do; left and right are the person's own."""


@dataclass(frozen=True, slots=True)
class Error:
    """Why there is no data."""

    code: Code
    message: Line
    retryable: bool

    @classmethod
    def of(cls, code: Code, message: str) -> Error:
        """With what is known of the code; an overlong or broken text is made to fit."""
        text = message[:500].encode("utf-8", "replace").decode()
        return cls(code, text, code in RETRYABLE)


@dataclass(frozen=True, kw_only=True)  # with slots, Python 3.11 cannot make an Answer[Data]()
class Answer(Generic[Data]):
    """Any answer; `data` is that of its verb."""

    contract_version: Literal[1] = 1
    status: Literal["ok", "error", "progress"]
    """`progress` is followed by more; `ok` and `error` are the last word."""
    verb: str
    transaction: TransactionId | None
    session: Session
    site: Id
    device: Id
    answered_at: datetime
    error: Error | None = None
    data: Data | None = None


AnyAnswer: TypeAlias = Answer[JsonObject]
"""With its data as they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingData:
    """The device is there."""

    lifecycle: Lifecycle
    clock_synced: bool
    time: datetime
    """The device's."""
    verbs: tuple[Verb, ...]
    """What it answers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look through the camera rests on. All frames were captured after the receipt of the
    request."""

    captured_at: datetime
    """The newest frame; of an answer that names somebody, the newest that names them."""
    decided_at: datetime
    clock_synced: bool
    frames: Count
    """Good frames of one face."""
    agreeing: Count
    quality: FaceQuality | None
    pad: Pad
    gallery: GalleryUsed
    models: ModelsUsed
    accelerator: AcceleratorInUse
    latency_ms: Count
    """From the receipt of the request to the decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyData:
    """The answer to a claim. Only `match` is a yes. `rejected_pad`: it would be one, but for the
    evidence in `seen.pad` and the device's policy."""

    person_id: PersonId
    """Who was claimed: compare it with what you asked."""
    outcome: Literal["match", "no_match", "inconclusive", "not_enrolled", "rejected_pad"]
    score: Cosine | None
    threshold: Cosine | None
    threshold_extrapolated: bool
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyData:
    """Who is at the door; `match` is null unless recognized."""

    outcome: Outcome
    match: Match | None
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyProgress:
    """What a challenge asks the person at the door to do now."""

    done: Count
    """Steps that were answered, of those wanted."""
    wanted: Count
    prompt: Prompt
    message: Line
    """The prompt for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollProgress:
    """How far an enrolment is, and what the next frame should be."""

    kept: Count
    wanted: Count
    hint: Hint
    message: Line
    """The hint for people, with what was measured."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Something only the named key can open."""

    scheme: Literal["x25519-hkdf-sha256-aes-256-gcm"]
    recipient: Annotated[str, matching("[0-9a-f]{16}", 16)]
    """First 16 hexadecimal digits of the SHA-256 of the raw public key."""
    ephemeral: Annotated[str, matching("[A-Za-z0-9+/]{43}=", 44)]
    """The sender's one-time X25519 public key, base64."""
    nonce: Annotated[str, matching("[A-Za-z0-9+/]{16}", 16)]
    """96 bits, base64."""
    ciphertext: Annotated[str, matching("[A-Za-z0-9+/]*={0,2}", MAX_PAYLOAD_BYTES)]
    """With its tag, base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollData:
    """A finished enrolment. The sealed content is a gallery export of one person."""

    frames: Count
    space: str
    """The embedder's; the templates are of use with this one alone."""
    quality: tuple[FaceQuality, ...]
    likeness: Cosine | None
    """The least cosine between two of the frames; null for a single one."""
    known_as: PersonId | None
    """Who of the gallery the person may already be."""
    sealed: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotData:
    """A picture. The sealed content is a JPEG."""

    captured_at: datetime
    width: Count
    height: Count
    faces: Count
    sealed: Sealed
    event_id: EventId | None = None
    """Whose picture was asked for. It was sealed when it was taken: in the associated data `event`
    stands for the verb and this for the transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadData:
    """The configuration was taken over."""

    needs_restart: tuple[str, ...]
    """Sections and single settings that were changed and left as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryData:
    """The gallery in use, and a page of ids."""

    source: Literal["local", "fleet"]
    epoch: Count
    revision: Count
    people: Count
    templates: Count
    digest: Digest
    """Over the ids and templates, in the order of ids: equal for equal galleries of one space."""
    space: str
    person_ids: tuple[PersonId, ...]
    next: PersonId | None
    """Ask for the ids after this one; null: there are no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyData:
    """A decision and its trace."""

    track: Count
    outcome: Outcome
    captured_at: datetime
    decided_at: datetime
    match: Match | None
    quality: FaceQuality | None
    faces_in_view: Count
    why: JsonObject
    recent: tuple[Count, ...]
    """Tracks whose traces are remembered, newest first."""
