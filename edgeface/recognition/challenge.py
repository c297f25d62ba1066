"""Does the person do what they are asked to, now? A random sequence of movements, prompted one by
one, is evidence of a live person that no photograph gives, and no film that was made before.

The movements are those that the five landmarks carry: a turn to the person's own left or right, by
the yaw, and a step or lean to and fro, by the size. A nod is left out: of a head tilted by 20
degrees they show some five, which is the noise of people who look ahead. So is a blink.

Before each movement the person looks ahead and holds still, where they stood at the beginning; how
they look then is what the movement is measured from. It has to begin after the prompt, no sooner
than a person can react, and in time. Another one is an attack, as is another face; none is no
answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from edgeface.recognition.liveness import Source
from edgeface.recognition.pipeline import Sight
from edgeface.recognition.values import Embedding, Landmarks

Step: TypeAlias = Literal["look_left", "look_right", "come_closer", "move_back"]
Prompt: TypeAlias = Literal[
    "look_into_camera", "look_left", "look_right", "come_closer", "move_back"
]
"""Left and right are the person's own, before a camera that does not mirror."""

LENGTH: Final = 3
SEQUENCES: Final[tuple[tuple[Step, ...], ...]] = tuple(
    steps
    for steps in itertools.product(get_args(Step), repeat=LENGTH)
    if all(one != other for one, other in itertools.pairwise(steps))
    and not {"look_left", "look_right"}.isdisjoint(steps)
)
"""What may be asked, each as likely as any other: no step twice in a row, and a turn in each, as a
photograph can be brought closer. A film that was made before is right for one of them."""

TURN_DEG: Final = 20.0
"""So far from where they looked a head is turned. The same person's embedding still has a cosine of
0.5 then."""
AHEAD_DEG: Final = 15.0
"""Who looks ahead is turned by less, at the beginning from the camera and later from then."""
KNOWN_DEG: Final = 35.0
"""Further from the camera an embedding does not say any more who it is."""
GROWTH: Final = 1.2
"""Who has come closer is so many times as large; who has moved back is smaller by it."""
BACK_GROWTH: Final = 1.12
"""Who is back where they stood is larger or smaller than there by less."""
STILL_DEG: Final = 12.0
STILL_GROWTH: Final = 1.08
"""Who holds still varies by less than these."""
STILL_S: Final = 0.4
"""So long they do, in `FRAMES` frames at least."""
HELD_S: Final = 0.2
"""So long a movement is held, in `FRAMES` frames at least."""
FRAMES: Final = 3
REACTION_S: Final = 0.2
"""Nobody reacts to a prompt sooner: what is shown before is no answer to it."""
STEP_S: Final = 4.0
"""A prompt is answered within this time."""
_ROUNDING_S: Final = 1e-6

Reason: TypeAlias = Literal["wrong_step", "another_track", "another_person", "no_response"]


@dataclass(frozen=True, slots=True)
class _Sample:
    """How a face is seen in one frame."""

    time_s: float
    yaw_deg: float
    size_px: float
    likeness: float | None
    """To the person, where an embedding can say."""


@dataclass(slots=True)
class _Held:
    """A movement that is being held."""

    step: Step
    early: bool
    """It was there before anybody could have reacted."""
    looks: list[_Sample] = field(default_factory=list)

    @property
    def long_enough(self) -> bool:
        """Whether it is a movement and no flicker."""
        lasted_s = self.looks[-1].time_s - self.looks[0].time_s
        return len(self.looks) >= FRAMES and lasted_s >= HELD_S - _ROUNDING_S


class Challenge:
    """One sequence, put to one person. Not thread-safe; times are seconds of the frames' clock."""

    def __init__(
        self, steps: Sequence[Step], reference: Embedding, track_id: int, same_min: float
    ) -> None:
        """`reference` is how the person looks from the front, of unit length, and `same_min` the
        least cosine to it that the same person has when turned."""
        self.steps: Final = tuple(steps)
        self.prompt: Prompt = "look_into_camera"
        """What the person is asked to do now."""
        self.done = 0
        """Steps that were answered."""
        self._reference = reference
        self._track_id = track_id
        self._same_min = same_min
        self._since_s: float | None = None
        self._ahead: list[_Sample] = []
        """The newest looks ahead."""
        self._first: _Sample | None = None
        """The first look ahead: where they stood."""
        self._from: _Sample | None = None
        """What the movement is measured from."""
        self._held: _Held | None = None
        self._reactions_s: list[float] = []
        self._likenesses: list[float] = []
        self._reason: Reason | None = None

    @property
    def over(self) -> bool:
        """Whether nothing changes any more."""
        return self._reason is not None or self.done == len(self.steps)

    @property
    def source(self) -> Source:
        """The evidence: live when every step was answered; null as long as it was not, and where
        nobody has answered."""
        passed = self.done == len(self.steps)
        live = True if passed else None if self._reason in (None, "no_response") else False
        detail = {
            "steps": list(self.steps),
            "done": self.done,
            "reason": "passed" if passed else self._reason or "not_finished",
            "reaction_s": list(self._reactions_s),
            "likeness": min(self._likenesses, default=None),
        }
        score = None if live is None else float(live)
        return Source("challenge", score, live, detail, missing=live is None)

    def observe(self, sight: Sight | None, time_s: float, now_s: float) -> None:
        """Take the face in a frame captured at `time_s`, None where there is none, with its
        embedding where its crop is good. `now_s` is when a prompt that follows is given."""
        if self.over:
            return
        self._since_s = now_s if self._since_s is None else self._since_s
        if sight is not None and sight.quality is not None:
            if sight.track_id != self._track_id:
                self._reason = "another_track"
                return
            look = self._look(sight, sight.quality.yaw_deg, time_s)
            if self._from is None:
                self._look_ahead(look, now_s)
            else:
                self._move(look, self._from, now_s)
        if not self.over and now_s - self._since_s > STEP_S:
            self._reason = "no_response"

    def _look(self, sight: Sight, yaw_deg: float, time_s: float) -> _Sample:
        likeness = None
        if sight.embedding is not None and abs(yaw_deg) <= KNOWN_DEG:
            likeness = float(self._reference @ sight.embedding)
        return _Sample(time_s, yaw_deg, _size(sight.face.landmarks), likeness)

    def _look_ahead(self, look: _Sample, now_s: float) -> None:
        """Wait until they look ahead and hold still; then the next step is prompted."""
        recent = self._ahead
        recent.append(look)
        while len(recent) > FRAMES and look.time_s - recent[1].time_s >= STILL_S - _ROUNDING_S:
            del recent[0]
        if len(recent) < FRAMES or look.time_s - recent[0].time_s < STILL_S - _ROUNDING_S:
            return
        yaws, sizes = [one.yaw_deg for one in recent], [one.size_px for one in recent]
        now = _Sample(look.time_s, float(np.median(yaws)), float(np.median(sizes)), None)
        if np.ptp(yaws) > STILL_DEG or max(sizes) > STILL_GROWTH * min(sizes):
            return
        if self._first is None:
            back = abs(now.yaw_deg) <= AHEAD_DEG
        else:
            back = _is_where(self._first, now)
        if not back or not self._is_them(recent):
            return
        self._first = self._first or now
        self._from, self._ahead = now, []
        self.prompt, self._since_s = self.steps[self.done], now_s

    def _move(self, look: _Sample, start: _Sample, now_s: float) -> None:
        """Wait until a movement is held; the prompted one answers the step."""
        assert self._since_s is not None
        step = _movement(look, start)
        if step is None:
            if _is_where(start, look):
                self._held = None
            return
        if self._held is None or self._held.step != step:
            self._held = _Held(step, early=look.time_s - self._since_s < REACTION_S)
        self._held.looks.append(look)
        if not self._held.long_enough:
            return
        if step != self.steps[self.done]:
            self._reason = "wrong_step"
        elif not self._held.early and self._is_them(self._held.looks):
            self._reactions_s.append(round(self._held.looks[0].time_s - self._since_s, 3))
            self.done += 1
            self._from = self._held = None
            self.prompt, self._since_s = "look_into_camera", now_s

    def _is_them(self, looks: Sequence[_Sample]) -> bool:
        """Whether these looks show the person; that they show somebody else ends it."""
        known = [look.likeness for look in looks if look.likeness is not None]
        if not known:
            return False
        likeness = round(float(np.mean(known)), 4)
        if likeness >= self._same_min:
            self._likenesses.append(likeness)
            return True
        if len(known) >= FRAMES:
            self._reason = "another_person"
        return False


def _is_where(first: _Sample, now: _Sample) -> bool:
    """Whether they look ahead as at first, from where they stood."""
    back = 1 / BACK_GROWTH < now.size_px / first.size_px < BACK_GROWTH
    return back and abs(now.yaw_deg - first.yaw_deg) <= AHEAD_DEG


def _movement(look: _Sample, start: _Sample) -> Step | None:
    turned_deg, growth = look.yaw_deg - start.yaw_deg, look.size_px / start.size_px
    if abs(turned_deg) >= TURN_DEG:
        return "look_left" if turned_deg > 0 else "look_right"
    if abs(turned_deg) > AHEAD_DEG or 1 / GROWTH < growth < GROWTH:
        return None
    return "come_closer" if growth > 1 else "move_back"


def _size(landmarks: Landmarks) -> float:
    """The landmarks' distance from their center, in pixels."""
    points = np.asarray(landmarks, dtype=np.float64)
    return max(1e-6, float(np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1).mean())))
