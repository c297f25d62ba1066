"""docs/: schemas and AsyncAPI document as generated, examples that keep them, real messages too."""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edgeface.base.errors import ContractError
from edgeface.contract import codec, event
from edgeface.contract.channels import BASE, PARAMETERS, Channel, Part
from edgeface.contract.documents import PARTS, asyncapi, files, schemas, whole, write
from edgeface.contract.event import DroppedRange, Loss, Previous
from edgeface.contract.report import Health, OutboxState, Percentiles, State
from edgeface.contract.topics import Topics
from tests.support.broker import LocalBroker, Witness, running_broker
from tests.support.json_schemas import validator
from tests.support.messages import TOPICS, Device, sighting

DOCS = Path(__file__).resolve().parents[2] / "docs"
KINDS = whole().kinds
EXAMPLES = sorted((DOCS / "examples").glob("*.json"))


def kind_of(example: Path) -> str:
    """`recognition.unknown.json` is an example of `recognition`."""
    return example.name.split(".")[0]


def test_the_files_are_what_the_code_generates() -> None:
    there = {
        path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8")
        for path in [*DOCS.glob("schema/*.json"), DOCS / "asyncapi.yaml"]
    }
    assert there == files(), "run: make contract"


def test_writing_removes_what_is_no_more(tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "former.json").write_text("{}")
    write(tmp_path)
    written = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert written == set(files())


def test_no_two_parts_name_the_same() -> None:
    part = whole()
    assert len(part.kinds) == sum(len(item.kinds) for item in PARTS)
    assert len(part.channels) == sum(len(item.channels) for item in PARTS)


@pytest.mark.parametrize("name", sorted(schemas(KINDS)))
def test_every_schema_is_a_valid_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas(KINDS)[name])


def test_every_type_has_an_example() -> None:
    assert {kind_of(path) for path in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in EXAMPLES])
def test_an_example_keeps_the_schema_and_is_read_without_loss(path: Path) -> None:
    mapping = json.loads(path.read_text(encoding="utf-8"))
    validator(kind_of(path)).validate(mapping)
    read = codec.from_mapping(KINDS[kind_of(path)], mapping)
    assert codec.to_mapping(read) == mapping


def without(mapping: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != name}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in EXAMPLES])
def test_an_example_without_a_required_field_is_refused(path: Path) -> None:
    mapping = json.loads(path.read_text(encoding="utf-8"))
    for name in schemas(KINDS)[kind_of(path)]["required"]:
        with pytest.raises(jsonschema.ValidationError):
            validator(kind_of(path)).validate(without(mapping, name))


def test_a_field_that_is_not_known_may_be_there() -> None:
    mapping = json.loads((DOCS / "examples" / "alert.json").read_text()) | {"added_later": 1}
    validator("alert").validate(mapping)
    codec.from_mapping(KINDS["alert"], mapping)


ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 0.5, 5.0, 2**53, 10**30, float("inf"), float("nan")),
    *("", "x" * 257, "\ud800", "\0", "hq\n", "2026-02-30T16:51:44.120Z", "٣", "true", "1"),
    *([], [None], [[]], {}, {"a": 1}, {"\ud800": 1}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything within a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for step, item in inside:
        yield (*path, step)
        if isinstance(item, dict | list):
            yield from places(item, (*path, step))


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in EXAMPLES])
def test_an_example_with_anything_anywhere_is_read_or_refused(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for *parents, name in places(json.loads(text)):
        for value in ODD:
            mapping = json.loads(text)
            target = functools.reduce(operator.getitem, parents, mapping)
            target[name] = value
            with suppress(ContractError):
                codec.from_mapping(KINDS[kind_of(path)], mapping)
            with suppress(ContractError):
                codec.from_json(KINDS[kind_of(path)], json.dumps(mapping).encode())


# The other way round: what the code really sends.


@dataclass(frozen=True)
class Route:
    """A channel with its address as a pattern."""

    channel: Channel
    pattern: re.Pattern[str]


ROUTES = [
    Route(item, re.compile(re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(item.address))))
    for item in whole().channels.values()
]


def route_of(topic: str) -> Route:
    (found,) = [route for route in ROUTES if route.pattern.fullmatch(topic)]
    return found


def state(session: str) -> State:
    return State(
        lifecycle="ready",
        reasons=(),
        session=session,
        last_seq=0,
        clock_synced=True,
        accelerator=None,
        camera={"name": "porch", "connected": True, "error": None},
        gallery=None,
        models={},
        outbox=OutboxState(depth=0, bytes=0, dropped=0, dead_letters=0, degraded=None),
        versions={},
        signing_key="0123456789abcdef",
    )


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    with running_broker(tmp_path / "broker") as running:
        yield running


def test_what_a_device_sends_is_on_a_channel_as_it_is_described(
    tmp_path: Path, broker: LocalBroker
) -> None:
    with Witness(broker.port, "edgeface/#") as witness, Device(tmp_path, broker.port) as device:
        device.presence.set_state(state(device.session))
        device.presence.set_alert("gallery_stale", "no freshness for 8 days")
        device.wait_connected()
        device.see()
        device.see(event_type="unknown", match=None, quality=None, why={"gates": {"blurred": 3}})
        health = Health(
            session=device.session,
            sent_at=sighting(device.clock).decided_at,
            uptime_s=1.5,
            fps=None,
            latency_ms=Percentiles(p50=1, p90=2, p99=3),
            temperature_c=None,
            memory_mb=60.5,
            counters={"frames": 3},
        )
        device.publisher.publish(device.presence.health(health))
        witness.wait_on(TOPICS.event_log, 2)
        witness.wait_on(TOPICS.health, 1)
        device.stop()
        arrivals = witness.wait(lambda all_: any(b"stopped" in a.message.payload for a in all_))
    seen = set()
    for arrival in arrivals:
        channel, message = route_of(arrival.topic).channel, arrival.message
        seen.add(channel.address)
        assert message.qos == channel.qos, arrival.topic
        assert message.retain == channel.retained, arrival.topic
        assert {name for name, _ in message.user_properties} == (
            {"sig", "kid"} if channel.signed else set()
        )
        if message.payload:
            mapping = json.loads(message.payload)
            kind = mapping.get("event_type") if "event_type" in mapping else channel.messages[0]
            kind = kind if kind in channel.messages else channel.messages[0]
            validator(kind).validate(mapping)
            if arrival.topic == TOPICS.event_log:
                validator("event").validate(mapping)
        else:
            assert "/alert/" in arrival.topic
    names = {"event", "eventLog", "status", "state", "health", "alert"}
    assert seen == {whole().channels[name].address for name in names}


def test_a_gap_with_everything_keeps_the_schema() -> None:
    identity = event.Identity(
        event_id="019aa780-91c3-7b55-a6de-0f1e2d3c4b5a",
        seq=1,
        session="7f3a5c0e",
        site="hq",
        device="door-1",
        previous=Previous("c41d0e8a", 9),
    )
    moment = codec.from_mapping(
        KINDS["gap"], json.loads((DOCS / "examples" / "gap.json").read_text())
    ).announced_at
    lost = Loss(None, (DroppedRange("c41d0e8a", 4, 6, 3, "age"),))
    gap = event.gap(lost, identity, announced_at=moment, clock_synced=False)
    validator("gap").validate(json.loads(codec.to_json(gap)))


def test_the_addresses_are_the_topics_of_the_code() -> None:
    topics = Topics("hq", "door-1")
    expected = {
        "event": topics.event,
        "eventLog": topics.event_log,
        "status": topics.status,
        "state": topics.state,
        "health": topics.health,
        "alert": topics.alert("gallery_stale"),
        "galleryReported": topics.gallery_reported,
        "verifyCommand": topics.command("verify"),
        "verifyAnswer": topics.response("verify", "door.hq.front"),
    }
    given = {"site": "hq", "device": "door-1", "alert": "gallery_stale", "client": "door.hq.front"}
    for name, topic in expected.items():
        assert whole().channels[name].address.format(**given) == topic


# AsyncAPI.

REQUIRED: dict[str, set[str]] = {
    "document": {"asyncapi", "info"},
    "info": {"title", "version"},
    "server": {"host", "protocol"},
    "operation": {"action", "channel"},
    "reply": set(),
}
ALLOWED: dict[str, set[str]] = {
    "document": {"id", "servers", "defaultContentType", "channels", "operations", "components"},
    "info": {"termsOfService", "contact", "license", "description", "tags", "externalDocs"},
    "server": {
        *("protocolVersion", "pathname", "description", "title", "summary", "variables"),
        *("security", "tags", "externalDocs", "bindings"),
    },
    "channel": {
        *("address", "messages", "title", "summary", "description", "servers", "parameters"),
        *("tags", "externalDocs", "bindings"),
    },
    "operation": {
        *("title", "summary", "description", "security", "tags", "externalDocs", "bindings"),
        *("traits", "messages", "reply"),
    },
    "reply": {"address", "channel", "messages"},
    "message": {
        *("headers", "payload", "correlationId", "contentType", "name", "title", "summary"),
        *("description", "tags", "externalDocs", "bindings", "examples", "traits"),
    },
    "mqtt": {"qos", "retain", "messageExpiryInterval", "bindingVersion"},
}
"""Fixed fields of AsyncAPI 3.0.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0)
and of the MQTT operation binding 0.2.0; those of REQUIRED come on top."""


def check_fields(kind: str, item: dict[str, Any]) -> None:
    required = REQUIRED.get(kind, set())
    assert required <= set(item), (kind, item)
    assert set(item) <= required | ALLOWED[kind], (kind, item)


def resolve(document: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    assert set(reference) == {"$ref"}
    found: Any = document
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    assert isinstance(found, dict)
    return found


def check_document(document: dict[str, Any]) -> None:
    """The rules of the specification that a schema-less reader can check."""
    check_fields("document", document)
    assert document["asyncapi"] == "3.0.0"
    check_fields("info", document["info"])
    for server in document["servers"].values():
        check_fields("server", server)
    for channel in document["channels"].values():
        check_fields("channel", channel)
        named = set(re.findall(r"\{(\w+)\}", channel["address"]))
        assert named == set(channel.get("parameters", {}))
        for reference in channel["messages"].values():
            resolve(document, reference)
    for operation in document["operations"].values():
        check_fields("operation", operation)
        assert operation["action"] in {"send", "receive"}
        check_fields("mqtt", operation["bindings"]["mqtt"])
        check_messages(document, operation)
        if "reply" in operation:
            check_fields("reply", operation["reply"])
            check_messages(document, operation["reply"])
    for message in document["components"]["messages"].values():
        check_fields("message", message)
        resolve(document, message["payload"])
    for item in document["components"]["schemas"].values():
        # An AsyncAPI schema is a superset of JSON Schema draft 07.
        jsonschema.Draft7Validator.check_schema(item)


def check_messages(document: dict[str, Any], item: dict[str, Any]) -> None:
    """The messages of an operation must be among those of its channel."""
    channel = item["channel"]["$ref"]
    for reference in item["messages"]:
        assert reference["$ref"].startswith(f"{channel}/messages/")
        resolve(document, reference)


def test_the_asyncapi_document_keeps_the_specification() -> None:
    document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))
    check_document(document)
    channels = whole().channels
    assert len(document["channels"]) == len(channels)
    replies = [channel.reply for channel in channels.values() if channel.reply is not None]
    assert len(document["operations"]) == len(channels) - len(replies)
    for channel in channels.values():
        assert set(re.findall(r"\{(\w+)\}", channel.address)) <= set(PARAMETERS)


def test_a_command_becomes_an_operation_with_a_reply() -> None:
    part = Part(
        kinds={"ask": Percentiles, "answer": Health},
        channels={
            "ask": Channel(
                address=f"{BASE}/cmd/ask",
                action="receive",
                messages=("ask",),
                summary="Ask.",
                reply="answer",
            ),
            "answer": Channel(
                address=f"{BASE}/rsp/ask/{{client}}",
                messages=("answer",),
                summary="Answer.",
                signed=True,
            ),
        },
    )
    document = asyncapi(part)
    check_document(document)
    (operation,) = document["operations"].values()
    assert operation["action"] == "receive"
    assert operation["reply"]["channel"] == {"$ref": "#/channels/answer"}
    assert resolve(document, document["channels"]["answer"]["messages"]["answer"])["headers"]
