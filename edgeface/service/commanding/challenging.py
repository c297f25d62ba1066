"""The challenge of one claim: which movements it asks for, and what the person is told."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from edgeface.base.clock import NS
from edgeface.contract.answers import VerifyProgress
from edgeface.recognition.challenge import LENGTH, SEQUENCES, Challenge, Prompt, Step
from edgeface.recognition.liveness import Source
from edgeface.recognition.values import Embedding
from edgeface.service.commanding.evidence import Evidence, embedding_of
from edgeface.service.commanding.peephole import Glance

_WORDS: Final[dict[Prompt, str]] = {
    "look_left": "turn the head a little to the left, until the next prompt",
    "look_right": "turn the head a little to the right, until the next prompt",
    "come_closer": "come a little closer, until the next prompt",
    "move_back": "move a little back, until the next prompt",
}
"""By the person's own left and right."""

Choose = Callable[[Sequence[tuple[Step, ...]]], tuple[Step, ...]]


class Challenging:
    """It waits until the person of the claim is known by sight: `begin`."""

    def __init__(
        self,
        tell: Callable[[VerifyProgress], None],
        same_min: float,
        choose: Choose = secrets.choice,
    ) -> None:
        """`tell` sends progress; it never waits. `same_min` is the least cosine of two looks of
        one person. `choose` draws the sequence."""
        self._tell = tell
        self._same_min = same_min
        self._steps: Final = choose(SEQUENCES)
        self._challenge: Challenge | None = None
        self._told: tuple[Prompt, int] | None = None

    @property
    def begun(self) -> bool:
        """Whether there is somebody to put it to."""
        return self._challenge is not None

    @property
    def source(self) -> Source:
        """The evidence by now."""
        if self._challenge is None:
            detail = {"done": 0, "reason": "not_begun"}
            return Source("challenge", None, None, detail, missing=True)
        return self._challenge.source

    def begin(self, evidence: Evidence, track_id: int) -> None:
        """Put it to the person whose crops these are."""
        mean = evidence.weights() @ evidence.embeddings()
        reference: Embedding = np.asarray(mean / np.linalg.norm(mean), np.float32)
        self._challenge = Challenge(self._steps, reference, track_id, self._same_min)

    def see(self, glance: Glance) -> bool:
        """Take a frame, and tell what is to be done next where that has changed; whether it is
        over."""
        challenge = self._challenge
        if challenge is None:
            self._say("look_into_camera", 0)
            return False
        sight = glance.sights[0] if glance.sights else None
        if sight is not None and sight.gate is None:
            sight = replace(sight, embedding=embedding_of(glance, sight))
        now_s = glance.now.boottime_ns / NS
        challenge.observe(sight, glance.frame.boottime_ns / NS, now_s)
        if not challenge.over:
            self._say(challenge.prompt, challenge.done)
        return challenge.over

    def _say(self, prompt: Prompt, done: int) -> None:
        if self._told == (prompt, done):
            return
        self._told = (prompt, done)
        words = _WORDS.get(prompt, "go back to where you stood, and look into the camera")
        if prompt == "look_into_camera" and done == 0:
            words = "look into the camera"
        self._tell(VerifyProgress(done=done, wanted=LENGTH, prompt=prompt, message=words))
