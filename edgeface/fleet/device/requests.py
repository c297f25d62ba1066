"""Which retained messages are asked for: at most so many at once, again when one does not come.

To ask for a retained message is to subscribe to exactly its topic. Nothing says that there is none,
so a request that stays without answer while nothing else arrives is given up and made again later.
"""

from __future__ import annotations

import heapq
from typing import Final, TypeAlias

Key: TypeAlias = int | str
"""A bucket's number or a person's id."""

MAX_OUTSTANDING: Final = 200
ANSWER_S: Final = 5.0
"""A request is given up when nothing at all has come for so long."""
LONGEST_S: Final = 60.0
"""... or after this, whatever else comes."""
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 300.0


class Requests:
    """Used by one thread; times are monotonic seconds."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, Key]] = []
        """A heap: not before when, a number of its own, what."""
        self._queued: dict[Key, int] = {}
        """The number in `_queue` that holds; others of the same key do not count any longer."""
        self._wanted: dict[Key, int] = {}
        """How often each was asked for in vain."""
        self.outstanding: dict[Key, float] = {}
        """Asked for and not answered, and since when."""
        self._released: list[Key] = []
        """Those that were outstanding: to be unsubscribed."""
        self._number = 0
        self._last_s = 0.0

    def want(self, key: Key) -> None:
        """Ask for it as soon as there is room; nothing happens when it is wanted already."""
        if key not in self._wanted:
            self._wanted[key] = 0
            self._put(key, 0.0)

    def drop(self, key: Key) -> None:
        """It is not wanted any more."""
        self._wanted.pop(key, None)
        self._queued.pop(key, None)
        self._release(key)

    def released(self) -> list[Key]:
        """What is not being asked for any longer, to be unsubscribed; each once."""
        found = [key for key in self._released if key not in self.outstanding]
        self._released.clear()
        return found

    def restart(self) -> None:
        """A new connection: nothing has been asked for on it."""
        self.outstanding.clear()
        self._released.clear()
        self.hurry()

    def hurry(self) -> None:
        """There is a new manifest: no pauses from before."""
        self._queue.clear()
        for key in self._wanted:
            self._wanted[key] = 0
            if key not in self.outstanding:
                self._put(key, 0.0)

    def arrived(self, key: Key, now_s: float) -> bool:
        """Something came on the topic; True when it had been asked for. It stays wanted, and is
        asked for again after a pause, until `drop`."""
        self._last_s = now_s
        if not self._release(key):
            return False
        self._again(key, now_s)
        return True

    def overdue(self, now_s: float) -> list[Key]:
        """Requests that are given up for now; each is made again later."""
        if not self.outstanding:
            return []
        silent_s = now_s - self._last_s
        found = [
            key
            for key, sent_s in self.outstanding.items()
            if (now_s - sent_s >= ANSWER_S and silent_s >= ANSWER_S) or now_s - sent_s >= LONGEST_S
        ]
        for key in found:
            self._release(key)
            self._again(key, now_s)
        return found

    def due(self, now_s: float) -> list[Key]:
        """What to subscribe to now."""
        found: list[Key] = []
        while (
            self._queue and self._queue[0][0] <= now_s and len(self.outstanding) < MAX_OUTSTANDING
        ):
            _, number, key = heapq.heappop(self._queue)
            if self._queued.get(key) == number:
                del self._queued[key]
                self.outstanding[key] = now_s
                found.append(key)
        return found

    def attempts(self, key: Key) -> int:
        """How often it was asked for in vain."""
        return self._wanted.get(key, 0)

    def _release(self, key: Key) -> bool:
        found = self.outstanding.pop(key, None) is not None
        if found:
            self._released.append(key)
        return found

    def _put(self, key: Key, not_before_s: float) -> None:
        self._number += 1
        self._queued[key] = self._number
        heapq.heappush(self._queue, (not_before_s, self._number, key))

    def _again(self, key: Key, now_s: float) -> None:
        if key not in self._wanted:
            return
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(16, self._wanted[key]))
        self._wanted[key] += 1
        self._put(key, now_s + pause_s)
