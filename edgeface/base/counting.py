"""Numbers of things as people write them."""

from __future__ import annotations


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 photo`, `2 photos`; `things` is the plural where it is not made with an s."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def none_usable(number: int, thing: str) -> str:
    """`the photo cannot be used`, `none of 2 photos can be used`."""
    one = f"the {thing} cannot be used"
    return one if number == 1 else f"none of {counted(number, thing)} can be used"


def people(number: int) -> str:
    """`1 person`, `2 people`."""
    return counted(number, "person", "people")
