"""Batches for the embedder: faces of both pools, views made ahead, lessons used several times."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training.augment import Image
from models.training.faces import POOLS, load
from models.training.teacher import Lesson, Teacher
from models.training.views import TURNED, random_view


@dataclass(frozen=True)
class LessonPlan:
    """What a batch is made of. `diverse` is the second pool's share, `turned` that of turned heads;
    each lesson is used `uses` times, from a ring of `ring`; `held_out` faces are never trained on.
    """

    batch: int = 64
    diverse: float = 0.4
    strength: float = 1.0
    turned: float = TURNED
    uses: int = 3
    ring: int = 24
    held_out: int = 1024


class Classroom:
    """Views of the pools and the teacher who looks at them."""

    def __init__(self, cache: Path, xml: Path, plan: LessonPlan, threads: int = 1) -> None:
        """Raises FileNotFoundError before `prepare`, ModelError for another teacher's file."""
        self._first, self._diverse = (load(cache, name, in_memory=False) for name in POOLS)
        self._order = mixed_order(len(self._first))
        self._plan = plan
        self._teacher = Teacher(cache, xml, plan.batch, threads)

    def _views(self, seed: int) -> Iterator[list[Image]]:
        """Endless batches of training views, made ahead in a thread."""
        plan, rng = self._plan, np.random.default_rng(seed)
        ready: queue.Queue[list[Image]] = queue.Queue(maxsize=3)

        def face() -> Image:
            if len(self._diverse) and rng.random() < plan.diverse:
                return np.asarray(self._diverse.images[rng.integers(len(self._diverse))])
            row = rng.integers(plan.held_out, len(self._order))
            return np.asarray(self._first.images[self._order[row]])

        def produce() -> None:
            while True:
                ready.put(
                    [
                        random_view(rng, face(), plan.strength, plan.turned)
                        for _ in range(plan.batch)
                    ]
                )

        threading.Thread(target=produce, name="views", daemon=True).start()
        while True:
            yield ready.get()

    def lessons(self, seed: int) -> Iterator[Lesson]:
        """For ever: a new lesson every `uses` steps, an older one of the ring in between."""
        plan, rng = self._plan, np.random.default_rng(seed + 1)
        ring: list[Lesson] = []
        for views in self._views(seed):
            fresh = self._teacher.lesson(views)
            if len(ring) < plan.ring:
                ring.append(fresh)
            else:
                ring[int(rng.integers(plan.ring))] = fresh
            yield fresh
            for _ in range(plan.uses - 1):
                yield ring[int(rng.integers(len(ring)))]

    def held_out(self, most: int, turned: bool = False) -> list[Lesson]:
        """Up to `most` lessons of faces never trained on: plain, or all with turned heads."""
        batch, lessons = self._plan.batch, []
        rng = np.random.default_rng(9)
        for start in range(0, self._plan.held_out - batch + 1, batch)[:most]:
            rows = self._order[start : start + batch]
            faces = [np.asarray(self._first.images[row]) for row in rows]
            lessons.append(
                self._teacher.lesson([random_view(rng, f, 0.0, float(turned)) for f in faces])
            )
        return lessons


def mixed_order(count: int) -> NDArray[np.intp]:
    """A fixed random order of a pool's rows, so that those held out are a mix of all sources."""
    return np.random.default_rng(0).permutation(count)
