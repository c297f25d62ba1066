"""What a device says about itself: `~/status`, `~/state`, `~/health`, `~/alert/<id>`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from edgeface.contract.codec import JsonObject
from edgeface.contract.event import AcceleratorInUse, Count, Session

Lifecycle: TypeAlias = Literal["init", "ready", "degraded", "stopping"]
AlertId: TypeAlias = Literal[
    "camera_stalled",
    "camera_frozen",
    "camera_covered",
    "camera_defocused",
    "camera_moved",
    "camera_turned",
    "frame_rate_low",
    "accelerator_lost",
    "gallery_stale",
    "clock_unsynced",
    "outbox_dropping",
    "snapshots_failing",
    "broker_refused",
    "model_mismatch",
    "liveness_failing",
    "name_in_use",
]
Line: TypeAlias = Annotated[str, Field(max_length=1000)]
Positive: TypeAlias = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Status:
    """Presence: `online`, `offline` (the will, sent by the broker) or `stopped` (it left by itself:
    told to end, or given up because a worker could not go on)."""

    status: Literal["online", "offline", "stopped"]
    session: Session


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryState:
    """The gallery in use."""

    source: Literal["local", "fleet"]
    epoch: Count
    revision: Count
    digest: str | None
    people: Count
    templates: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxState:
    """What waits for the broker."""

    depth: Count
    bytes: Count
    dropped: Count
    dead_letters: Count
    degraded: str | None
    oldest_at: datetime | None = None
    """Since when the oldest event waits; left out when none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the device is doing and with what."""

    contract_version: Literal[1] = 1
    lifecycle: Lifecycle
    reasons: tuple[Line, ...]
    """Why it is not `ready`, each a short text; empty when it is."""
    session: Session
    last_seq: Count
    """The last sequence number of this session on `~/event/log`; 0 before its first event."""
    clock_synced: bool
    accelerator: AcceleratorInUse | None
    camera: JsonObject
    """Name, source, size and what else the camera's back end tells."""
    gallery: GalleryState | None
    models: Mapping[str, str]
    outbox: OutboxState
    versions: Mapping[str, str]
    signing_key: str
    """`kid` of the key that signs events."""
    threshold_extrapolated: bool = False
    """Whether the threshold in use lies beyond what the calibration's data supports."""
    alerts: tuple[AlertId, ...] = ()
    """Those that stand, as on `~/alert/<id>`, which has the details."""
    idle: bool = False
    """Nobody is there and nothing moves, so faces are looked for once a second only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Of the capture-to-decision latency since the last report."""

    p50: Positive
    p90: Positive
    p99: Positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Periodic counters. Those in `counters` only grow within a session."""

    contract_version: Literal[1] = 1
    session: Session
    sent_at: datetime
    uptime_s: Positive
    fps: Positive | None
    latency_ms: Percentiles | None
    temperature_c: float | None
    memory_mb: Positive | None
    """Resident memory of the process."""
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that wants attention; the topic is cleared when it is resolved."""

    contract_version: Literal[1] = 1
    alert: AlertId
    session: Session
    since: datetime
    detail: Line
