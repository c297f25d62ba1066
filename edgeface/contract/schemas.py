"""The contract as JSON Schema (draft 2020-12), generated from its types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeface.contract.codec import json_schema


def schemas(kinds: Mapping[str, type]) -> dict[str, dict[str, Any]]:
    """Every schema by name, and `event`, which is either a recognition or a gap."""
    found = {name: {**_head(name), **json_schema(kind)} for name, kind in kinds.items()}
    found["event"] = {
        **_head("event"),
        "description": "What ~/event/log carries. On ~/event there are recognitions only.",
        "oneOf": [{"$ref": "recognition.json"}, {"$ref": "gap.json"}],
    }
    return found


def _head(name: str) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{name}.json",
        "title": f"edgeface v1 {name}",
    }
