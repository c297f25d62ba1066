"""Why something from the broker is not taken into the gallery."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from edgeface.base.errors import ContractError

Reason: TypeAlias = Literal[
    "bad_signature",
    "unknown_key",
    "rollback",
    "equivocation",
    "expired",
    "foreign_site",
    "foreign_space",
    "wrong_topic",
    "oversized",
    "undecryptable",
    "malformed",
    "wrong_digest",
]
"""`unknown_key`: no pinned key of that id, or one that may not sign this. `rollback`: older than
what is known. `equivocation`: the same number with other content. `wrong_topic`: of another person
or bucket than the topic says. `wrong_digest`: not what the manifest lists."""


class RefusedError(ContractError):
    """Raised when bytes from the broker are refused; `reason` is one of `Reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        assert reason in get_args(Reason)
