"""Keeps one person in two overlapping tracks from being announced twice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Span:
    started_s: float
    ended_s: float | None
    parent: int | None


class CoolDown:
    """Holds back a name within `cool_down_s` of the same name on a related track.

    Related is a track that was there at the same time, or that was split from it. Somebody who
    leaves and comes back is a new visit and is announced. Not thread-safe; times are seconds of one
    clock.
    """

    def __init__(self, cool_down_s: float) -> None:
        self._cool_down_s = cool_down_s
        self._spans: dict[int, _Span] = {}
        self._announced: dict[str, list[tuple[int, float]]] = {}
        """By person: on which track, and when."""
        self.held_back = 0
        """How many announcements it has held back."""

    def open(self, track_id: int, time_s: float, split_from: int | None = None) -> None:
        """A track has begun; `split_from` names the track whose place it took."""
        self._spans[track_id] = _Span(time_s, None, split_from)

    def close(self, track_id: int, time_s: float) -> None:
        """A track has ended; announce its last decision before."""
        span = self._spans.get(track_id)
        if span is not None:
            span.ended_s = time_s
        self._forget(time_s)

    def admit(self, track_id: int, person_id: str, time_s: float) -> bool:
        """Whether the name may be announced now; a True is remembered, a False counted."""
        self._forget(time_s)
        announced = self._announced.setdefault(person_id, [])
        # What `_forget` has left is recent.
        if any(self._related(last_id, track_id) for last_id, _ in announced):
            self.held_back += 1
            return False
        announced.append((track_id, time_s))
        return True

    def _related(self, first: int, second: int) -> bool:
        if first == second:
            return True
        if self._descends(first, second) or self._descends(second, first):
            return True
        a, b = self._spans.get(first), self._spans.get(second)
        if a is None or b is None:
            return False
        a_before_b = a.ended_s is not None and a.ended_s <= b.started_s
        b_before_a = b.ended_s is not None and b.ended_s <= a.started_s
        return not a_before_b and not b_before_a

    def _descends(self, track_id: int, ancestor: int) -> bool:
        span = self._spans.get(track_id)
        while span is not None and span.parent is not None:
            if span.parent == ancestor:
                return True
            span = self._spans.get(span.parent)
        return False

    def _forget(self, now_s: float) -> None:
        """Drop what can no longer hold anything back, so that a month costs no memory."""
        for person_id in list(self._announced):
            announced = self._announced[person_id]
            recent = [last for last in announced if now_s - last[1] < self._cool_down_s]
            if recent:
                self._announced[person_id] = recent
            else:
                del self._announced[person_id]
        # Whoever was announced lately, and all that was split from it, ended lately or not at all.
        for track_id, span in list(self._spans.items()):
            if span.ended_s is not None and now_s - span.ended_s >= self._cool_down_s:
                del self._spans[track_id]
