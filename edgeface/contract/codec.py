"""Frozen dataclasses to JSON, strictly back, and to JSON Schema, all from the same type hints.

A field typed `X | None` without a default is always written (as null); one with the default None is
left out when it is None. Unknown fields are ignored when read: fields may be added to the contract,
never changed. Everything else that differs raises ContractError with a machine-readable reason.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, TypeVar, Union

from edgeface.base.errors import ContractError

JsonObject: TypeAlias = Mapping[str, Any]
"""Free-form JSON object."""

MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""No message of this contract is larger; a larger one is refused before it is parsed."""
MAX_INT: Final = 2**53 - 1
"""Integers beyond it are not exact in every JSON reader (RFC 8259, section 6)."""

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Text:
    """Bounds of a string: a full-match pattern (without anchors), a greatest length."""

    pattern: str | None = None
    max_length: int = 256


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds of a number."""

    minimum: float | None = None
    maximum: float | None = None


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
    return value


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
    if not isinstance(mapping, dict):
        raise ContractError("wrong_type", f"{path or 'message'}: an object is expected")
    values: dict[str, object] = {}
    hints = _hints(typing.cast(type, kind))
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        where = f"{path}.{field.name}" if path else field.name
        if field.name in mapping:
            values[field.name] = _read(hints[field.name], mapping[field.name], where)
        elif field.default is dataclasses.MISSING:
            raise ContractError("missing_field", f"{where}: missing")
    return kind(**values)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _split(hint: Any) -> tuple[Any, tuple[object, ...]]:
    """The plain hint and its annotations."""
    if typing.get_origin(hint) is typing.Annotated:
        plain, *notes = typing.get_args(hint)
        return plain, tuple(notes)
    return hint, ()


def _optional(hint: Any) -> Any | None:
    """X for `X | None`, else None."""
    if typing.get_origin(hint) not in {Union, types.UnionType}:
        return None
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    if len(kinds) != 1:
        raise TypeError(f"unsupported type {hint}")
    return kinds[0]


def _read(hint: Any, value: Any, where: str) -> object:
    inner = _optional(hint)
    if inner is not None:
        return None if value is None else _read(inner, value, where)
    plain, notes = _split(hint)
    origin = typing.get_origin(plain)
    if origin is Literal:
        allowed = typing.get_args(plain)
        if any(value == item and type(value) is type(item) for item in allowed):
            return value
        raise ContractError("out_of_range", f"{where}: {value!r} is none of {list(allowed)}")
    if origin is tuple:
        _expect(value, list, where, "a list")
        return tuple(
            _read(typing.get_args(plain)[0], item, f"{where}[{i}]") for i, item in enumerate(value)
        )
    if origin is not None and issubclass(origin, Mapping):
        _expect(value, dict, where, "an object")
        item_hint = typing.get_args(plain)[1]
        return {
            key: _read(item_hint, item, f"{where}.{key if key.isprintable() else repr(key)}")
            for key, item in value.items()
        }
    if plain is Any:
        return value
    if dataclasses.is_dataclass(plain):
        return from_mapping(typing.cast(type, plain), value, where)
    if plain is datetime:
        return _time(value, where)
    if plain is bool:
        return _expect(value, bool, where, "true or false")
    if plain is str:
        return _text(value, notes, where)
    return _number(plain, value, notes, where)


def _expect(value: object, kind: type, where: str, wanted: str) -> object:
    if not isinstance(value, kind):
        raise ContractError("wrong_type", f"{where}: {wanted} is expected")
    return value


def _time(value: object, where: str) -> datetime:
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        raise ContractError(
            "bad_time", f"{where}: a time like 2026-11-21T16:51:39.120Z is expected"
        )
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise ContractError("bad_time", f"{where}: {error}") from error


def _text(value: object, notes: tuple[object, ...], where: str) -> str:
    if not isinstance(value, str):
        raise ContractError("wrong_type", f"{where}: a string is expected")
    bounds = next((note for note in notes if isinstance(note, Text)), Text())
    if len(value) > bounds.max_length:
        raise ContractError("bad_text", f"{where}: longer than {bounds.max_length} characters")
    if bounds.pattern is not None and re.fullmatch(bounds.pattern, value) is None:
        raise ContractError("bad_text", f"{where}: does not match {bounds.pattern}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ContractError("bad_text", f"{where}: half a surrogate pair")
    return value


def _number(kind: Any, value: Any, notes: tuple[object, ...], where: str) -> int | float:
    wanted = "an integer" if kind is int else "a number"
    accepted = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ContractError("wrong_type", f"{where}: {wanted} is expected")
    if isinstance(value, int) and abs(value) > MAX_INT:
        raise ContractError("out_of_range", f"{where}: beyond 2**53 - 1")
    if not math.isfinite(value):
        raise ContractError("out_of_range", f"{where}: not finite")
    bounds = next((note for note in notes if isinstance(note, Range)), Range())
    low, high = bounds.minimum, bounds.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise ContractError("out_of_range", f"{where}: {value} is outside {low} to {high}")
    return value


def json_schema(kind: type) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a contract dataclass, without `$schema` and `$id`."""
    hints = _hints(kind)
    fields = dataclasses.fields(kind)
    schema: dict[str, Any] = {"type": "object"}
    if kind.__doc__:
        schema["description"] = " ".join(kind.__doc__.split("\n\n")[0].split())
    schema["properties"] = {field.name: _schema_of(hints[field.name]) for field in fields}
    schema["required"] = [field.name for field in fields if field.default is dataclasses.MISSING]
    return schema


def _schema_of(hint: Any) -> dict[str, Any]:
    inner = _optional(hint)
    if inner is not None:
        return {"anyOf": [_schema_of(inner), {"type": "null"}]}
    plain, notes = _split(hint)
    origin = typing.get_origin(plain)
    if origin is Literal:
        allowed = list(typing.get_args(plain))
        return {"const": allowed[0]} if len(allowed) == 1 else {"enum": allowed}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(typing.get_args(plain)[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema_of(typing.get_args(plain)[1])}
    if plain is Any:
        return {}
    if dataclasses.is_dataclass(plain):
        return json_schema(typing.cast(type, plain))
    return _schema_of_scalar(plain, notes)


def _schema_of_scalar(plain: Any, notes: tuple[object, ...]) -> dict[str, Any]:
    if plain is datetime:
        return {"type": "string", "format": "date-time", "pattern": f"^{_TIME.pattern}$"}
    if plain is bool:
        return {"type": "boolean"}
    if plain is str:
        text = next((note for note in notes if isinstance(note, Text)), Text())
        schema: dict[str, Any] = {"type": "string", "maxLength": text.max_length}
        if text.pattern is not None:
            schema["pattern"] = f"^(?:{text.pattern})$"
        return schema
    bounds = next((note for note in notes if isinstance(note, Range)), Range())
    schema = {"type": "integer" if plain is int else "number"}
    if bounds.minimum is not None:
        schema["minimum"] = bounds.minimum
    if bounds.maximum is not None:
        schema["maximum"] = bounds.maximum
    return schema
