"""What a device refused, counted by topic and reason, for its report and the log."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final, cast

from edgeface.contract.gallery_report import MAX_REFUSALS, Reason, Refusal
from edgeface.fleet.protocol.terms import RefusedError

_log = logging.getLogger(__name__)
_MAX_TOPIC: Final = 256
_MAX_DETAIL: Final = 500
"""Characters, all ASCII: so many details of so many bytes fit into one report."""


class Refusals:
    """The latest `MAX_REFUSALS` kinds. Each reason is logged once for each kind of topic."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Reason], Refusal] = {}
        self._told: set[tuple[str, Reason]] = set()
        self.total = 0
        """Messages refused since the start."""

    @property
    def listed(self) -> tuple[Refusal, ...]:
        """Oldest first."""
        return tuple(self._found.values())

    def add(self, topic: str, error: RefusedError, now: datetime) -> None:
        """Count one message."""
        self.total += 1
        topic, reason = topic[:_MAX_TOPIC], cast("Reason", error.reason)
        key = (topic, reason)
        before = self._found.pop(key, None)
        self._found[key] = Refusal(
            topic=topic,
            reason=reason,
            detail=str(error).encode("ascii", "backslashreplace").decode()[:_MAX_DETAIL],
            count=1 if before is None else before.count + 1,
            last_at=now,
        )
        if len(self._found) > MAX_REFUSALS:
            del self._found[next(iter(self._found))]
        kind = (_kind(topic), reason)
        if kind not in self._told:
            self._told.add(kind)
            _log.warning(
                "%s refused (%s): %s; more of this kind are only counted", topic, reason, error
            )


def _kind(topic: str) -> str:
    """`person`, `bucket`, `manifest` or `freshness`."""
    parts = topic.split("/")
    return parts[-2] if parts[-2:-1] in (["person"], ["bucket"]) else parts[-1]
