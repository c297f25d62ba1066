"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from typing import Final

RECONNECT_CAP_S: Final = 10.0
"""The longest wait for a broker, which at a door people wait for as well. Fifty devices that share
a broker try it about ten times a second together while it is away."""


class Backoff:
    """Full jitter: each wait is random between a floor and a ceiling that doubles."""

    def __init__(
        self,
        *,
        floor_s: float = 0.1,
        base_s: float = 0.5,
        cap_s: float = RECONNECT_CAP_S,
        rng: random.Random | None = None,
    ) -> None:
        self._floor_s = floor_s
        self._base_s = base_s
        self._cap_s = cap_s
        self._rng = rng or random.Random()
        self._failures = 0

    def next_s(self) -> float:
        """How long to wait after one more failure."""
        ceiling_s = min(self._cap_s, self._base_s * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return self._rng.uniform(self._floor_s, max(self._floor_s, ceiling_s))

    def reset(self) -> None:
        """A connection has proved good."""
        self._failures = 0
