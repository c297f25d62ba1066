"""One YAML file as plain values, with the place of every key and every fault at once.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema) rather
than PyYAML's 1.1: `no`, `on` and `12:30` are texts, `1e-3` is a number. Merge keys are not known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from edgeface.base.errors import SettingsError
from edgeface.base.files import read_file
from edgeface.settings.base import PlacedText
from edgeface.settings.faults import Fault, Keys, Mark, dotted

NODES_MAX = 100_000
"""Aliases can make a small file enormous; no configuration has so many nodes."""

FILE_BYTES = 256 << 10
"""No configuration is so large, and the parser takes its time."""

_TAG = "tag:yaml.org,2002:"


_NO_VARIABLES = (
    "holds ${: environment variables are not read; write the value itself, and what is secret into "
    "a file of its own: a password_file, a credential, or a drop-in in conf.d of mode 0600"
)


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _first_letters = [letter if letter != "\0" else "" for letter in _first]
    _CoreLoader.add_implicit_resolver(
        _TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first_letters
    )


@dataclass
class YamlFile:
    """What a file says: `values`, the place of each key path, and what is wrong with it."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    marks: dict[Keys, Mark] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    broken: bool = False
    """The file could not be read as a mapping at all; `values` says nothing."""


def read_yaml(path: Path, file_order: int = 0, folder: Path | None = None) -> YamlFile:
    """Read `path`; faults of its form are in the result.

    Texts are `PlacedText`, so that relative paths start at the file's folder, or at `folder`, where
    the file will lie. Raises `SettingsError` when the file cannot be read.
    """
    try:
        data = read_file(path, FILE_BYTES)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _Reader(path, file_order, folder or path.absolute().parent).read(data)


class _Reader:
    def __init__(self, path: Path, file_order: int, folder: Path) -> None:
        self._file = YamlFile(path)
        self._order = file_order
        self._folder = folder
        self._nodes = 0
        self._open: set[int] = set()

    def read(self, data: bytes) -> YamlFile:
        self._file.marks[()] = Mark(self._order, 1, 1, self._file.path)
        try:
            root = yaml.compose(data.decode("utf-8-sig"), Loader=_CoreLoader)
            if root is not None and root.tag != _TAG + "null":
                if not isinstance(root, yaml.MappingNode):
                    raise _refused(root, "should be a mapping of sections")
                self._file.values = self._value(root, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = str(error.problem or error.context)
            if not isinstance(error, ConstructorError):
                problem = f"is not YAML: {problem}"
            self._break(mark.line if mark else 0, mark.column if mark else 0, problem)
        except yaml.reader.ReaderError as error:
            self._break_at(data.decode("utf-8-sig")[: error.position], "holds a control character")
        except UnicodeDecodeError as error:
            self._break_at(data[: error.start].decode("utf-8", "replace"), "is not UTF-8")
        except RecursionError:
            self._break(0, 0, "is nested too deeply")
        return self._file

    def _break_at(self, before: str, message: str) -> None:
        line = before.count("\n")
        self._break(line, len(before) - (before.rfind("\n") + 1), message)

    def _break(self, line: int, column: int, message: str) -> None:
        mark = Mark(self._order, line + 1, column + 1, self._file.path)
        self._file.faults.append(Fault(mark, "", message))
        self._file.broken = True

    def _mark(self, node: yaml.Node) -> Mark:
        start = node.start_mark
        return Mark(self._order, start.line + 1, start.column + 1, self._file.path)

    def _fault(self, node: yaml.Node, keys: Keys, message: str) -> None:
        self._file.faults.append(Fault(self._mark(node), dotted(keys), message))

    def _value_fault(self, keys: Keys, message: str) -> None:
        self._file.faults.append(Fault(self._file.marks[keys], dotted(keys), message))

    def _value(self, node: yaml.Node, keys: Keys) -> Any:
        self._nodes += 1
        if id(node) in self._open or self._nodes > NODES_MAX:
            raise _refused(node, "has aliases that never end")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, keys)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, keys)
            return self._list(node, keys)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if node.tag != _TAG + "map":
            self._value_fault(keys, f"has the tag {node.tag}, which is not known here")
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
                self._fault(key_node, keys, "has a key that is not a text")
                continue
            below = (*keys, key)
            if key in values:
                first = self._file.marks[below]
                self._fault(key_node, below, f"is given twice, first in line {first.line}")
                continue
            self._file.marks[below] = self._mark(key_node)
            values[key] = self._value(value_node, below)
        return values

    def _list(self, node: yaml.Node, keys: Keys) -> list[Any]:
        if node.tag != _TAG + "seq":
            self._value_fault(keys, f"has the tag {node.tag}, which is not known here")
        values = []
        for number, item in enumerate(node.value):
            below = (*keys, number)
            self._file.marks[below] = self._mark(item)
            values.append(self._value(item, below))
        return values

    def _scalar(self, node: yaml.ScalarNode, keys: Keys) -> Any:
        text: str = node.value
        try:
            match node.tag.removeprefix(_TAG):
                case "str":
                    if "${" in text:
                        self._value_fault(keys, _NO_VARIABLES)
                    return PlacedText(text, self._folder)
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
                case "float":
                    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        except ValueError:
            self._value_fault(keys, "is not a number")
            return None
        self._value_fault(keys, f"has the tag {node.tag}, which is not known here")
        return None


def _refused(node: yaml.Node, problem: str) -> ConstructorError:
    """It is YAML, but no configuration."""
    return ConstructorError(None, None, problem, node.start_mark)
