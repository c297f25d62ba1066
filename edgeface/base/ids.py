"""Ids: of sites and devices, of people, and of events.

Person ids are opaque on the wire: `p_` and ten random base32 characters (50 random bits). The
alphabet is Crockford's (https://www.crockford.com/base32.html) in lower case: digits and letters
without i, l, o and u, so that an id read aloud or off a screen is not mistaken.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable
from typing import Final

from edgeface.base.errors import BadIdError, GalleryError

ID: Final = re.compile(r"[a-z0-9-]{1,64}")
"""Form of site and device ids."""
RESERVED: Final = frozenset({"gallery"})
"""No device may have this id: `<site>/gallery/` holds the central gallery."""

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
EVENT_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""A UUIDv7."""
PERSON_ID: Final = re.compile(r"p_[0-9a-hjkmnp-tv-z]{10}")


def check_id(kind: str, text: str) -> str:
    """`text` itself; raises BadIdError when it cannot be a site or device id.

    `kind` is `site` or `device`; only devices collide with the reserved names.
    """
    if ID.fullmatch(text) is None:
        raise BadIdError(f"{kind} {text!r}: 1 to 64 of a-z, 0-9 and - are allowed")
    if kind == "device" and text in RESERVED:
        raise BadIdError(f"device {text!r}: this name is reserved")
    return text


def new_person_id(taken: Callable[[str], bool] = lambda _: False) -> str:
    """A fresh random id for which `taken` is false."""
    while True:
        person_id = "p_" + "".join(secrets.choice(ALPHABET) for _ in range(10))
        if not taken(person_id):
            return person_id


def is_person_id(text: str) -> bool:
    """Whether `text` has the form of a person id."""
    return PERSON_ID.fullmatch(text) is not None


def check_person_id(text: str) -> str:
    """`text` itself; raises GalleryError when it has not the form of a person id."""
    if not is_person_id(text):
        raise GalleryError(
            f"{text!r} is no person id: it has to be p_ and ten of the characters {ALPHABET} "
            "(lower case, no i, l, o, u)"
        )
    return text


def time_of_event(event_id: str) -> float:
    """UTC epoch seconds of when an event got this id; raises BadIdError for what is none."""
    if EVENT_ID.fullmatch(event_id) is None:
        raise BadIdError(
            f"{event_id!r} is no id of an event, such as 0199f3c2-7d1e-7a3b-9c4d-5e6f708192a3"
        )
    return int(event_id.replace("-", "")[:12], 16) / 1000


def uuid7(utc_ns: int) -> str:
    """A new UUIDv7 (RFC 9562, section 5.7) in its usual text form: 48 bits of Unix milliseconds,
    then 74 random bits; later milliseconds sort after earlier ones."""
    milliseconds = (utc_ns // 1_000_000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
