"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

RECONNECT_CAP_S: Final = 10.0
"""The longest wait for a broker, which at a door people wait for as well. Fifty devices that share
a broker try it about ten times a second together while it is away."""


STABLE_S: Final = 10.0
"""A connection that stood so long was a good one: the back-off begins anew."""


class Backoff:
    """Full jitter: each wait is random between a floor and a limit that doubles with each failure
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015)."""

    def __init__(
        self,
        *,
        floor_s: float = 0.1,
        base_s: float = 0.5,
        cap_s: float = RECONNECT_CAP_S,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`draw(low, high)` picks the wait; by default every one is as likely."""
        self._floor_s = floor_s
        self._base_s = base_s
        self._cap_s = cap_s
        self._draw = draw
        self.failures = 0
        """Since the last attempt that proved good."""

    def limit_s(self, failures: int) -> float:
        """The longest wait after so many failures, at least one."""
        doubled_s = self._base_s * 2.0 ** min(failures - 1, 30)
        return max(self._floor_s, min(self._cap_s, doubled_s))

    def after_s(self, failures: int) -> float:
        """How long to wait after so many failures, at least one."""
        return self._draw(self._floor_s, self.limit_s(failures))

    def next_s(self) -> float:
        """How long to wait after one more failure."""
        self.failures += 1
        return self.after_s(self.failures)

    def reset(self) -> None:
        """An attempt has proved good."""
        self.failures = 0
