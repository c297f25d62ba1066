"""The JSON Schema of a configuration file, described by the docstrings of the fields."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from pydantic import BaseModel

from edgeface.settings.base import Section
from edgeface.settings.tree import Settings


def settings_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration file, for editors and checks."""
    schema = Settings.model_json_schema()
    sections = {model.__name__: model for model in _sections(Section)}
    named: dict[str, Any] = {**schema["$defs"], Settings.__name__: schema}
    for name, node in named.items():
        # The model's own docstring belongs to the whole; fields may come from its base.
        for field, text in _field_docs(sections[name]).items():
            node["properties"][field]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    below = model.__subclasses__()
    return [*below, *(found for child in below for found in _sections(child))]


def _field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The bare text after each field, as pydantic's `use_attribute_docstrings` reads them.

    pydantic would do so at every import, at a cost that a start on a Raspberry Pi notices.
    """
    docs: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if not (issubclass(parent, Section) and parent is not Section):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(found))),
                ):
                    docs[name] = inspect.cleandoc(found).replace("\n", " ")
    return docs
