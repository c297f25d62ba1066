"""The good crops of one face, collected for one request."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np

from edgeface.base.clock import NS
from edgeface.contract.answers import Seen
from edgeface.recognition.alignment import align
from edgeface.recognition.assessment import try_scores
from edgeface.recognition.crops import BestCrops, Crop
from edgeface.recognition.liveness import Liveness
from edgeface.recognition.pipeline import Sight
from edgeface.recognition.quality import Quality
from edgeface.recognition.values import Embedding
from edgeface.service.commanding.admission import Request
from edgeface.service.commanding.peephole import Glance, View
from edgeface.service.sightings import face_quality, gallery_used, pad_of

_GROWTH: Final = 2


def take_crop(view: View, sight: Sight) -> Crop:
    """A face that passed the quality gate, cut out and embedded where the pipeline has not."""
    assert sight.quality is not None
    liveness = sight.liveness
    if liveness is None and view.scorer is not None:
        (liveness,), _ = try_scores(view.scorer, view.frame.image, [sight.face])
    return Crop(embedding_of(view, sight), sight.quality, view.moment, liveness)


def embedding_of(view: View, sight: Sight) -> Embedding:
    """The pipeline's, or made now where it has made none."""
    if sight.embedding is not None:
        return sight.embedding
    image = align(view.frame.image, sight.face.landmarks, view.embedder.alignment)
    return np.asarray(view.embedder.embed([image])[0], dtype=np.float32)


class Evidence(BestCrops):
    """Of one person at a time: somebody else in their place begins it anew."""

    _track_id = 0

    def is_another(self, crop: Crop, track_id: int) -> bool:
        """Whether the crop shows somebody else than those that are held."""
        if not self.kept:
            return False
        return track_id != self._track_id or not self.shows(crop.embedding)

    def take(self, crop: Crop, track_id: int) -> bool:
        """Take a crop; False when it shows somebody else, and those before were forgotten."""
        another = self.is_another(crop, track_id)
        if another:
            self.forget()
        self._track_id = track_id
        self.add(crop)
        return not another


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
    liveness: Liveness,
) -> Seen:
    """What an answer says about the frames it rests on. `captured_at` is that of the newest, of a
    name the newest that names the person; None: that of the glance."""
    now = glance.now
    waited_ns = max(0, now.boottime_ns - request.received_boottime_ns)
    return Seen(
        captured_at=captured_at or glance.frame.captured_at,
        decided_at=now.decided_at,
        clock_synced=now.clock_synced,
        frames=frames,
        agreeing=agreeing,
        quality=face_quality(quality),
        pad=pad_of(liveness),
        gallery=gallery_used(glance.gallery),
        models=now.models,
        accelerator=now.accelerator,
        latency_ms=waited_ns * 1000 // NS,
    )
