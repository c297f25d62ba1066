"""The good crops of one face, collected for one request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.clock import NS
from edgeface.contract.answers import Seen
from edgeface.contract.event import Pad
from edgeface.recognition.alignment import align
from edgeface.recognition.pipeline import Sight
from edgeface.recognition.quality import Quality
from edgeface.recognition.values import Embedding
from edgeface.service.commanding.admission import Request
from edgeface.service.commanding.peephole import Glance
from edgeface.service.sightings import face_quality, gallery_used, moment_of

_GROWTH: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One good crop."""

    embedding: Embedding
    quality: Quality
    captured_at: datetime
    boottime_ns: int


def take_crop(glance: Glance, sight: Sight) -> Crop:
    """Cut out and embed a face that passed the quality gate."""
    assert sight.quality is not None
    image = align(glance.frame.image, sight.face.landmarks)
    embedding = np.asarray(glance.embedder.embed([image])[0], dtype=np.float32)
    return Crop(embedding, sight.quality, glance.frame.captured_at, glance.frame.boottime_ns)


class Evidence:
    """Holds the best crops of one person. Somebody else in their place begins it anew."""

    def __init__(self, best_frames: int, same_track_min: float) -> None:
        self.crops: list[Crop] = []
        self.good = 0
        """Good crops of this person, whether or not they are kept."""
        self._best_frames = best_frames
        self._same_min = same_track_min
        self._track_id: int | None = None

    def is_another(self, crop: Crop, track_id: int) -> bool:
        """Whether the crop shows somebody else than those that are held."""
        if not self.crops:
            return False
        return track_id != self._track_id or not self._alike(crop.embedding)

    def add(self, crop: Crop, track_id: int) -> bool:
        """Take a crop; False when it shows somebody else, and those before were forgotten."""
        another = self.is_another(crop, track_id)
        if another:
            self.crops, self.good = [], 0
        self._track_id = track_id
        self.good += 1
        self.crops.append(crop)
        if len(self.crops) > self._best_frames:
            self.crops.remove(min(self.crops, key=lambda kept: kept.quality.weight))
        return not another

    @property
    def best(self) -> Quality | None:
        """The quality of the best crop."""
        return max((crop.quality for crop in self.crops), key=lambda q: q.weight, default=None)

    def embeddings(self) -> NDArray[np.float32]:
        """float32 `(k, 128)`."""
        rows = [crop.embedding for crop in self.crops]
        return np.stack(rows) if rows else np.zeros((0, 128), dtype=np.float32)

    def weights(self) -> NDArray[np.float32]:
        """float32 `(k,)`, not all zero."""
        weights = np.array([crop.quality.weight for crop in self.crops], dtype=np.float32)
        return weights if weights.any() else np.ones_like(weights)

    def _alike(self, embedding: Embedding) -> bool:
        mean = self.weights() @ self.embeddings()
        length = float(np.linalg.norm(mean))
        return length > 0 and float(mean @ embedding) / length >= self._same_min


class Looks:
    """When evidence is put to the test: at `min_agreeing` good crops of one person, then at twice
    as many each time; `max_looks` times at most in one request, whoever comes and goes, and
    whatever the scores are."""

    def __init__(self, min_agreeing: int, max_looks: int) -> None:
        self._first = self._next = min_agreeing
        self._used = 0
        self._max = max_looks
        self._looked_at = 0

    @property
    def exhausted(self) -> bool:
        """No look is left."""
        return self._used >= self._max

    def begin_anew(self) -> None:
        """Somebody else is there; the looks that were used stay used."""
        self._next, self._looked_at = self._first, 0

    def due(self, good: int, *, last: bool) -> bool:
        """Whether to look now, at `good` crops; uses a look up. The last frame looks at what is
        new."""
        enough = self._first if last else self._next
        if self.exhausted or good < enough or good <= self._looked_at:
            return False
        self._used += 1
        self._looked_at = good
        self._next = good * _GROWTH
        return True


def seen(
    glance: Glance,
    request: Request,
    *,
    frames: int,
    agreeing: int,
    quality: Quality | None,
    captured_at: datetime | None,
) -> Seen:
    """What an answer says about the frames it rests on. `captured_at` is that of the newest, of a
    name the newest that names the person; None: that of the glance."""
    setting = glance.setting
    waited_ns = max(0, setting.now_boottime_ns - request.received_boottime_ns)
    return Seen(
        captured_at=captured_at or glance.frame.captured_at,
        decided_at=moment_of(setting.now_utc_ns),
        clock_synced=setting.clock_synced,
        frames=frames,
        agreeing=agreeing,
        quality=face_quality(quality),
        pad=Pad(),
        gallery=gallery_used(glance.gallery),
        models=setting.models,
        accelerator=setting.accelerator,
        latency_ms=waited_ns * 1000 // NS,
    )
