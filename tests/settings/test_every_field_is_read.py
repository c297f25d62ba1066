"""A setting that nothing reads is a promise that nobody keeps."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from edgeface.settings.base import Section
from edgeface.settings.tree import Settings

PACKAGE = Path(__file__).resolve().parents[2] / "edgeface"


def sections(kind: Any) -> Iterator[type[Section]]:
    """Every section below a type, itself as well."""
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind
        for field in kind.model_fields.values():
            yield from sections(field.annotation)
    for part in get_args(kind):
        yield from sections(part)


def names_read(tree: ast.AST) -> set[str]:
    """Attributes that are read."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }


@pytest.fixture(scope="module")
def read() -> set[str]:
    """What is read outside the settings, and what the properties that are read there stand for."""
    found: set[str] = set()
    properties: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        if "settings" not in path.relative_to(PACKAGE).parts[:1]:
            found |= names_read(tree)
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(item, ast.Name) and item.id == "property" for item in node.decorator_list
            ):
                properties.setdefault(node.name, set()).update(names_read(node))
    for name, stands_for in properties.items():
        if name in found:
            found |= stands_for
    return found


@pytest.mark.parametrize(
    ("section", "field"),
    [
        pytest.param(section, name, id=f"{section.__name__}.{name}")
        for section in sorted(set(sections(Settings)), key=lambda section: section.__name__)
        for name, field in section.model_fields.items()
        if not any(True for _ in sections(field.annotation))
    ],
)
def test_something_outside_the_settings_reads_it(
    section: type[Section], field: str, read: set[str]
) -> None:
    assert field in read, f"nothing reads {section.__name__}.{field}"
