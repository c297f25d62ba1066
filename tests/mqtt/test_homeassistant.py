"""Home Assistant's discovery payload: the documented keys, and templates on real messages."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from edgeface.base.clock import ManualClock
from edgeface.contract import codec, event
from edgeface.contract.event import Identity, Match, Outcome
from edgeface.contract.report import AlertId, State
from edgeface.mqtt.homeassistant import announcement, discovery, hold_s
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.presence import Presence
from edgeface.security.keys import SigningKey
from edgeface.settings.tree import Settings
from tests.support.homeassistant import discovery_faults, render
from tests.support.messages import PERSON, TOPICS, sighting

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES = DOCS / "examples"
VALIDITY_S = 5.0
PAYLOAD = discovery(TOPICS, VALIDITY_S, 30.0)
COMPONENTS: dict[str, dict[str, Any]] = PAYLOAD["components"]
OF_EVENTS = [name for name, item in COMPONENTS.items() if item["state_topic"] == TOPICS.event]
CAPTURED = datetime(2026, 11, 21, 16, 51, 39, 120_000, tzinfo=UTC)
IDENTITY = Identity(
    event_id="0192f0c1-2345-7abc-8def-0123456789ab",
    seq=1,
    session="7f3a0011",
    site="hq",
    device="door-1",
    previous=None,
)


def settings(**homeassistant: Any) -> Settings:
    return Settings.model_validate(
        {
            "site": "hq",
            "device": "door-1",
            "camera": {"source": "picamera2"},
            "homeassistant": homeassistant,
        }
    )


def event_payload(**changes: Any) -> bytes:
    """An event captured at CAPTURED."""
    seen = sighting(ManualClock(), **{"captured_at": CAPTURED, "decided_at": CAPTURED, **changes})
    return codec.to_json(event.recognition(seen, IDENTITY))


def shown(name: str, payload: bytes, after_s: float = 0.3) -> str:
    """What the entity makes of it, received so long after the capture."""
    now = CAPTURED + timedelta(seconds=after_s)
    return render(COMPONENTS[name]["value_template"], payload, now)


def test_the_payload_has_the_documented_keys_and_no_others() -> None:
    assert discovery_faults(PAYLOAD) == []
    assert {item["platform"] for item in COMPONENTS.values()} == {
        "event",
        "binary_sensor",
        "sensor",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("origin",), ..., id="no origin"),
        pytest.param(("origin", "name"), ..., id="no name of the origin"),
        pytest.param(("device", "identifiers"), ..., id="nothing identifies the device"),
        pytest.param(("device", "color"), "red", id="unknown key of the device"),
        pytest.param(("components", "recognized", "event_types"), ..., id="no event types"),
        pytest.param(("components", "recognized", "off_delay"), 3, id="another platform's key"),
        pytest.param(("components", "person", "state_topic"), ..., id="no topic"),
        pytest.param(("components", "person", "unique_id"), ..., id="no unique id"),
        pytest.param(("components", "person", "expire_after"), 4.5, id="half a second"),
        pytest.param(("components", "presence", "platform"), "binary", id="no such platform"),
        pytest.param(("components", "latency", "unit_of_measurement"), "fps", id="wrong unit"),
        pytest.param(("components", "accelerator", "options"), ..., id="an enum without options"),
        pytest.param(("components", "accelerator", "state_class"), "total", id="an enum counted"),
        pytest.param(("components", "outbox", "options"), ["0"], id="options of no enum"),
        pytest.param(("components", "score", "unique_id"), "edgeface_hq_door-1_person", id="twice"),
    ],
)
def test_the_table_refuses_what_home_assistant_would(path: tuple[str, ...], value: Any) -> None:
    payload = copy.deepcopy(PAYLOAD)
    target = payload
    for step in path[:-1]:
        target = target[step]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    assert discovery_faults(payload) != []


def test_it_is_announced_only_when_switched_on() -> None:
    assert announcement(settings()) is None
    found = announcement(settings(enabled=True))
    assert found is not None
    assert found.topic == "homeassistant/device/hq-door-1/config"
    assert found.birth_topic == "homeassistant/status"
    assert json.loads(found.payload) == PAYLOAD
    moved = announcement(settings(enabled=True, discovery_prefix="ha/discovery"))
    assert moved is not None
    assert moved.topic == "ha/discovery/device/hq-door-1/config"


@pytest.mark.parametrize("prefix", ["", "/", "a/", "+", "a/#", "a b"])
def test_a_prefix_that_is_no_topic_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="discovery_prefix"):
        settings(enabled=True, discovery_prefix=prefix)


def test_a_recognition_is_an_event_with_its_person_and_its_end() -> None:
    found = json.loads(shown("recognized", event_payload()))
    assert found == {
        "event_type": "recognized",
        "event_id": IDENTITY["event_id"],
        "person_id": PERSON,
        "display_name": None,
        "score": 0.71,
        "faces_in_view": 1,
        "captured_at": "2026-11-21T16:51:39.120Z",
        "valid_until": "2026-11-21T16:51:44.120Z",
    }


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_is_an_event_of_its_own_entity_alone(outcome: Outcome) -> None:
    changes: dict[str, Any] = {} if outcome == "recognized" else {"match": None}
    payload = event_payload(event_type=outcome, **changes)
    events = {name for name, item in COMPONENTS.items() if item["platform"] == "event"}
    assert events == set(get_args(Outcome))
    assert [name for name in events if shown(name, payload)] == [outcome]
    assert COMPONENTS[outcome]["event_types"] == [json.loads(shown(outcome, payload))["event_type"]]


@pytest.mark.parametrize("payload", [b"", b"rubbish", b"[1]", b"null"])
@pytest.mark.parametrize("name", OF_EVENTS)
def test_what_is_no_event_shows_nobody(name: str, payload: bytes) -> None:
    assert shown(name, payload) in {"", "None"}


@pytest.mark.parametrize(
    ("change", "after_s"),
    [
        pytest.param({}, VALIDITY_S, id="at the end of its validity"),
        pytest.param({}, 3600.0, id="an hour later"),
        pytest.param({"historical": True}, 0.3, id="historical"),
        pytest.param({"clock_synced": False}, 0.3, id="clock unsynced"),
        pytest.param({"valid_until": "soon"}, 0.3, id="no time"),
    ],
)
@pytest.mark.parametrize("name", OF_EVENTS)
def test_what_is_not_of_now_shows_nobody(name: str, change: dict[str, Any], after_s: float) -> None:
    payload = json.dumps({**json.loads(event_payload()), **change}).encode()
    assert shown(name, payload, after_s) == ("None" if name in {"person", "score"} else "")


@pytest.mark.parametrize(
    ("name", "expected"), [(None, PERSON), ("Ana", "Ana"), ("  ", PERSON), ("é" * 256, "é" * 255)]
)
def test_a_person_is_shown_by_name_or_else_by_id(name: str | None, expected: str) -> None:
    payload = event_payload(match=Match(PERSON, name, 0.71, 0.58, False, None))
    assert shown("person", payload) == expected
    assert shown("score", payload) == "0.71"
    assert shown("presence", payload) == "ON"


def test_a_stranger_takes_the_person_before_away() -> None:
    payload = event_payload(event_type="unknown", match=None)
    assert shown("person", payload) == shown("score", payload) == "None"
    assert shown("presence", payload) == "ON"


@pytest.mark.parametrize("validity_s", [1.0, 1.5, 2.0, 2.9, 5.0, 7.25, 60.0])
def test_nothing_holds_a_recognition_beyond_its_validity(validity_s: float) -> None:
    components = discovery(TOPICS, validity_s, 30.0)["components"]
    payload = event_payload(validity_s=validity_s)
    for name in ("presence", "person", "score"):
        held_s = components[name].get("expire_after") or components[name]["off_delay"]
        assert held_s == hold_s(validity_s) >= 1
        for step in range(40):
            after_s = validity_s * step / 40
            now = CAPTURED + timedelta(seconds=after_s)
            if render(components[name]["value_template"], payload, now) not in {"", "None"}:
                assert after_s + held_s <= validity_s + 1e-6
    at_once = render(components["person"]["value_template"], payload, CAPTURED)
    assert at_once == PERSON


def test_recognitions_come_from_the_topic_that_is_never_retained_alone() -> None:
    assert set(OF_EVENTS) == {*get_args(Outcome), "presence", "person", "score"}
    everything = json.dumps(PAYLOAD)
    assert TOPICS.event_log not in everything
    assert "json_attributes_topic" not in everything


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"status":"online","session":"7f3a0011"}', "online"),
        (b'{"status":"offline","session":"7f3a0011"}', "offline"),
        (b'{"status":"stopped","session":"7f3a0011"}', "offline"),
        (b"", "offline"),
        (b"rubbish", "offline"),
    ],
)
def test_only_an_online_device_is_available(payload: bytes, expected: str) -> None:
    for component in COMPONENTS.values():
        if component["platform"] == "event":
            # Coming back from `unavailable` would look like an event.
            assert "availability" not in component
            continue
        (source,) = component["availability"]
        assert source["topic"] == TOPICS.status
        assert render(source["value_template"], payload, CAPTURED) == expected


def test_the_counters_are_read_from_the_examples_of_the_contract() -> None:
    health = (EXAMPLES / "health.json").read_bytes()
    state = (EXAMPLES / "state.json").read_bytes()
    assert shown("latency", health) == "143.2"
    assert shown("temperature", health) == "58.4"
    assert shown("frame_rate", health) == "9.97"
    assert shown("gallery_revision", state) == "318"
    assert shown("accelerator", state) == "cpu"
    assert shown("outbox", state) == "2"
    assert shown("idle", state) == "OFF"
    assert shown("idle", json.dumps(json.loads(state) | {"idle": True}).encode()) == "ON"
    assert shown("alert_accelerator_lost", state) == "ON"
    assert shown("alert_camera_stalled", state) == "OFF"


def test_what_is_not_known_is_unknown() -> None:
    health = json.loads((EXAMPLES / "health.json").read_bytes())
    state = json.loads((EXAMPLES / "state.json").read_bytes())
    nothing = {"latency_ms": None, "temperature_c": None, "fps": None}
    nothing |= {"gallery": None, "accelerator": None}
    empty = json.dumps(health | state | nothing).encode()
    for name in ("latency", "temperature", "frame_rate", "gallery_revision", "accelerator"):
        for payload in (empty, b"", b"rubbish"):
            assert shown(name, payload) == "None"
    for payload in (b"", b"rubbish"):
        assert shown("outbox", payload) == "None"
        assert shown("idle", payload) == shown("alert_camera_stalled", payload) == "OFF"


def test_what_only_tells_how_the_device_is_is_a_diagnosis() -> None:
    for name, item in COMPONENTS.items():
        assert (item.get("entity_category") == "diagnostic") == (name not in OF_EVENTS)


def test_nothing_is_asked_of_a_device_and_nothing_is_shown_of_a_face() -> None:
    """An answer goes to the response topic of its request, which Home Assistant cannot send, and
    pictures are sealed to the administrator."""
    everything = json.dumps(PAYLOAD)
    for part in ("command_topic", "command_template", "image_topic", "url_topic", "/cmd/"):
        assert part not in everything


def test_there_is_a_problem_sensor_for_every_alert_and_the_state_names_those_that_stand() -> None:
    me = DeviceSession(TOPICS, "7f3a0011", SigningKey.generate(), ManualClock())
    presence = Presence(me)
    presence.set_state(
        codec.from_json(State, (EXAMPLES / "state.json").read_bytes())  # with other alerts
    )
    for alert in get_args(AlertId):
        name = f"alert_{alert}"
        assert COMPONENTS[name]["device_class"] == "problem"
        assert shown(name, presence.birth()[0].payload) == "OFF"
        presence.set_alert(alert, "for once")
        assert shown(name, presence.birth()[0].payload) == "ON"
        presence.set_alert(alert, None)
        assert shown(name, presence.birth()[0].payload) == "OFF"


@dataclass(frozen=True)
class Input:
    """`!input NAME` of a blueprint."""

    name: str


class BlueprintLoader(yaml.SafeLoader):
    """YAML as Home Assistant reads a blueprint."""


BlueprintLoader.add_constructor("!input", lambda _, node: Input(str(node.value)))


@pytest.fixture(scope="module")
def blueprint() -> dict[str, Any]:
    text = (DOCS / "homeassistant" / "notify.yaml").read_text()
    found: dict[str, Any] = yaml.load(text, BlueprintLoader)
    return found


def inputs(part: Any) -> set[str]:
    """The inputs that are used anywhere in it."""
    if isinstance(part, Input):
        return {part.name}
    below = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return {name for item in below for name in inputs(item)}


def test_the_blueprint_has_the_documented_form_and_uses_what_it_asks_for(
    blueprint: dict[str, Any],
) -> None:
    """https://www.home-assistant.io/docs/blueprint/schema/"""
    about = blueprint["blueprint"]
    automation = {name: part for name, part in blueprint.items() if name != "blueprint"}
    known = {"name", "description", "domain", "author", "homeassistant", "input"}
    assert set(about) == known
    assert about["domain"] == "automation"
    assert set(automation) == {"mode", "max_exceeded", "triggers", "conditions", "actions"}
    assert inputs(automation) == set(about["input"])
    assert all(len(item["selector"]) == 1 for item in about["input"].values())
    (chosen,) = about["input"]["outcome"]["selector"]["entity"]["filter"]
    assert chosen == {"integration": "mqtt", "domain": "event"}


@pytest.mark.parametrize(
    ("after_s", "expected"), [(0.3, "True"), (VALIDITY_S, "False"), (3600.0, "False")]
)
def test_the_blueprint_acts_on_what_is_still_valid_alone(
    blueprint: dict[str, Any], after_s: float, expected: str
) -> None:
    """What Home Assistant restores after its own restart is the last event, long past."""
    attributes = json.loads(shown("unknown", event_payload(event_type="unknown", match=None)))
    (condition,) = blueprint["conditions"]
    now = CAPTURED + timedelta(seconds=after_s)
    trigger = {"to_state": {"name": "Door Unknown person", "attributes": attributes}}
    assert render(condition["value_template"], b"", now, trigger=trigger) == expected
    variables = blueprint["actions"][0]["variables"]
    assert render(variables["door"], b"", now, trigger=trigger) == "Door Unknown person"
    assert render(variables["person"], b"", now, trigger=trigger) == ""


def test_the_blueprint_tells_who_was_recognized(blueprint: dict[str, Any]) -> None:
    source = blueprint["actions"][0]["variables"]["person"]
    for name, expected in ((None, PERSON), ("Ana", "Ana")):
        payload = event_payload(match=Match(PERSON, name, 0.71, 0.58, False, None))
        attributes = json.loads(shown("recognized", payload))
        trigger = {"to_state": {"attributes": attributes}}
        assert render(source, b"", CAPTURED, trigger=trigger) == expected
