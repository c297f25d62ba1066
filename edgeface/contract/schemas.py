"""The contract as JSON Schema (draft 2020-12), generated from its types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from edgeface.contract.codec import DEFAULT_LENGTH, TIME


def schemas(kinds: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every schema by name, and `event`, which is either a recognition or a gap."""
    found = {name: {**_head(name), **json_schema(kind)} for name, kind in kinds.items()}
    found["event"] = {
        **_head("event"),
        "description": "What ~/event/log carries. On ~/event there are recognitions only.",
        "oneOf": [{"$ref": "recognition.json"}, {"$ref": "gap.json"}],
    }
    return found


def json_schema(kind: Any) -> dict[str, Any]:
    """JSON Schema of a contract dataclass, without `$schema` and `$id`, and without references."""
    found = TypeAdapter(kind).json_schema()
    return _inlined(found, found.get("$defs", {}))


def _inlined(item: Any, types: Mapping[str, Any]) -> dict[str, Any]:
    """pydantic's schema with what the contract says of a type, and no more."""
    if "$ref" in item:
        name, more = item["$ref"].rpartition("/")[2], {k: item[k] for k in item if k != "$ref"}
        return _inlined(types[name] | more, types)
    if "anyOf" in item:
        return {"anyOf": [_inlined(kind, types) for kind in item["anyOf"]]}
    for key in ("const", "enum"):
        if key in item:
            return {key: item[key]}
    kept = {key: item[key] for key in ("type", "minimum", "maximum") if key in item}
    match item.get("type"):
        case "string" if "format" in item:
            return kept | {"format": item["format"], "pattern": f"^{TIME.pattern}$"}
        case "string":
            kept["maxLength"] = item.get("maxLength", DEFAULT_LENGTH)
            return kept | ({"pattern": item["pattern"]} if "pattern" in item else {})
        case "array":
            return kept | {"items": _inlined(item["items"], types)}
        case "object" if "additionalProperties" in item:
            values = item["additionalProperties"]
            return kept | {
                "additionalProperties": {} if values is True else _inlined(values, types)
            }
        case "object":
            return kept | {
                "description": " ".join(item["description"].split("\n\n")[0].split()),
                "properties": {
                    name: _inlined(value, types)
                    for name, value in item.get("properties", {}).items()
                },
                "required": item.get("required", []),
            }
    return kept


def _head(name: str) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{name}.json",
        "title": f"edgeface v1 {name}",
    }
