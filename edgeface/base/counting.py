"""Numbers of things as people write them."""

from __future__ import annotations


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 photo`, `2 photos`; `things` is the plural where it is not made with an s."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def people(number: int) -> str:
    """`1 person`, `2 people`."""
    return counted(number, "person", "people")
