"""From files to `Settings`: drop-ins merged in order, every fault told at once."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edgeface.base.errors import SettingsError
from edgeface.settings.faults import Fault, Keys, Mark, dotted, fault_of, keys_of, settings_error
from edgeface.settings.tree import Settings
from edgeface.settings.yaml_file import YamlFile, read_yaml

DEFAULT_FILE = Path("/etc/edgeface/edgeface.yaml")

DROP_INS = "conf.d"
"""The folder beside the file whose `*.yaml` are read after it, in the order of their names."""

_FOLLOWS: Final = "default_factory_not_called"
"""The kind of error that only says that another field has one."""
_SCALARS = ("site", "device", "state_dir")


def load_settings(path: Path) -> Settings:
    """The settings of `path` and its drop-ins.

    Drop-ins are the `*.yaml` of `conf.d` beside `path`, in the order of their names. A mapping is
    merged key by key, anything else replaces what came before; a drop-in with another
    `camera.source` replaces the whole section. A relative path starts at the folder of the file
    that names it.

    Raises `SettingsError` with one line for every fault: `file:line:column: key.path: message`.
    """
    if path == DEFAULT_FILE and not path.exists():
        raise SettingsError(f"{path}: there is no configuration; name one with -c FILE")
    drop_ins = (path.parent / DROP_INS).glob("*.yaml")
    paths = [path, *sorted(found for found in drop_ins if found.name[0] != ".")]
    settings, faults, _ = merge([read_yaml(found, order) for order, found in enumerate(paths)])
    if settings is None or faults:
        raise settings_error(faults)
    return settings


def merge(files: Sequence[YamlFile]) -> tuple[Settings | None, list[Fault], dict[Keys, Mark]]:
    """`files`, at least one, as one configuration; later ones change what earlier ones say.

    The settings are None when there are faults that leave none; the marks are the places of the
    key paths that hold.
    """
    faults = [fault for file in files for fault in file.faults]
    values, marks = _merge([file for file in files if not file.broken])
    if any(file.broken for file in files):
        return None, faults, marks
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        given = {(fault.mark, fault.keys) for fault in faults}
        found_faults = [
            _fault(details, marks) for details in error.errors() if details["type"] != _FOLLOWS
        ]
        faults += [fault for fault in found_faults if (fault.mark, fault.keys) not in given]
        return None, faults, marks
    return settings, faults, marks


def dump_settings(settings: Settings) -> str:
    """`settings` as YAML with every default filled in and every path absolute."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _merge(files: Sequence[YamlFile]) -> tuple[dict[str, Any], dict[Keys, Mark]]:
    values: dict[str, Any] = {}
    marks: dict[Keys, Mark] = {}
    for file in files:
        sections = dict(file.values)
        for name in Settings.model_fields:
            # A section of which everything is commented out says nothing.
            if name in sections and sections[name] is None and name not in _SCALARS:
                sections[name] = {}
        camera, before = sections.get("camera"), values.get("camera")
        if isinstance(camera, dict) and isinstance(before, dict):
            source = before.get("source")
            if camera.get("source", source) != source:
                _forget(("camera",), marks)
                del values["camera"]
        for keys in _merge_mapping(values, sections, ()):
            _forget(keys, marks)
        for keys, mark in file.marks.items():
            # What was replaced has been forgotten; a merged section stays where it first was.
            marks.setdefault(keys, mark)
    return values, marks


def _merge_mapping(into: dict[str, Any], new: dict[str, Any], keys: Keys) -> list[Keys]:
    """Merge `new` into `into`; return the key paths whose former value is gone."""
    replaced: list[Keys] = []
    for key, value in new.items():
        below = (*keys, key)
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            replaced += _merge_mapping(into[key], value, below)
            continue
        if key in into:
            replaced.append(below)
        into[key] = _copy(value)
    return replaced


def _copy(value: Any) -> Any:
    return {key: _copy(below) for key, below in value.items()} if isinstance(value, dict) else value


def _forget(keys: Keys, marks: dict[Keys, Mark]) -> None:
    for known in [known for known in marks if known[: len(keys)] == keys]:
        del marks[known]


def _fault(details: ErrorDetails, marks: dict[Keys, Mark]) -> Fault:
    """The fault of one of pydantic's errors, with what is known of cameras and of keys."""
    keys = keys_of(details["loc"], marks)
    mark = marks[keys]
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        *above, key = details["loc"]
        close = difflib.get_close_matches(str(key), _known_keys(above), n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        return Fault(mark, dotted(keys), f"is not a known key{meant}")
    if kind == "union_tag_not_found":
        return Fault(mark, dotted((*keys, "source")), f"is missing; one of {_sources()}")
    if kind == "union_tag_invalid":
        keys = (*keys, "source")
        return Fault(marks.get(keys, mark), dotted(keys), f"should be one of {_sources()}")
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return Fault(mark, dotted(keys), "should be a section with keys of its own")
    if kind == "tuple_type":
        return Fault(mark, dotted(keys), "should be a list")
    if kind == "string_pattern_mismatch":
        return Fault(mark, dotted(keys), f"should match {context['pattern']}")
    return fault_of(details, marks)


@functools.cache
def _schema() -> dict[str, Any]:
    return Settings.model_json_schema()


def _known_keys(loc: Sequence[str | int]) -> dict[str, Any]:
    """The properties that the schema knows at `loc`."""
    schema = _schema()
    node = schema
    for part in loc:
        below = node.get("properties", {}).get(part)
        if below is None:
            below = {"$ref": node.get("discriminator", {}).get("mapping", {}).get(part, "")}
        name = below.get("$ref", "").rpartition("/")[2]
        node = schema["$defs"].get(name, below)
    known: dict[str, Any] = node.get("properties", {})
    return known


def _sources() -> str:
    return ", ".join(_schema()["properties"]["camera"]["discriminator"]["mapping"])
