"""Why something from the broker is not taken into the gallery."""

from __future__ import annotations

from typing import get_args

from edgeface.base.errors import ContractError
from edgeface.contract.gallery_report import Reason


class RefusedError(ContractError):
    """Raised when bytes from the broker are refused; `reason` is one of `Reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        assert reason in get_args(Reason)
