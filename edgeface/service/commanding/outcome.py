"""What becomes of a request: data, or a refusal with a code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from edgeface.contract.answers import Code, Sealed


class CommandRefusedError(Exception):
    """Raised when a command cannot be done; becomes the error of its answer."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


Outcome: TypeAlias = Callable[[], object]
"""Called by the commands' thread: makes the data of the answer, or raises CommandRefusedError.
What is slow (sealing, encoding) is done there and not in the thread of the models."""
Seal: TypeAlias = Callable[[bytes], Sealed]
"""Seals content to the administrator, as the answer to one request."""


def refusing(code: Code, message: str) -> Outcome:
    """An outcome that is a refusal."""

    def raise_it() -> object:
        raise CommandRefusedError(code, message)

    return raise_it
