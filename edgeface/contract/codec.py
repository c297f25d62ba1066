"""Frozen dataclasses to JSON and strictly back, by pydantic.

A field typed `X | None` without a default is always written (as null); one with the default None is
left out when it is None. Unknown fields are ignored when read: fields may be added to the contract,
never changed. Everything else that differs raises ContractError with a machine-readable reason.

Nothing is converted: true is no 1, 5.0 no integer, "5" no number. An integer may stand for a
number. Besides the bounds that a type states, text has at most `DEFAULT_LENGTH` characters, and no
number is beyond `MAX_INT`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar, cast

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, PydanticKnownError, SchemaValidator

from edgeface.base.errors import ContractError

JsonObject: TypeAlias = Mapping[str, Any]
"""Free-form JSON object."""

MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""No message of this contract is larger; a larger one is refused before it is parsed."""
MAX_INT: Final = 2**53 - 1
"""Integers beyond it are not exact in every JSON reader (RFC 8259, section 6)."""
MAX_DEPTH: Final = 64
"""Objects and lists within one another; what walks through a message may call itself so often."""
DEFAULT_LENGTH: Final = 256
"""Of a text whose type states no other, in characters."""
TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_START, _END = "^(?:", ")$"
_T = TypeVar("_T")


def matching(pattern: str, max_length: int) -> Any:
    """Bounds of a text: a pattern, without anchors, of all of it, and a greatest length."""
    return Field(pattern=f"{_START}{pattern}{_END}", max_length=max_length)


def format_time(moment: datetime) -> str:
    """UTC with milliseconds, cut, and `Z`."""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: object) -> bytes:
    """The canonical bytes of a contract dataclass: no spaces, UTF-8, fields in declared order."""
    return dump(to_mapping(value))


def dump(mapping: JsonObject) -> bytes:
    """Canonical bytes of a JSON object. Raises ValueError for NaN and infinities."""
    text = json.dumps(mapping, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def to_mapping(value: object) -> dict[str, Any]:
    """A contract dataclass as plain JSON values."""
    mapping: dict[str, Any] = {}
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        item = getattr(value, field.name)
        if item is None and field.default is None:
            continue
        mapping[field.name] = _plain(item)
    return mapping


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def load(payload: bytes, *, max_bytes: int = MAX_PAYLOAD_BYTES) -> dict[str, Any]:
    """The JSON object in `payload`.

    Raises ContractError: `too_large`, `not_utf8`, `not_json` (also NaN, infinities, twice the same
    key, too deep), `not_an_object`.
    """
    if len(payload) > max_bytes:
        raise ContractError("too_large", f"{len(payload)} bytes, at most {max_bytes} are allowed")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ContractError("not_utf8", f"no UTF-8 at byte {error.start}") from error
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except ContractError:
        raise
    except (ValueError, RecursionError) as error:
        raise ContractError("not_json", f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ContractError("not_an_object", "a JSON object is expected")
    _check_depth(value)
    return value


def _check_depth(value: object) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inside = (item.values() if isinstance(item, dict) else item for item in level)
        level = [item for items in inside for item in items if isinstance(item, dict | list)]
    if level:
        raise ContractError("not_json", f"nested deeper than {MAX_DEPTH}")


def _no_constant(name: str) -> object:
    raise ContractError("not_json", f"{name} is no JSON number")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ContractError("not_json", "an object has the same key twice")
    return mapping


def from_json(kind: type[_T], payload: bytes, *, max_bytes: int = MAX_PAYLOAD_BYTES) -> _T:
    """`payload` as the contract dataclass `kind`; raises ContractError as `load` and
    `from_mapping`."""
    return from_mapping(kind, load(payload, max_bytes=max_bytes))


def from_mapping(kind: type[_T], mapping: object, path: str = "") -> _T:
    """JSON values as the contract dataclass `kind`.

    Raises ContractError naming the field: `missing_field`, `wrong_type`, `out_of_range`,
    `bad_text`, `bad_time`, or what the dataclass itself raises (`inconsistent`).
    """
    try:
        found: _T = _validator(cast("Any", kind)).validate_python(mapping)
    except ValidationError as error:
        raise _fault(error, path) from error
    return found


def prepare(*kinds: Any) -> None:
    """Load what reading these takes now, so that the first message does not wait for it."""
    for kind in kinds:
        _validator(kind)


@functools.cache
def _validator(kind: Any) -> SchemaValidator:
    return SchemaValidator(_strict(TypeAdapter(kind).core_schema))


def _strict(schema: Any) -> Any:
    """A core schema without conversions, with the bounds that every message keeps.

    pydantic's own strict mode would take nothing but instances for a dataclass.
    """
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(item) for key, item in schema.items() if key != "metadata"}
    match found.get("type"):
        case "bool":
            return found | {"strict": True}
        case "str":
            return {"max_length": DEFAULT_LENGTH} | found | {"strict": True}
        case "int":
            return {"ge": -MAX_INT, "le": MAX_INT} | found | {"strict": True}
        case "float":
            bounds = {"ge": -MAX_INT, "le": MAX_INT} | found
            return bounds | {"strict": True, "allow_inf_nan": False}
        case "tuple":
            return found | {"fail_fast": True}
        case "literal":
            return _called("function-before", _exact) | {"schema": found}
        case "datetime":
            return _called("function-plain", _time)
    return found


def _called(kind: str, function: Callable[[Any], Any]) -> dict[str, Any]:
    return {"type": kind, "function": {"type": "no-info", "function": function}}


def _exact(value: Any) -> Any:
    """A value for a literal, which is an integer or a text: to Python true and 1.0 equal 1."""
    if isinstance(value, bool | float):
        raise PydanticKnownError("literal_error", {"expected": "an integer or text"})
    return value


def _time(value: Any) -> datetime:
    if not isinstance(value, str) or TIME.fullmatch(value) is None:
        raise PydanticCustomError("bad_time", "a time like 2026-11-21T16:51:39.120Z is expected")
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("bad_time", "{fault}", {"fault": str(error)}) from error


_FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("missing_field", "missing"),
    "bool_type": ("wrong_type", "true or false is expected"),
    "string_type": ("wrong_type", "a string is expected"),
    "int_type": ("wrong_type", "an integer is expected"),
    "float_type": ("wrong_type", "a number is expected"),
    "tuple_type": ("wrong_type", "a list is expected"),
    "dict_type": ("wrong_type", "an object is expected"),
    "dataclass_type": ("wrong_type", "an object is expected"),
    "finite_number": ("out_of_range", "not finite"),
    "greater_than_equal": ("out_of_range", "{input!r} is less than {ge}"),
    "less_than_equal": ("out_of_range", "{input!r} is more than {le}"),
    "int_parsing_size": ("out_of_range", "beyond every bound"),
    "literal_error": ("out_of_range", "{input!r} is not {expected}"),
    "string_unicode": ("bad_text", "half a surrogate pair"),
    "string_too_long": ("bad_text", "longer than {max_length} characters"),
    "string_pattern_mismatch": ("bad_text", "does not match {pattern}"),
    "bad_time": ("bad_time", "{msg}"),
}
"""Reason and message by pydantic's type of an error."""


def _fault(error: ValidationError, path: str) -> ContractError:
    """The first thing that is wrong, in our words."""
    first = error.errors(include_url=False)[0]
    context = first.get("ctx", {})
    raised = context.get("error")
    if isinstance(raised, ContractError):
        return raised
    where = path
    for step in first["loc"]:
        if isinstance(step, int):
            where += f"[{step}]"
        else:
            name = step if step.isprintable() else repr(step)
            where += f".{name}" if where else name
    if "pattern" in context:
        context["pattern"] = context["pattern"].removeprefix(_START).removesuffix(_END)
    reason, text = _FAULTS.get(first["type"], ("wrong_type", "{msg}"))
    told = text.format(input=first["input"], msg=first["msg"], **context)
    return ContractError(reason, f"{where or 'message'}: {told}")
