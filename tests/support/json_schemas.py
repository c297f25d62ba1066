"""Messages held against the contract's JSON Schemas by a validator that is not ours."""

from __future__ import annotations

from typing import Any

import jsonschema
from referencing import Registry, Resource

from edgeface.contract.documents import schemas, whole


def validator(kind: str) -> jsonschema.Draft202012Validator:
    """Of messages of one kind, by the contract's own schemas."""
    found = schemas(whole().kinds)
    registry: Registry[Any] = Registry().with_resources(
        (f"{name}.json", Resource.from_contents(item)) for name, item in found.items()
    )
    return jsonschema.Draft202012Validator(
        found[kind],
        registry=registry,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )
