"""What Home Assistant documents about MQTT discovery, as a table, and its templates.

Sources: https://www.home-assistant.io/integrations/mqtt/ ("Device discovery payload", "Using
availability topics", "Discovery messages"), /integrations/event.mqtt/, /integrations/sensor.mqtt/,
/integrations/binary_sensor.mqtt/, /integrations/sensor/ and /integrations/binary_sensor/ ("Device
class"); compared with the schemas in homeassistant/components/mqtt/ of Home Assistant's core as of
November 2026 (schemas.py, event.py, sensor.py, binary_sensor.py). The schemas and templates of Home
Assistant 2025.4 themselves (Python 3.13; too large for a test) took the payload and the blueprint
of docs/homeassistant, lost no key and showed the contract's examples the same.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

Check = Callable[[Any], bool]


def text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def texts(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(text(item) for item in value)


def subscribe_topic(value: Any) -> bool:
    return text(value) and len(value.encode()) <= 65535 and "\0" not in value


def template(value: Any) -> bool:
    return text(value) and bool(ENVIRONMENT.parse(value))


def one_of(*allowed: str) -> Check:
    return lambda value: value in allowed


def availability(value: Any) -> bool:
    keys: dict[str, Check] = {
        "topic": subscribe_topic,
        "payload_available": text,
        "payload_not_available": text,
        "value_template": template,
    }
    return isinstance(value, list) and all(not faults(item, keys, {"topic"}) for item in value)


ROOT_REQUIRED = {"device", "origin", "components"}
ROOT: dict[str, Check] = {
    "device": lambda value: isinstance(value, dict),
    "origin": lambda value: isinstance(value, dict),
    "components": lambda value: isinstance(value, dict),
    "availability": availability,
    "availability_mode": one_of("all", "any", "latest"),
    "availability_template": template,
    "availability_topic": subscribe_topic,
    "payload_available": text,
    "payload_not_available": text,
    "state_topic": subscribe_topic,
    "command_topic": text,
    "qos": one_of(*range(3)),  # type: ignore[arg-type]
    "encoding": text,
    "message_expiry_interval": number,
}
DEVICE: dict[str, Check] = {
    "identifiers": texts,
    "connections": lambda value: isinstance(value, list),
    "configuration_url": lambda value: bool(re.match(r"(https?|homeassistant)://", value)),
    **dict.fromkeys(("hw_version", "manufacturer", "model", "model_id", "name"), text),
    **dict.fromkeys(("serial_number", "suggested_area", "sw_version", "via_device"), text),
}
ORIGIN: dict[str, Check] = {
    "name": text,
    "sw_version": text,
    "support_url": lambda value: bool(re.match(r"https?://", value)),
}
ENTITY: dict[str, Check] = {
    "platform": text,
    "unique_id": text,
    "state_topic": subscribe_topic,
    "value_template": template,
    "qos": lambda value: value in (0, 1, 2),
    "encoding": text,
    "name": text,
    "icon": lambda value: value.startswith("mdi:"),
    "default_entity_id": text,
    "entity_category": one_of("diagnostic"),
    "entity_picture": text,
    "enabled_by_default": flag,
    "json_attributes_topic": subscribe_topic,
    "json_attributes_template": template,
    "availability": availability,
    "availability_mode": one_of("all", "any", "latest"),
    "availability_template": template,
    "availability_topic": subscribe_topic,
    "payload_available": text,
    "payload_not_available": text,
    "message_expiry_interval": number,
    "visible_by_default": flag,
}
"""Of every entity. Older versions hand qos and encoding at the root not down to the components,
whatever the page says: each component has its own."""
ENTITY_REQUIRED = {"platform", "unique_id", "state_topic"}

BINARY_CLASSES = (
    *("battery", "battery_charging", "carbon_monoxide", "cold", "connectivity", "door"),
    *("garage_door", "gas", "heat", "light", "lock", "moisture", "motion", "moving", "occupancy"),
    *("opening", "plug", "power", "presence", "problem", "running", "safety", "smoke", "sound"),
    *("tamper", "update", "vibration", "window"),
)
SENSOR_UNITS: dict[str, set[str | None]] = {
    "duration": {"d", "h", "min", "s", "ms", "μs"},
    "enum": {None},
    "temperature": {"°C", "°F", "K"},
}
"""Units that go with the device classes in use."""

PLATFORMS: dict[str, tuple[dict[str, Check], set[str]]] = {
    "event": (
        {"event_types": texts, "device_class": one_of("button", "doorbell", "motion")},
        {"event_types"},
    ),
    "binary_sensor": (
        {
            "device_class": one_of(*BINARY_CLASSES),
            "expire_after": number,
            "force_update": flag,
            "off_delay": number,
            "payload_off": text,
            "payload_on": text,
        },
        set(),
    ),
    "sensor": (
        {
            "device_class": one_of(*SENSOR_UNITS),
            "expire_after": number,
            "force_update": flag,
            "last_reset_value_template": template,
            "options": texts,
            "state_class": one_of("measurement", "total", "total_increasing"),
            "suggested_display_precision": number,
            "unit_of_measurement": text,
        },
        set(),
    ),
}
"""Keys of a platform's own, and which of them must be there."""


def faults(mapping: Mapping[str, Any], keys: Mapping[str, Check], required: set[str]) -> list[str]:
    """What is missing, unknown or of a wrong form."""
    found = [f"{key} is missing" for key in sorted(required - set(mapping))]
    for key, value in mapping.items():
        if key not in keys:
            found.append(f"{key} is unknown")
        elif not keys[key](value):
            found.append(f"{key}: {value!r}")
    return found


def discovery_faults(payload: Mapping[str, Any]) -> list[str]:
    """Everything that Home Assistant would refuse or ignore in a device-discovery payload."""
    found = faults(payload, ROOT, ROOT_REQUIRED)
    device = payload.get("device", {})
    found += [f"device: {item}" for item in faults(device, DEVICE, set())]
    if not device.get("identifiers") and not device.get("connections"):
        found.append("device: nothing identifies it")
    found += [f"origin: {item}" for item in faults(payload.get("origin", {}), ORIGIN, {"name"})]
    for name, component in payload.get("components", {}).items():
        if re.fullmatch(r"[a-zA-Z0-9_-]+", name) is None:
            found.append(f"{name}: bad id")
        if component.get("platform") not in PLATFORMS:
            found.append(f"{name}: platform")
            continue
        keys, required = PLATFORMS[component["platform"]]
        wrong = faults(component, ENTITY | keys, ENTITY_REQUIRED | required)
        units = SENSOR_UNITS.get(component.get("device_class", ""))
        if units is not None and component.get("unit_of_measurement") not in units:
            wrong.append("unit_of_measurement does not go with device_class")
        if ("options" in component) != (component.get("device_class") == "enum"):
            wrong.append("options and device_class enum need each other")
        if "options" in component and "state_class" in component:
            wrong.append("options and state_class exclude each other")
        if "availability" in component and "availability_topic" in component:
            wrong.append("availability and availability_topic exclude each other")
        found += [f"{name}: {item}" for item in wrong]
    ids = [item.get("unique_id") for item in payload.get("components", {}).values()]
    if len(set(ids)) != len(ids):
        found.append("unique_id: twice the same")
    return found


# Templates: https://www.home-assistant.io/docs/configuration/templating/

ENVIRONMENT = ImmutableSandboxedEnvironment()


def render(source: str, payload: bytes, now: datetime, **others: Any) -> str:
    """What Home Assistant makes of a payload at this time: `value_json` is there only when the
    payload is JSON, and the result is stripped. `others` are what an automation has, as `trigger`.
    Raises jinja2's errors."""
    values: dict[str, Any] = {"value": payload.decode(), **others}
    with suppress(ValueError):
        values["value_json"] = json.loads(payload)
    return _compiled(source).render(values, now=lambda: now, as_timestamp=as_timestamp).strip()


@functools.cache
def _compiled(source: str) -> Template:
    return ENVIRONMENT.from_string(source)


def as_timestamp(value: object, default: float | None = None) -> float | None:
    """Seconds of a date or of a text that is one."""
    if isinstance(value, datetime):
        return value.timestamp()
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return default
