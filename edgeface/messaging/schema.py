"""The contract as JSON Schema (draft 2020-12), generated from its types.

`python -m edgeface.messaging.schema docs/schema` writes the files anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from edgeface.messaging.contract import json_schema
from edgeface.messaging.event import Gap, Recognition
from edgeface.messaging.report import Alert, Health, State, Status

KINDS: Final[dict[str, type]] = {
    "recognition": Recognition,
    "gap": Gap,
    "status": Status,
    "state": State,
    "health": Health,
    "alert": Alert,
}
"""Name of the file, and the type it describes."""


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by name; `event` is either a recognition or a gap."""
    found = {name: {**_head(name), **json_schema(kind)} for name, kind in KINDS.items()}
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


def files() -> dict[str, str]:
    """The text of each file by its name."""
    return {
        f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in sorted(schemas().items())
    }


def write(folder: Path) -> None:
    """Write them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
