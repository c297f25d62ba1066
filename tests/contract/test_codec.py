"""Reading the contract's types: what is refused, why, and that nothing is converted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from edgeface.base.errors import ContractError
from edgeface.contract import codec
from edgeface.contract.codec import MAX_INT, JsonObject, matching


@dataclass(frozen=True, slots=True)
class Inner:
    """What is inside."""

    amount: Annotated[int, Field(ge=0, le=5)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One field of each kind."""

    version: Literal[1] = 1
    kind: Literal["one", "other"] = "one"
    flag: bool = False
    number: float = 0.5
    integer: int = 0
    text: str = ""
    code: Annotated[str, matching("[a-z]{1,4}", 4)] = "a"
    at: datetime = datetime(2026, 11, 21, tzinfo=UTC)
    inner: Inner | None = None
    items: tuple[Inner, ...] = ()
    counters: Mapping[str, int] | None = None
    free: JsonObject | None = None

    def __post_init__(self) -> None:
        if self.text == "never":
            raise ContractError("inconsistent", "text: never")


def read(**fields: Any) -> Sample:
    return codec.from_mapping(Sample, fields)


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        pytest.param({"version": True}, "out_of_range", "version: ", id="true is no 1"),
        pytest.param({"version": 1.0}, "out_of_range", "version: ", id="1.0 is no 1"),
        pytest.param({"version": "1"}, "out_of_range", "version: ", id="text is no 1"),
        pytest.param({"version": 10**30}, "out_of_range", "version: ", id="huge is no 1"),
        pytest.param({"kind": "more"}, "out_of_range", "kind: 'more' is not 'one'", id="no choice"),
        pytest.param({"flag": 1}, "wrong_type", "flag: true or false", id="1 is no truth"),
        pytest.param({"flag": "true"}, "wrong_type", "flag: true or false", id="text is no truth"),
        pytest.param({"integer": 5.0}, "wrong_type", "integer: an integer", id="5.0 no integer"),
        pytest.param({"integer": True}, "wrong_type", "integer: an integer", id="true no integer"),
        pytest.param({"integer": "5"}, "wrong_type", "integer: an integer", id="text no integer"),
        pytest.param({"integer": MAX_INT + 1}, "out_of_range", "integer: ", id="inexact"),
        pytest.param({"integer": -(10**30)}, "out_of_range", "integer: ", id="very inexact"),
        pytest.param({"number": True}, "wrong_type", "number: a number", id="true no number"),
        pytest.param({"number": MAX_INT + 1}, "out_of_range", "number: ", id="inexact number"),
        pytest.param({"number": 1e20}, "out_of_range", "number: ", id="with an exponent"),
        pytest.param({"number": float("inf")}, "out_of_range", "number: not finite", id="infinite"),
        pytest.param({"text": "x" * 257}, "bad_text", "text: longer than 256", id="long text"),
        pytest.param({"text": b"x"}, "wrong_type", "text: a string", id="bytes"),
        pytest.param({"text": "\ud800"}, "bad_text", "text: half a surrogate", id="surrogate"),
        pytest.param({"\ud800": 1}, "bad_text", "message: half a surrogate", id="in a name"),
        pytest.param({"code": "abc\n"}, "bad_text", "code: does not match [a-z]{1,4}", id="line"),
        pytest.param({"code": "abcde"}, "bad_text", "code: longer than 4", id="too long"),
        pytest.param({"at": 1764}, "bad_time", "at: a time like", id="a number for a time"),
        pytest.param({"at": "2026-11-21T16:51:39Z"}, "bad_time", "at: a time like", id="seconds"),
        pytest.param({"at": "2026-02-30T16:51:39.000Z"}, "bad_time", "at: day", id="no such day"),
        pytest.param({"inner": []}, "wrong_type", "inner: an object", id="list for object"),
        pytest.param({"items": {}}, "wrong_type", "items: a list", id="object for list"),
        pytest.param({"items": "ab"}, "wrong_type", "items: a list", id="text for list"),
        pytest.param(
            {"items": [{}, {"amount": 6}]}, "out_of_range", "items[1].amount: 6", id="in a list"
        ),
        pytest.param({"counters": {"a": None}}, "wrong_type", "counters.a: an int", id="in a map"),
        pytest.param({"counters": {"a\n": None}}, "wrong_type", r"counters.'a\n'", id="escaped"),
        pytest.param({"free": [1]}, "wrong_type", "free: an object", id="list for free"),
        pytest.param({"text": "never"}, "inconsistent", "text: never", id="its own check"),
    ],
)
def test_what_is_refused_and_how_it_is_told(
    fields: dict[str, Any], reason: str, message: str
) -> None:
    with pytest.raises(ContractError) as caught:
        read(**fields)
    assert caught.value.reason == reason
    assert str(caught.value).startswith(message)


def test_an_integer_may_stand_for_a_number_and_is_read_as_one() -> None:
    found = read(number=5)
    assert isinstance(found.number, float)
    assert found.number == 5


def test_the_bounds_themselves_are_taken() -> None:
    assert read(integer=MAX_INT).integer == MAX_INT
    assert read(number=-MAX_INT).number == -MAX_INT
    assert read(text="é" * 256).text == "é" * 256


def test_free_form_is_taken_as_it_is() -> None:
    free = {"deep": [[{"x": 2**60}]], "yes": True, "none": None}
    assert read(free=free).free == free


def test_unknown_fields_are_left_out_whatever_is_in_them() -> None:
    assert read(added={"later": [None]}, inner={"amount": 1, "added": 2}) == read(
        inner={"amount": 1}
    )


def test_a_path_is_put_before_the_name_of_the_field() -> None:
    with pytest.raises(ContractError, match=r"^data\.inner\.amount: "):
        codec.from_mapping(Sample, {"inner": {"amount": -1}}, "data")
    with pytest.raises(ContractError, match=r"^data: an object is expected"):
        codec.from_mapping(Sample, None, "data")


def test_the_first_of_many_faults_is_told_without_looking_at_the_others() -> None:
    with pytest.raises(ContractError, match=r"^items\[0\]: an object"):
        read(items=[1] * 50_000)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"free":{"a":NaN}}', id="NaN"),
        pytest.param(b'{"free":{"a":-Infinity}}', id="infinity"),
        pytest.param(b'{"free":{"a":1,"a":1}}', id="a name twice"),
        pytest.param(b'{"free":' + b"[" * 60_000, id="bottomless"),
        pytest.param(b'{"kind":' + b"[" * 900 + b"]" * 900 + b"}", id="too deep to be shown"),
        pytest.param(b'{"free":' + b'{"a":' * 9_000 + b"1" + b"}" * 9_001, id="deep"),
    ],
)
def test_what_is_no_json_is_refused_also_where_anything_may_stand(payload: bytes) -> None:
    with pytest.raises(ContractError) as caught:
        codec.from_json(Sample, payload)
    assert caught.value.reason == "not_json"


@pytest.mark.parametrize("left", [0, 1])
def test_a_message_is_as_deep_as_what_walks_through_it_can_go(left: int) -> None:
    """Its own object is one level, the field another."""
    inner = "[" * (codec.MAX_DEPTH - 2 + left) + "]" * (codec.MAX_DEPTH - 2 + left)
    payload = f'{{"free":{{"a":{inner}}}}}'.encode()
    if left == 0:
        assert codec.to_json(codec.from_json(Sample, payload)).endswith(payload[1:])
    else:
        with pytest.raises(ContractError, match="nested deeper than 64"):
            codec.from_json(Sample, payload)


def test_a_message_may_have_64_kib_and_no_more() -> None:
    assert codec.from_json(Sample, b"{}".ljust(codec.MAX_PAYLOAD_BYTES)) == Sample()
    with pytest.raises(ContractError) as caught:
        codec.from_json(Sample, b"{}".ljust(codec.MAX_PAYLOAD_BYTES + 1))
    assert caught.value.reason == "too_large"


def test_none_is_written_where_there_is_no_default_and_left_out_where_it_is() -> None:
    assert codec.to_json(Inner()) == b'{"amount":0}'
    assert "inner" not in codec.to_mapping(Sample())


def test_topics_are_known_without_pydantic() -> None:
    script = "import sys, edgeface.contract.topics; print('pydantic' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "False"
