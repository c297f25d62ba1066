"""Home Assistant: the one device-discovery payload that describes this device's entities.

Format: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload; keys are written
out, without abbreviations. Templates are Jinja with Home Assistant's functions.

What holds a recognition takes it only from `~/event`, which is never retained, and lets it go
before it is no longer valid: it is shown for `hold_s`, and only when at least so much of its
validity is left. Any message on a sensor's topic starts its `expire_after` anew, whatever the
template makes of it; so the templates never leave the old value in place.

There are no buttons and no image. A request names the response topic that its answer goes to, which
no MQTT entity of Home Assistant can send, and pictures are sealed to the administrator
(docs/homeassistant/README.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, get_args

from edgeface import __version__
from edgeface.contract import codec
from edgeface.contract.event import AcceleratorInUse, Outcome
from edgeface.contract.report import AlertId
from edgeface.contract.topics import Topics
from edgeface.settings.tree import Settings

BIRTH: Final = b"online"
"""What Home Assistant says on its status topic when it has started."""
HEALTH_MISSES: Final = 3
"""A counter of `~/health` is unavailable after so many intervals without a message."""

_LEFT: Final = (
    "value_json is defined and not value_json.historical and value_json.clock_synced"
    " and as_timestamp(value_json.valid_until, 0) - as_timestamp(now())"
)
_DETAILS: Final = (
    "{% set match = value_json.match or {} %}"
    "{{ {'event_type': value_json.event_type, 'event_id': value_json.event_id,"
    " 'person_id': match.person_id | default(none),"
    " 'display_name': match.display_name | default(none),"
    " 'score': match.score | default(none), 'faces_in_view': value_json.faces_in_view,"
    " 'captured_at': value_json.captured_at, 'valid_until': value_json.valid_until} | tojson }}"
)
_OUTCOMES: Final[dict[Outcome, tuple[str, str]]] = {
    "recognized": ("Recognized", "mdi:account-check"),
    "ambiguous": ("Ambiguous", "mdi:account-multiple"),
    "unknown": ("Unknown person", "mdi:account-question"),
    "inconclusive": ("Inconclusive", "mdi:account-off"),
    "rejected_quality": ("Rejected quality", "mdi:image-broken-variant"),
    "rejected_pad": ("Rejected as not live", "mdi:account-cancel"),
}
"""Name and icon of each outcome's event entity; its state is when it last happened."""
# A state of more than 255 characters would be refused and the name before it stay.
_NAME: Final = "((value_json.match.display_name or '') | trim or value_json.match.person_id)[:255]"
_ONLINE: Final = (
    "{{ 'online' if value_json is defined and value_json.status == 'online' else 'offline' }}"
)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What Home Assistant is told, and where."""

    topic: str
    """The discovery topic; the payload is retained there."""
    payload: bytes
    birth_topic: str
    """Where Home Assistant says that it has started."""


def announcement(settings: Settings) -> Announcement | None:
    """Of this device; None when it is switched off."""
    section = settings.homeassistant
    if not section.enabled:
        return None
    prefix = section.discovery_prefix
    topics = Topics(settings.site, settings.device)
    return Announcement(
        topic=f"{prefix}/device/{settings.site}-{settings.device}/config",
        payload=codec.dump(
            discovery(topics, settings.decision.validity_s, settings.health.interval_s)
        ),
        birth_topic=f"{prefix}/status",
    )


def hold_s(validity_s: float) -> int:
    """How long an entity shows a recognition, in whole seconds: a second is left for the way."""
    return max(1, math.floor(validity_s) - 1)


def discovery(topics: Topics, validity_s: float, health_interval_s: float) -> dict[str, Any]:
    """The device-discovery payload."""
    # Site and device hold no underscore, so two devices cannot share an identifier.
    identifier = f"edgeface_{topics.site}_{topics.device}"
    components: dict[str, dict[str, Any]] = {
        **{outcome: _outcome(topics, outcome) for outcome in _OUTCOMES},
        **_recognitions(topics, hold_s(validity_s)),
        **_of_health(topics, math.ceil(HEALTH_MISSES * health_interval_s)),
        **_of_state(topics),
        **{f"alert_{alert}": _alert(topics, alert) for alert in get_args(AlertId)},
    }
    return {
        "device": {
            "identifiers": [identifier],
            "name": f"{topics.site} {topics.device}",
            "manufacturer": "edgeface",
            "model": "Face recognition",
            "sw_version": __version__,
        },
        "origin": {"name": "edgeface", "sw_version": __version__},
        "components": {
            name: {**component, "unique_id": f"{identifier}_{name}"}
            for name, component in components.items()
        },
    }


def _outcome(topics: Topics, outcome: Outcome) -> dict[str, Any]:
    """The event entity of one outcome. It has no availability: an entity that comes back from
    `unavailable` with its last event looks like a new one to an automation that waits for a change
    of state."""
    name, icon = _OUTCOMES[outcome]
    valid = f"{_LEFT} > 0 and value_json.event_type == '{outcome}'"
    return {
        "platform": "event",
        "name": name,
        "icon": icon,
        "state_topic": topics.event,
        "qos": 1,
        "event_types": [outcome],
        "value_template": f"{{% if {valid} %}}{_DETAILS}{{% endif %}}",
    }


def _recognitions(topics: Topics, hold: int) -> dict[str, dict[str, Any]]:
    """What shows a recognition of `~/event` for a moment."""
    live = f"{_LEFT} >= {hold}"
    recognized = f"{live} and value_json.event_type == 'recognized'"
    source: dict[str, Any] = {"state_topic": topics.event, "qos": 1}
    return {
        "presence": {
            **source,
            **_available(topics),
            "platform": "binary_sensor",
            "name": "Presence",
            "device_class": "occupancy",
            "off_delay": hold,
            "value_template": f"{{{{ 'ON' if {live} else '' }}}}",
        },
        "person": {
            **source,
            **_available(topics),
            "platform": "sensor",
            "name": "Last person",
            "icon": "mdi:account",
            "expire_after": hold,
            "value_template": f"{{{{ {_NAME} if {recognized} else 'None' }}}}",
        },
        "score": {
            **source,
            **_available(topics),
            "platform": "sensor",
            "name": "Last score",
            "icon": "mdi:gauge",
            "expire_after": hold,
            "suggested_display_precision": 2,
            "value_template": f"{{{{ value_json.match.score if {recognized} else 'None' }}}}",
        },
    }


def _of_health(topics: Topics, expire_s: int) -> dict[str, dict[str, Any]]:
    """Diagnostics from `~/health`."""
    health: dict[str, Any] = {
        **_available(topics),
        "entity_category": "diagnostic",
        "platform": "sensor",
        "state_topic": topics.health,
        "state_class": "measurement",
        "expire_after": expire_s,
    }
    return {
        "latency": {
            **health,
            "name": "Latency",
            "device_class": "duration",
            "unit_of_measurement": "ms",
            "suggested_display_precision": 0,
            "value_template": _value("latency_ms", "p50"),
        },
        "temperature": {
            **health,
            "name": "Temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "suggested_display_precision": 1,
            "value_template": _value("temperature_c"),
        },
        "frame_rate": {
            **health,
            "name": "Frame rate",
            "icon": "mdi:speedometer",
            "unit_of_measurement": "fps",
            "suggested_display_precision": 1,
            "value_template": _value("fps"),
        },
    }


def _of_state(topics: Topics) -> dict[str, dict[str, Any]]:
    """Diagnostics from `~/state`."""
    state: dict[str, Any] = {
        **_available(topics),
        "entity_category": "diagnostic",
        "platform": "sensor",
        "state_topic": topics.state,
        "qos": 1,
    }
    return {
        "accelerator": {
            **state,
            "name": "Accelerator",
            "icon": "mdi:chip",
            "device_class": "enum",
            "options": list(get_args(AcceleratorInUse)),
            "value_template": _value("accelerator"),
        },
        "outbox": {
            **state,
            "name": "Outbox",
            "icon": "mdi:tray-full",
            "state_class": "measurement",
            "unit_of_measurement": "events",
            "value_template": _value("outbox", "depth"),
        },
        "gallery_revision": {
            **state,
            "name": "Gallery revision",
            "icon": "mdi:account-multiple",
            "value_template": _value("gallery", "revision"),
        },
        "idle": {
            **state,
            "platform": "binary_sensor",
            "name": "Camera idle",
            "icon": "mdi:sleep",
            "value_template": (
                "{{ 'ON' if value_json is defined and value_json.idle else 'OFF' }}"
            ),
        },
    }


def _alert(topics: Topics, alert: str) -> dict[str, Any]:
    """A problem sensor. Its state is read from `~/state`: the alert's own topic is empty while
    there is no problem, which would leave the sensor unknown."""
    return {
        **_available(topics),
        "platform": "binary_sensor",
        "name": alert.replace("_", " ").capitalize(),
        "device_class": "problem",
        "entity_category": "diagnostic",
        "state_topic": topics.state,
        "qos": 1,
        "value_template": (
            f"{{{{ 'ON' if value_json is defined and '{alert}' in (value_json.alerts or [])"
            " else 'OFF' }}"
        ),
    }


def _available(topics: Topics) -> dict[str, Any]:
    """Only `online` is available; `stopped` is not, nor a status that was cleared."""
    return {"availability": [{"topic": topics.status, "value_template": _ONLINE}]}


def _value(*path: str) -> str:
    """A template for a number of the payload; unknown when it, or what it is in, is null."""
    steps = [".".join(("value_json", *path[:end])) for end in range(1, len(path) + 1)]
    present = " and ".join(f"{step} is not none" for step in steps)
    return f"{{{{ {steps[-1]} if value_json is defined and {present} else 'None' }}}}"
