"""How long the gallery may be used: what manifest and freshness have promised, and the grace time.

A gallery is fresh until its freshness message ends, then stale for the grace time, then expired. A
promise made for an older manifest holds on for the one that replaced it until that has one of its
own: the newer manifest is at least as fresh. None of them lives longer than the manifest itself.
"""

from __future__ import annotations

from edgeface.fleet.protocol.freshness import Freshness
from edgeface.fleet.protocol.manifest import Manifest


class Lifetime:
    """Times are UTC epoch seconds, effective time."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._promised_s = 0.0
        self._end_s: float | None = None

    def begin(self, manifest: Manifest) -> None:
        """A verified manifest is the current one."""
        self._promised_s = max(self._promised_s, manifest.header.issued)
        self._end_s = manifest.header.expires

    def promise(self, freshness: Freshness) -> bool:
        """Verified freshness of the current manifest; False when it promises nothing more."""
        more = freshness.expires_s > self._promised_s
        self._promised_s = max(self._promised_s, freshness.expires_s)
        return more

    @property
    def fresh_until_s(self) -> float | None:
        """None before the first manifest."""
        return None if self._end_s is None else min(self._promised_s, self._end_s)

    @property
    def good_until_s(self) -> float | None:
        """Afterwards nobody is recognised."""
        fresh_s = self.fresh_until_s
        return None if fresh_s is None else fresh_s + self._grace_s

    def fresh(self, now_s: float) -> bool:
        """Whether the gallery is promised to be current."""
        return self.fresh_until_s is not None and now_s < self.fresh_until_s

    def good(self, now_s: float) -> bool:
        """Whether it may be used at all."""
        return self.good_until_s is not None and now_s < self.good_until_s
