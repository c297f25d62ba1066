"""What is inside a record: templates, validity window, display name and card.

UTF-8 JSON, followed by spaces (0x20) up to a multiple of 256 bytes, so that the length of a name
cannot be read off the ciphertext. Unknown fields are ignored.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from edgeface.base.errors import ContractError, GalleryError
from edgeface.contract import codec
from edgeface.contract.codec import matching
from edgeface.contract.gallery_report import SPACE_PATTERN
from edgeface.fleet.protocol.terms import RefusedError
from edgeface.gallery.person import (
    MAX_TEMPLATES,
    Person,
    StoredTemplate,
    dimensions_of,
    make_template,
)
from edgeface.recognition.templates import DIMENSIONS, check_dimensions

PADDING_BYTES: Final = 256
_MAX_PLAIN_BYTES: Final = 16 * 1024
_NO_ONE: Final = "p_0000000000"


@dataclass(frozen=True, slots=True)
class Payload:
    """The content of a record. Times are whole UTC epoch seconds or infinite."""

    templates: Mapping[str, tuple[StoredTemplate, ...]]
    """Space id -> templates, at least one each. `created_s` is not on the wire and reads as 0."""
    display_name: str | None = None
    valid_from_s: float = -math.inf
    valid_to_s: float = math.inf
    card: str | None = None

    def person(self, person_id: str) -> Person:
        """As the gallery keeps it."""
        return Person(
            person_id,
            display_name=self.display_name,
            valid_from_s=self.valid_from_s,
            valid_to_s=self.valid_to_s,
            card=self.card,
        )


_Second = Annotated[int, Field(ge=-codec.MAX_INT, le=codec.MAX_INT)]


@dataclass(frozen=True, slots=True)
class _Content:
    """The JSON form."""

    display_name: Annotated[str, Field(max_length=128)] | None
    valid_from: _Second | None
    valid_to: _Second | None
    card: Annotated[str, Field(max_length=128)] | None
    templates: Mapping[str, Annotated[str, Field(max_length=_MAX_PLAIN_BYTES)]]
    dimensions: Mapping[str, int] | None = None
    """Space id -> numbers a template, of the spaces in which that is not 128."""


def payload_of(person: Person, templates: Mapping[str, tuple[StoredTemplate, ...]]) -> Payload:
    """The payload of somebody in a gallery; bounds are widened to whole seconds."""
    return Payload(
        templates={space: items for space, items in sorted(templates.items()) if items},
        display_name=person.display_name,
        valid_from_s=_whole(person.valid_from_s, math.floor),
        valid_to_s=_whole(person.valid_to_s, math.ceil),
        card=person.card,
    )


def encode_payload(payload: Payload) -> bytes:
    """Padded plaintext; the same payload always gives the same bytes. Raises GalleryError for
    templates of one space that differ in length."""
    widths = {space: dimensions_of(items) for space, items in sorted(payload.templates.items())}
    content = _Content(
        display_name=payload.display_name,
        valid_from=_second(payload.valid_from_s),
        valid_to=_second(payload.valid_to_s),
        card=payload.card,
        templates={
            space: base64.b64encode(_pack(items)).decode("ascii")
            for space, items in sorted(payload.templates.items())
        },
        dimensions={s: width for s, width in widths.items() if width not in (None, DIMENSIONS)}
        or None,
    )
    plain = codec.to_json(content)
    return plain + b" " * (-len(plain) % PADDING_BYTES)


def decode_payload(plain: bytes) -> Payload:
    """The inverse, for what came out of a decrypted record. Raises RefusedError `malformed`."""
    if len(plain) % PADDING_BYTES or not plain.endswith((b"}", b" ")):
        raise RefusedError("malformed", "the content is not padded as it has to be")
    try:
        content = codec.from_json(_Content, plain, max_bytes=_MAX_PLAIN_BYTES)
        widths = content.dimensions or {}
        payload = Payload(
            templates={
                space: _unpack(space, text, widths.get(space, DIMENSIONS))
                for space, text in content.templates.items()
            },
            display_name=content.display_name,
            valid_from_s=-math.inf if content.valid_from is None else float(content.valid_from),
            valid_to_s=math.inf if content.valid_to is None else float(content.valid_to),
            card=content.card,
        )
        payload.person(_NO_ONE)  # checks texts and window as the gallery will
    except RefusedError:
        raise
    except (ContractError, GalleryError) as error:
        raise RefusedError("malformed", f"content: {error}") from error
    return payload


def _pack(items: tuple[StoredTemplate, ...]) -> bytes:
    packed = np.zeros(len(items), dtype=_packed(dimensions_of(items) or DIMENSIONS))
    for row, item in zip(packed, items, strict=True):
        row["scale"] = item.template.scale
        row["quality"] = item.quality
        row["codes"] = item.template.codes
    return packed.tobytes()


def _packed(width: int) -> np.dtype[Any]:
    return np.dtype([("scale", "<f4"), ("quality", "<f4"), ("codes", "i1", (width,))])


def _unpack(space: str, text: str, width: int) -> tuple[StoredTemplate, ...]:
    codec.from_mapping(_SpaceName, {"space": space})
    try:
        kind = _packed(check_dimensions(width))
    except ValueError as error:
        raise RefusedError("malformed", f"dimensions: {error}") from error
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError("malformed", f"templates: no base64: {error}") from error
    count, rest = divmod(len(content), kind.itemsize)
    if rest or not 1 <= count <= MAX_TEMPLATES:
        raise RefusedError("malformed", f"templates: {len(content)} bytes in one space")
    rows: Any = np.frombuffer(content, dtype=kind)
    return tuple(
        make_template(row["codes"], float(row["scale"]), float(row["quality"]), 0.0) for row in rows
    )


@dataclass(frozen=True, slots=True)
class _SpaceName:
    space: Annotated[str, matching(SPACE_PATTERN, 64)]


def _whole(value: float, rounding: Any) -> float:
    return float(rounding(value)) if math.isfinite(value) else value


def _second(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None
