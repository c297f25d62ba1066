"""A door in miniature at which a command looks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from edgeface.contract.command_requests import Verb
from edgeface.contract.commands import COMMANDS
from edgeface.contract.event import ModelsUsed
from edgeface.recognition.assessment import AssessmentRules
from edgeface.recognition.values import Embedding, Face, LivenessScorer
from edgeface.service.commanding.admission import Address, CommandRefusedError, Outcome, Request
from edgeface.service.commanding.peephole import Examination, Glance, Peephole
from edgeface.service.sightings import Circumstances
from tests.support.doorstep import Scene
from tests.support.people import face, uniform_calibration

USED = ModelsUsed("sha256:" + "a" * 64, "sha256:" + "b" * 64)


def request(verb: Verb, received_s: float, **arguments: Any) -> Request:
    command = COMMANDS[verb].request(
        transaction="transaction-00001",
        session="0123456789abcdef",
        expires_at=datetime(2026, 11, 21, tzinfo=UTC),
        **arguments,
    )
    address = Address(verb, f"edgeface/v1/hq/door-1/rsp/{verb}/me", None, command.transaction)
    return Request(address, verb, command, round(received_s * 1e9))


class Examined(Scene):
    """A scene with a stage: plays frames until the examination has ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ended: list[Outcome] = []
        self.shown = 0
        self.scorer: LivenessScorer | None = None
        self.pad = AssessmentRules()
        self.boards = Peephole(lambda _, outcome: self.ended.append(outcome))

    def begin(self, examination: Examination, timeout_s: float = 3.0) -> bool:
        return self.boards.begin(examination, timeout_s)

    def act(self, frames: int, *actors: tuple[float, Embedding]) -> None:
        """Frames with these people, until it ends."""
        self.watch(frames, *((face(left), person) for left, person in actors))

    def watch(self, frames: int, *actors: tuple[Face, Embedding]) -> None:
        """The same with given faces."""
        self.stage.actors = list(actors)
        for _ in range(frames):
            result = self.step()
            frame = self.newest
            now_ns = frame.boottime_ns
            utc_ns = round(frame.captured_at.timestamp() * 1e9)
            now = Circumstances(USED, "cpu", 5.0, now_ns, utc_ns, clock_synced=True)

            def glance(frame: Any = frame, result: Any = result, now: Any = now) -> Glance:
                self.shown += 1
                return Glance(
                    frame,
                    result,
                    self.stage,
                    self.rules,
                    self.scorer,
                    self.gallery,
                    uniform_calibration(),
                    now,
                    1e-4,
                    self.pad,
                    self.pipeline.backoff,
                )

            self.boards.look(glance, frame, now_ns)
            if self.ended:
                return

    def data(self) -> Any:
        (outcome,) = self.ended
        return outcome()

    def code(self) -> str:
        (outcome,) = self.ended
        with pytest.raises(CommandRefusedError) as caught:
            outcome()
        return caught.value.code
