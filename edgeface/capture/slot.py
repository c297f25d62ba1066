"""A hand-over of size one in which the latest item wins."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from edgeface.base.errors import ClosedError, FrameTimeoutError

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Holds at most one item; a new one replaces the old, which is counted as dropped.

    `close()` wakes everybody who waits. An item that is there when the slot is closed can still
    be taken, so that the end of a finite source loses nothing.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[T] = []
        self._closed = False
        self.drops = 0
        """Items replaced before anybody took them."""

    def put(self, item: T) -> None:
        """Hand in an item without waiting. Raises ClosedError."""
        with self._changed:
            self._refuse_if_closed()
            self.drops += len(self._items)
            self._store(item)

    def put_when_free(self, item: T, timeout_s: float) -> bool:
        """Hand in an item once the slot is empty, for sources that must not lose a frame.

        Returns False, and keeps nothing, when it was not emptied in time. Raises ClosedError.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items, max(0.0, timeout_s))
            self._refuse_if_closed()
            if self._items:
                return False
            self._store(item)
            return True

    def get(self, timeout_s: float) -> T:
        """Take the item, waiting for one. Raises FrameTimeoutError or ClosedError."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, max(0.0, timeout_s))
            if self._items:
                item = self._items.pop()
                self._changed.notify_all()
                return item
            self._refuse_if_closed()
            raise FrameTimeoutError(f"nothing was handed over within {timeout_s:g} s")

    def close(self) -> None:
        """Refuse new items and wake everybody who waits; safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _store(self, item: T) -> None:
        self._items[:] = [item]
        self._changed.notify_all()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ClosedError("the slot is closed")
