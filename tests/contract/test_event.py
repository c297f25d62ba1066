"""The contract of events: exact bytes, strict reading, schema."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.base.errors import ContractError
from edgeface.contract import codec, event
from edgeface.contract.event import (
    DroppedRange,
    FaceQuality,
    GalleryUsed,
    Gap,
    Identity,
    Loss,
    Match,
    ModelsUsed,
    Pad,
    PadSource,
    Previous,
    Sighting,
    Track,
)
from tests.support.json_schemas import validator

SESSION = "7f3a0011223344556677"
EVENT_ID = "0192f0c1-2345-7abc-8def-0123456789ab"
CAPTURED = datetime(2026, 11, 21, 16, 51, 39, 120_999, tzinfo=UTC)
WHOLE = CAPTURED.replace(microsecond=120_000)
"""As a message has it: milliseconds are all that is written."""
DIGEST = "sha256:" + "a" * 64

GOLDEN = (
    '{"contract_version":1,"event_type":"recognized","event_id":"' + EVENT_ID + '","seq":4711,'
    '"session":"' + SESSION + '","site":"hq","device":"door-1",'
    '"captured_at":"2026-11-21T16:51:39.120Z","decided_at":"2026-11-21T16:51:39.338Z",'
    '"valid_until":"2026-11-21T16:51:44.120Z","historical":false,"clock_synced":true,'
    '"track":{"id":82,"frames":4,"agreeing":4,"duration_ms":410},"faces_in_view":1,'
    '"match":{"person_id":"p_8c1k3v9q2m","display_name":null,"score":0.71,"threshold":0.58,'
    '"threshold_extrapolated":false,"margin":0.22},'
    '"quality":{"face_px":112,"sharpness":0.81,"yaw_deg":6,"pitch_deg":-3,"roll_deg":1},'
    '"pad":{"assessed":false},'
    '"gallery":{"epoch":1,"revision":318,"templates":412},'
    '"models":{"detector":"' + DIGEST + '","embedder":"' + DIGEST + '"},'
    '"accelerator":"edgetpu","latency_ms":218}'
)


def sighting(**changes: Any) -> Sighting:
    values: dict[str, Any] = {
        "event_type": "recognized",
        "captured_at": CAPTURED,
        "captured_boottime_ns": 5,
        "decided_at": CAPTURED + timedelta(milliseconds=218),
        "validity_s": 5.0,
        "clock_synced": True,
        "track": Track(82, 4, 4, 410),
        "faces_in_view": 1,
        "match": Match("p_8c1k3v9q2m", None, 0.71, 0.58, False, 0.22),
        "quality": FaceQuality(112, 0.81, 6, -3, 1),
        "gallery": GalleryUsed(1, 318, 412),
        "models": ModelsUsed(DIGEST, DIGEST),
        "accelerator": "edgetpu",
        "latency_ms": 218,
    }
    return Sighting(**{**values, **changes})


def identity(seq: int = 4711, previous: Previous | None = None) -> Identity:
    return Identity(
        event_id=EVENT_ID, seq=seq, session=SESSION, site="hq", device="door-1", previous=previous
    )


def with_field(path: str, value: object) -> bytes:
    """The golden event with one field replaced, or removed when `value` is ..."""
    mapping = json.loads(GOLDEN)
    *parents, name = path.split(".")
    target = mapping
    for parent in parents:
        target = target[parent]
    if value is ...:
        del target[name]
    else:
        target[name] = value
    return json.dumps(mapping).encode()


def test_a_recognition_has_exactly_the_documented_bytes() -> None:
    assert codec.to_json(event.recognition(sighting(), identity())).decode() == GOLDEN
    assert json.loads(GOLDEN)["event_id"][14] == "7"


def test_a_recognition_is_read_back_as_it_was() -> None:
    seen = sighting(why={"score": 0.71}, captured_at=WHOLE, decided_at=WHOLE)
    made = event.recognition(seen, identity(1, Previous(SESSION, 3)))
    assert event.parse(codec.to_json(made)) == made


EVIDENCE = Pad(
    assessed=True,
    score=0.2,
    live=False,
    sources=(
        PadSource("passive", 0.2, False, 0.58, {"frames": 4}),
        PadSource("motion", None, None),
    ),
    policy="refuse_recognized",
)


def test_evidence_of_a_picture_goes_with_every_outcome_and_is_read_back_as_it_was() -> None:
    for outcome in get_args(event.Outcome):
        match = sighting().match if outcome == "recognized" else None
        seen = sighting(
            event_type=outcome, match=match, pad=EVIDENCE, captured_at=WHOLE, decided_at=WHOLE
        )
        made = event.recognition(seen, identity())
        assert event.parse(codec.to_json(made)) == made


def test_evidence_that_does_not_suffice_is_written_as_null() -> None:
    made = event.recognition(sighting(pad=EVIDENCE), identity())
    sources = json.loads(codec.to_json(made))["pad"]["sources"]
    assert sources[1] == {"name": "motion", "score": None, "live": None}


def test_what_people_read_of_it_names_the_scores() -> None:
    assert EVIDENCE.told == "not live (passive 0.20: not live; motion cannot tell)"
    assert Pad(True).told == "nobody knows"
    assert Pad().told == "not assessed"
    unfinished = PadSource("challenge", None, None, detail={"reason": "not_finished"})
    assert Pad(True, None, None, (unfinished,)).told == "nobody knows (challenge not_finished)"


def test_nothing_is_live_that_was_not_assessed() -> None:
    for live in (True, False):
        with pytest.raises(ContractError, match="not assessed") as caught:
            event.parse(with_field("pad", {"assessed": False, "live": live}))
        assert caught.value.reason == "inconsistent"


def test_a_gap_is_read_back_as_it_was() -> None:
    lost = Loss(3, (DroppedRange(SESSION, 4, 6, 3, "count"),))
    made = event.gap(lost, identity(), announced_at=WHOLE, clock_synced=False)
    found = event.parse(codec.to_json(made))
    assert isinstance(found, Gap)
    assert found == made


def test_unknown_fields_are_ignored_everywhere() -> None:
    mapping = json.loads(GOLDEN)
    mapping["new"] = {"a": [1]}
    mapping["match"]["new"] = None
    assert event.parse(json.dumps(mapping).encode()) == event.parse(GOLDEN.encode())


def test_an_event_sent_late_differs_in_historical_alone() -> None:
    late = event.as_historical(GOLDEN.encode())
    assert late.decode() == GOLDEN.replace('"historical":false', '"historical":true')


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(b"", "not_json", id="empty"),
        pytest.param(b"\xff", "not_utf8", id="not utf-8"),
        pytest.param(b"[]", "not_an_object", id="a list"),
        pytest.param(b"[" * 60_000, "not_json", id="deep"),
        pytest.param(b'{"a":1,"a":1}', "not_json", id="a key twice"),
        pytest.param(b'{"a":NaN}', "not_json", id="NaN"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", "not_json", id="endless number"),
        pytest.param(b" " * 70_000, "too_large", id="too large"),
        pytest.param(with_field("contract_version", 2), "unsupported_version", id="version 2"),
        pytest.param(with_field("contract_version", True), "unsupported_version", id="true"),
        pytest.param(with_field("event_type", "opened"), "unknown_event_type", id="other type"),
        pytest.param(with_field("event_type", ["gap"]), "unknown_event_type", id="type a list"),
        pytest.param(with_field("seq", ...), "missing_field", id="no seq"),
        pytest.param(with_field("seq", 0), "out_of_range", id="seq 0"),
        pytest.param(with_field("seq", True), "wrong_type", id="seq true"),
        pytest.param(with_field("seq", 1.0), "wrong_type", id="seq a float"),
        pytest.param(with_field("seq", 2**60), "out_of_range", id="seq huge"),
        pytest.param(with_field("historical", 0), "wrong_type", id="historical 0"),
        pytest.param(with_field("site", "HQ"), "bad_text", id="site in capitals"),
        pytest.param(with_field("site", "hq\n"), "bad_text", id="site with a newline"),
        pytest.param(with_field("event_id", EVENT_ID.upper()), "bad_text", id="id in capitals"),
        pytest.param(with_field("valid_until", "2026-11-21"), "bad_time", id="a date"),
        pytest.param(
            with_field("valid_until", "2026-11-21T16:51:44.120+01:00"), "bad_time", id="not UTC"
        ),
        pytest.param(
            with_field("valid_until", "2026-02-30T16:51:44.120Z"), "bad_time", id="no such day"
        ),
        pytest.param(
            with_field("valid_until", "2025-11-21T16:51:44.120Z"), "inconsistent", id="never valid"
        ),
        pytest.param(with_field("match", None), "inconsistent", id="recognized nobody"),
        pytest.param(with_field("event_type", "unknown"), "inconsistent", id="matched"),
        pytest.param(with_field("match.person_id", "p_short"), "bad_text", id="person id"),
        pytest.param(with_field("match.score", 1.5), "out_of_range", id="score 1.5"),
        pytest.param(with_field("match.score", "0.7"), "wrong_type", id="score a string"),
        pytest.param(with_field("match.display_name", "\ud800"), "bad_text", id="half a surrogate"),
        pytest.param(with_field("match.display_name", "x" * 300), "bad_text", id="long name"),
        pytest.param(with_field("track", 1), "wrong_type", id="track a number"),
        pytest.param(with_field("why", [1]), "wrong_type", id="why a list"),
    ],
)
def test_anything_that_does_not_keep_the_contract_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        event.parse(payload)
    assert caught.value.reason == reason


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_anything_but_parse_or_be_refused(payload: bytes) -> None:
    with pytest.raises(ContractError):
        event.parse(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(sorted(json.loads(GOLDEN))), json_values)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: object) -> None:
    with suppress(ContractError):
        event.parse(with_field(name, value))


def test_the_schema_accepts_what_is_sent() -> None:
    lost = Loss(None, (DroppedRange(SESSION, 4, 6, 3, "count"),))
    gap = event.gap(lost, identity(), announced_at=CAPTURED, clock_synced=False)
    for payload in (GOLDEN.encode(), codec.to_json(gap)):
        validator("event").validate(json.loads(payload))


@pytest.mark.parametrize(
    ("path", "value"),
    [("seq", 0), ("site", "HQ"), ("match.score", 2), ("event_type", "opened"), ("track", ...)],
)
def test_the_schema_refuses_what_the_reader_refuses(path: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validator("event").validate(json.loads(with_field(path, value)))
