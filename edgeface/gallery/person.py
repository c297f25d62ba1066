"""What the gallery keeps of a person, and its byte form inside a sealed row."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import GalleryError
from edgeface.base.ids import check_person_id
from edgeface.recognition.templates import DIMENSIONS, Template, check_dimensions

MAX_TEMPLATES: Final = 32
"""Templates of one person in one space; more would slow matching without making it better."""
_MAX_NAME: Final = 128
_MAX_CARD: Final = 128

TEMPLATES_FORMAT: Final = b"\x01"
"""First byte of a templates row: of 128 numbers each."""
_WIDE_FORMAT: Final = b"\x02"
"""Another number: it follows, in two bytes, little-endian."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person, without templates. Raises GalleryError for values that cannot be stored.

    Name and card are kept in Unicode's form NFC, whichever way they were typed.
    """

    person_id: str
    display_name: str | None = None
    valid_from_s: float = -math.inf
    """UTC epoch seconds from which the person may be recognized."""
    valid_to_s: float = math.inf
    """UTC epoch seconds at which that ends (exclusive)."""
    card: str | None = None
    created_s: float = 0.0
    """UTC epoch seconds of the first enrollment."""

    def __post_init__(self) -> None:
        check_person_id(self.person_id)
        for field in ("display_name", "card"):
            text = getattr(self, field)
            object.__setattr__(self, field, None if text is None else plain_text(text))
        _check_text("display name", self.display_name, _MAX_NAME)
        _check_text("card", self.card, _MAX_CARD)
        if math.isnan(self.valid_from_s) or math.isnan(self.valid_to_s):
            raise GalleryError(f"{self.person_id}: a validity bound is not a number")
        if not self.valid_from_s < self.valid_to_s:
            raise GalleryError(f"{self.person_id}: the validity ends before it begins")
        if not math.isfinite(self.created_s):
            raise GalleryError(f"{self.person_id}: the time of creation is not finite")


@dataclass(frozen=True, slots=True, eq=False)
class StoredTemplate:
    """A template with its worth and age; raises GalleryError for values out of range."""

    template: Template
    quality: float = 1.0
    """Weight in [0, 1] of the picture it was made from."""
    created_s: float = 0.0
    """UTC epoch seconds."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.quality <= 1.0:
            raise GalleryError(f"a template's quality lies in [0, 1], {self.quality} does not")
        if not math.isfinite(self.created_s):
            raise GalleryError("a template's time of creation is not finite")


def plain_text(text: str) -> str:
    """`text` in Unicode's form NFC (UAX #15): one name has one spelling, whichever way an accent
    was typed."""
    return unicodedata.normalize("NFC", text)


def person_to_mapping(person: Person) -> dict[str, Any]:
    """JSON-able form without the id; infinite bounds are null."""
    return {
        "display_name": person.display_name,
        "valid_from_s": _finite(person.valid_from_s),
        "valid_to_s": _finite(person.valid_to_s),
        "card": person.card,
        "created_s": person.created_s,
    }


def person_from_mapping(person_id: str, mapping: dict[str, Any]) -> Person:
    """The inverse; raises GalleryError naming the field at fault. Unknown fields are ignored."""
    return Person(
        person_id=person_id,
        display_name=_text(mapping, "display_name"),
        valid_from_s=_number(mapping, "valid_from_s", -math.inf),
        valid_to_s=_number(mapping, "valid_to_s", math.inf),
        card=_text(mapping, "card"),
        created_s=_number(mapping, "created_s", 0.0),
    )


def encode_person(person: Person) -> bytes:
    """Row content: compact UTF-8 JSON."""
    return json.dumps(
        person_to_mapping(person), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode()


def decode_person(person_id: str, content: bytes) -> Person:
    """The inverse of `encode_person`; raises GalleryError."""
    try:
        mapping = json.loads(content)
    except ValueError as error:
        raise GalleryError(f"{person_id}: the row holds no JSON: {error}") from error
    if not isinstance(mapping, dict):
        raise GalleryError(f"{person_id}: the row holds no JSON object")
    return person_from_mapping(person_id, mapping)


def dimensions_of(templates: Sequence[StoredTemplate]) -> int | None:
    """How many numbers each of these templates of one space has; None for no template. Raises
    GalleryError where they differ."""
    found = {len(item.template.codes) for item in templates}
    if len(found) > 1:
        raise GalleryError(f"templates of one space with {sorted(found)} numbers")
    return found.pop() if found else None


@cache
def _packed(width: int) -> np.dtype[Any]:
    return np.dtype(
        [("created_s", "<f8"), ("quality", "<f4"), ("scale", "<f4"), ("codes", "i1", (width,))]
    )


def encode_templates(templates: Iterable[StoredTemplate]) -> bytes:
    """Row content: a format byte, where a template has not 128 numbers how many, then for each
    template 16 bytes and a byte a number. Raises GalleryError where they differ in that."""
    items = list(templates)
    width = dimensions_of(items) or DIMENSIONS
    packed = np.zeros(len(items), dtype=_packed(width))
    for row, item in zip(packed, items, strict=True):
        row["created_s"] = item.created_s
        row["quality"] = item.quality
        row["scale"] = item.template.scale
        row["codes"] = item.template.codes
    head = TEMPLATES_FORMAT if width == DIMENSIONS else _WIDE_FORMAT + width.to_bytes(2, "little")
    return head + packed.tobytes()


def packed_templates(content: bytes | bytearray) -> NDArray[Any]:
    """The structured rows (created_s, quality, scale, codes) of a templates row, without a copy;
    raises GalleryError when it is no such content."""
    start, width = 1, DIMENSIONS
    if content[:1] == _WIDE_FORMAT:
        start, width = 3, int.from_bytes(content[1:3], "little")
    try:
        kind = _packed(check_dimensions(width))
    except ValueError as error:
        raise GalleryError(f"the row holds no templates: {error}") from error
    if (
        content[:1] not in (TEMPLATES_FORMAT, _WIDE_FORMAT)
        or (len(content) - start) % kind.itemsize
    ):
        raise GalleryError("the row holds no templates of a known format")
    return np.frombuffer(content, dtype=kind, offset=start)


def decode_templates(content: bytes) -> tuple[StoredTemplate, ...]:
    """The inverse of `encode_templates`; raises GalleryError."""
    return tuple(
        make_template(
            row["codes"], float(row["scale"]), float(row["quality"]), float(row["created_s"])
        )
        for row in packed_templates(content)
    )


def make_template(
    codes: NDArray[np.int8], scale: float, quality: float, created_s: float
) -> StoredTemplate:
    """From its parts (int8 `(d,)`); raises GalleryError when they cannot be a template."""
    try:
        return StoredTemplate(Template(codes, np.float32(scale)), quality, created_s)
    except ValueError as error:
        raise GalleryError(str(error)) from error


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(mapping: dict[str, Any], name: str) -> str | None:
    value = mapping.get(name)
    if value is not None and not isinstance(value, str):
        raise GalleryError(f"{name} is not a text")
    return value


def _number(mapping: dict[str, Any], name: str, default: float) -> float:
    value = mapping.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GalleryError(f"{name} is not a number")
    return float(value)


def _check_text(what: str, text: str | None, limit: int) -> None:
    if text is None:
        return
    if not text.strip() or not text.isprintable() or len(text) > limit:
        raise GalleryError(f"a {what} has 1 to {limit} printable characters, not {text!r}")
