"""Messages that nobody means well with, for every topic that a device subscribes to."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hypothesis import strategies as st

from edgeface.base.messages import Publication
from edgeface.contract.commands import COMMANDS
from edgeface.fleet.protocol.bucket import Entry, bucket_number, encode_bucket
from edgeface.fleet.protocol.framing import HEADER_AT, MAGIC, SIGNATURE_BYTES
from edgeface.fleet.protocol.keyring import signed
from edgeface.fleet.protocol.terms import GalleryTopics
from edgeface.security.keys import SigningKey
from tests.support.commands import fields
from tests.support.fleet_site import person_id
from tests.support.messages import TOPICS

BIRTH_TOPIC = "homeassistant/status"
VERBS = (*COMMANDS, "open", "event", "%00")
KINDS = ("command",) * 4 + ("gallery",) * 4 + ("status", "birth", "flood")
DAMAGES = ("cut", "flip", "insert", "append", "double", "hole")
REQUEST_FIELDS = (
    *("transaction", "session", "expires_at", "unknown"),
    *("person_id", "timeout_s", "frames", "limit", "after", "track"),
)
GALLERY_WAYS = (
    *("anything", "replayed", "moved", "bucket", "length", "large"),
    *("damaged", "header", "forged") * 2,
)
LARGEST = 900_000
"""A device takes nothing of more than 1 MiB, and the broker keeps it back."""

Making = Callable[[str], bytes]
"""The payload, once the session of the device is known."""


@dataclass(frozen=True)
class Shot:
    """One message to send."""

    kind: str
    topic: str
    make: Making
    retain: bool
    response_topic: str | None = None
    correlation: bytes | None = None
    properties: int = 0
    """So many empty user properties."""

    def publication(self, session: str) -> Publication:
        return Publication(
            self.topic,
            self.make(session),
            retain=self.retain,
            response_topic=self.response_topic,
            correlation_data=self.correlation,
            user_properties=(("", ""),) * self.properties,
        )


def deep(levels: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    """JSON in JSON."""
    return (opening * levels + "1" + closing * levels).encode()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.sampled_from([2**53, 2**63, -(2**63) - 1, 10**400, 10**4000, 1e308, -0.0])
    | st.floats()
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
nasty = st.sampled_from(
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"NaN",
        b"1" + b"0" * 5000,
        b'{"timeout_s": 1e999}',
        b'{"timeout_s": NaN}',
        b'{"transaction": "\\ud800"}',
        b'{"session": "a", "session": "b"}',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"[" * 60_000,
        deep(30_000),
        deep(900),
        deep(20_000, "[", "]"),
        b'{"transaction": "' + b"x" * 70_000 + b'"}',
        b"\0" * 4096,
    ]
)
anything: st.SearchStrategy[bytes] = (
    nasty | st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode())
)
request_fields = st.dictionaries(
    st.sampled_from(REQUEST_FIELDS),
    json_values
    | st.sampled_from(["p_e11een0000", "2026-11-21T16:51:39.120Z", "0" * 32, 1, 2.5, -1]),
)


def damaged(wire: bytes, how: str, share: float, junk: bytes) -> bytes:
    """Cut off, flipped, torn, doubled or lengthened, at a `share` of the way."""
    at = int(len(wire) * share)
    match how:
        case "cut":
            return wire[:at]
        case "flip":
            return wire[:at] + bytes(byte ^ 0x55 for byte in wire[at : at + 1]) + wire[at + 1 :]
        case "insert":
            return wire[:at] + junk + wire[at:]
        case "append":
            return wire + junk
        case "double":
            return (wire + wire)[:LARGEST]
        case _:
            return wire[:at] + wire[at + len(junk) :]


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """What does one damage."""
    how, share = draw(st.sampled_from(DAMAGES)), draw(st.floats(0, 1))
    junk = draw(st.binary(min_size=1, max_size=12))
    return lambda wire: damaged(wire, how, share, junk)


@st.composite
def commands(draw: st.DrawFn) -> Shot:
    """On `~/cmd/+`: anything, a request that is good but for a few fields, a good one damaged."""
    verb = draw(st.sampled_from(VERBS))
    match draw(st.sampled_from(["anything", "fields", "almost", "almost", "damaged"])):
        case "anything":
            payload = draw(anything)
            make: Making = lambda _: payload  # noqa: E731
        case "fields":
            payload = json.dumps(draw(request_fields)).encode()
            make = lambda _: payload  # noqa: E731
        case "almost":
            some = draw(request_fields)
            make = lambda session: json.dumps(fields(session) | some).encode()  # noqa: E731
        case _:
            damage = draw(damages())
            make = lambda session: damage(json.dumps(fields(session)).encode())  # noqa: E731
    asked = draw(st.sampled_from(VERBS))
    answer_to = draw(
        st.sampled_from(
            [None, TOPICS.event, TOPICS.status, TOPICS.command("ping"), "a/b"]
            + [TOPICS.response(asked, "fuzz"), TOPICS.response(verb, "fuzz")] * 3
        )
    )
    correlation = draw(st.none() | st.binary(max_size=200))
    return Shot("command", TOPICS.command(verb), make, draw(st.booleans()), answer_to, correlation)


@st.composite
def statuses(draw: st.DrawFn) -> Shot:
    """On the device's own status."""
    states = st.sampled_from(["online", "offline", "stopped"])
    values = {
        "status": draw(states | json_values),
        "session": draw(st.just("0" * 16) | json_values),
    }
    good = json.dumps(values).encode()
    payload = draw(st.just(good) | anything | damages().map(lambda damage: damage(good)))
    return Shot("status", TOPICS.status, lambda _: payload, draw(st.booleans()))


@st.composite
def births(draw: st.DrawFn) -> Shot:
    """On Home Assistant's status, the true one among them."""
    payload = draw(st.sampled_from([b"online", b"offline", b"onlineonline", b"ONLINE"]) | anything)
    return Shot("birth", BIRTH_TOPIC, lambda _: payload, draw(st.booleans()))


@st.composite
def floods(draw: st.DrawFn, topics: Sequence[str]) -> Shot:
    """On any topic: more properties than are read."""
    count = draw(st.integers(820, 3000))
    return Shot(
        "flood", draw(st.sampled_from(topics)), lambda _: b"{}", retain=False, properties=count
    )


class GalleryShots:
    """On the topics of the site's gallery.

    `genuine` is what administrators have published so far, old and new: topic and wire bytes.
    `mallory` is a key that nobody has pinned, which signs under the ids of others as well.
    """

    def __init__(
        self, topics: GalleryTopics, genuine: list[tuple[str, bytes]], mallory: SigningKey
    ) -> None:
        self._topics = topics
        self._genuine = genuine
        self._mallory = mallory
        self.known = (
            *(topics.manifest, topics.freshness, topics.person("P_")),
            *(topics.bucket(0)[:-2] + "zz", *sorted({topic for topic, _ in genuine})),
        )
        """Topics."""
        self._places = st.sampled_from(self.known) | st.integers(0, 400).map(
            lambda number: (
                topics.bucket(number) if number < 256 else topics.person(person_id(number))
            )
        )

    def shots(self) -> st.SearchStrategy[Shot]:
        @st.composite
        def made(draw: st.DrawFn) -> Shot:
            topic, wire = draw(st.sampled_from(self._genuine))
            number = draw(st.integers(0, 255))
            how = draw(st.sampled_from(GALLERY_WAYS))
            match how:
                case "anything":
                    topic, wire = draw(self._places), draw(anything)
                case "replayed":
                    pass
                case "moved":
                    topic = draw(self._places)
                case "damaged":
                    wire = draw(damages())(wire)
                case "header":
                    wire = _with_header(wire, draw(_changed_header(wire)))
                case "forged":
                    wire = self._signed(_with_header(wire, draw(_changed_header(wire))))
                case "bucket":
                    topic = self._topics.bucket(number)
                    wire = strangers(self._topics.site, number, draw(st.integers(1, 5)))
                case "length":
                    wire = MAGIC + draw(st.binary(min_size=2, max_size=2)) + wire[HEADER_AT:]
                case _:
                    size = draw(st.sampled_from([3_000, 20_000, 70_000, 600_000, 3_000, 20_000]))
                    wire = wire + bytes(size)
            return Shot("gallery", topic, lambda _: wire, draw(st.booleans()))

        return made()

    def _signed(self, wire: bytes) -> bytes:
        """By a key that nobody has pinned, as whatever its header says it is."""
        try:
            kind = json.loads(_header(wire))["type"]
            return signed(self._mallory, kind, wire[:-SIGNATURE_BYTES])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return signed(self._mallory, "manifest", wire[:-SIGNATURE_BYTES])


def salvos(gallery: GalleryShots, size: int) -> st.SearchStrategy[list[Shot]]:
    """One message of any kind, and others made of it: drawing one takes longer than sending ten."""
    topics = {
        "command": tuple(map(TOPICS.command, VERBS)),
        "gallery": gallery.known,
        "status": (TOPICS.status,),
        "birth": (BIRTH_TOPIC,),
    }
    topics["flood"] = tuple(topic for some in topics.values() for topic in some)
    made: Mapping[str, st.SearchStrategy[Shot]] = {
        "command": commands(),
        "gallery": gallery.shots(),
        "status": statuses(),
        "birth": births(),
        "flood": floods(topics["flood"]),
    }

    @st.composite
    def salvo(draw: st.DrawFn) -> list[Shot]:
        shot = draw(made[draw(st.sampled_from(KINDS))])
        chance = random.Random(draw(st.integers(0, 2**32)))
        return [shot, *(_variant(shot, topics[shot.kind], chance) for _ in range(size - 1))]

    return salvo()


def _variant(shot: Shot, topics: Sequence[str], chance: random.Random) -> Shot:
    """Damaged, or on another topic, or both."""
    topic, make = shot.topic, shot.make
    if chance.random() < 0.5:
        topic = chance.choice(topics)
    if topic == shot.topic or chance.random() < 0.5:
        how, share = chance.choice(DAMAGES), chance.random()
        junk = chance.randbytes(chance.randint(1, 12))
        make = lambda session: damaged(shot.make(session), how, share, junk)  # noqa: E731
    answer_to = shot.response_topic
    if shot.kind == "command" and answer_to is not None:
        answer_to = TOPICS.response(topic.rpartition("/")[2], "fuzz")
    retain = shot.kind != "flood" and chance.random() < 0.5
    return replace(shot, topic=topic, make=make, retain=retain, response_topic=answer_to)


def strangers(site: str, number: int, count: int) -> bytes:
    """A bucket that is well-formed, of people whom no manifest lists."""
    people = _by_bucket()[number][:count]
    return encode_bucket(site, number, [Entry(name, 1, bytes(32)) for name in people])


@cache
def _by_bucket() -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(256)]
    for candidate in range(1000, 1000 + 256 * 760):
        name = person_id(candidate)
        found[bucket_number(name)].append(name)
    return found


def _header(wire: bytes) -> bytes:
    return wire[HEADER_AT : HEADER_AT + int.from_bytes(wire[4:HEADER_AT], "big")]


def _with_header(wire: bytes, header: bytes) -> bytes:
    body = wire[HEADER_AT + len(_header(wire)) :]
    return MAGIC + min(len(header), 0xFFFF).to_bytes(2, "big") + header + body


@st.composite
def _changed_header(draw: st.DrawFn, wire: bytes) -> bytes:
    """Valid JSON of another shape, with other values, or far too deep."""
    mapping: dict[str, Any] = json.loads(_header(wire))
    name = draw(st.sampled_from([*mapping, "unknown"]))
    match draw(st.sampled_from(["value", "value", "number", "left out", "deep", "other"])):
        case "value":
            mapping[name] = draw(json_values)
        case "number":
            large = [0, -1, 2, 3, 10**9, 2**53 - 1, 2**53, 10**400, 253_402_300_800]
            numbers = [key for key, value in mapping.items() if isinstance(value, int)]
            mapping[draw(st.sampled_from(numbers or ["version"]))] = draw(st.sampled_from(large))
        case "left out":
            mapping.pop(name, None)
        case "deep":
            return deep(draw(st.sampled_from([10, 300, 900, 10_000])))
        case _:
            return draw(anything)[:5000]
    return json.dumps(mapping, separators=(",", ":")).encode()
