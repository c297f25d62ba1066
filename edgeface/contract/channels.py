"""The contract as data: which message is on which topic, how it is sent, and who may do so.

`contract.documents` makes JSON Schemas and the AsyncAPI document of it. A command is a channel of
action `receive` on `~/cmd/<verb>` whose `reply` names the channel of its answers on
`~/rsp/<verb>/<client>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from edgeface.base.ids import ID
from edgeface.contract.event import Gap, Recognition
from edgeface.contract.gallery_report import Reported
from edgeface.contract.report import Alert, AlertId, Health, State, Status
from edgeface.contract.topics import PREFIX

BASE: Final = f"{PREFIX}/{{site}}/{{device}}"
"""`~`."""

PARAMETERS: Final[dict[str, str]] = {
    "site": f"The site's id; matches {ID.pattern}.",
    "device": f"The device's id; matches {ID.pattern}; never `gallery`.",
    "alert": f"One of {', '.join(get_args(AlertId))}.",
    "client": "Id of the client that asks.",
}
"""What stands in braces in an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One topic, from the device's side."""

    address: str
    """The topic, with the names of `PARAMETERS` in braces."""
    action: Literal["send", "receive"] = "send"
    messages: tuple[str, ...]
    """Names of `Part.kinds`."""
    summary: str
    qos: Literal[0, 1] = 1
    retained: bool = False
    signed: bool = False
    """Whether the user properties `sig` and `kid` are there."""
    reply: str | None = None
    """The channel of the answers; they carry the request's CorrelationData."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the contract: types by the name of their schema, channels by theirs."""

    kinds: Mapping[str, Any]
    channels: Mapping[str, Channel] = field(default_factory=dict)


DEVICE: Final = Part(
    kinds={
        "recognition": Recognition,
        "gap": Gap,
        "status": Status,
        "state": State,
        "health": Health,
        "alert": Alert,
    },
    channels={
        "event": Channel(
            address=f"{BASE}/event",
            messages=("recognition",),
            summary=(
                "For acting: a live decision, at most once, only while it is valid. The message "
                "expiry is what is left of its validity, in whole seconds."
            ),
            signed=True,
        ),
        "eventLog": Channel(
            address=f"{BASE}/event/log",
            messages=("recognition", "gap"),
            summary=(
                "For knowing: every event, at least once, in the order of session and seq; "
                "`historical` when it is sent late."
            ),
            signed=True,
        ),
        "status": Channel(
            address=f"{BASE}/status",
            messages=("status",),
            summary="Presence: online, offline (the will) or stopped.",
            retained=True,
        ),
        "state": Channel(
            address=f"{BASE}/state",
            messages=("state",),
            summary="What the device is doing and with what; at most once a second.",
            retained=True,
        ),
        "health": Channel(
            address=f"{BASE}/health", messages=("health",), summary="Periodic counters.", qos=0
        ),
        "alert": Channel(
            address=f"{BASE}/alert/{{alert}}",
            messages=("alert",),
            summary="An alert that stands. An empty payload clears it.",
            retained=True,
        ),
    },
)
"""What a device says of itself and of whom it sees."""

FLEET: Final = Part(
    kinds={"gallery-reported": Reported},
    channels={
        "galleryReported": Channel(
            address=f"{BASE}/gallery/reported",
            messages=("gallery-reported",),
            summary="What of the site's central gallery is applied, refused and erased.",
            retained=True,
            signed=True,
        )
    },
)
"""What a device says of the site's central gallery."""
