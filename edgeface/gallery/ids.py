"""Person ids: opaque on the wire, `p_` and ten random base32 characters (50 random bits).

The alphabet is Crockford's (https://www.crockford.com/base32.html) in lower case: digits and
letters without i, l, o and u, so that an id read aloud or off a screen is not mistaken.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Final

from edgeface.errors import GalleryError

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
PERSON_ID: Final = re.compile(r"p_[0-9a-hjkmnp-tv-z]{10}")


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
