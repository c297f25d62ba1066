"""The inference worker with models that fail on demand, driven frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgeface.base.clock import ManualClock
from edgeface.base.errors import ClosedError, ModelError
from edgeface.contract.event import Sighting
from edgeface.inference.models import AcceleratorState
from edgeface.recognition.frame import Frame
from edgeface.recognition.values import Embedding, Face, Image
from edgeface.service.board import Board
from edgeface.service.checked_models import Models
from edgeface.service.recognizing import Recognizer
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse
from edgeface.settings.tree import Settings
from tests.support.doorstep import IMAGE, Scorer, Stage
from tests.support.packages import name_only
from tests.support.people import START, face, gallery, identity, uniform_calibration
from tests.support.settings import settings_of

USUAL: dict[str, Any] = {
    "models": {"accelerator": "auto", "golden_every_s": 100.0},
    "quality": {"min_sharpness": 0.0, "min_exposure": 0.0},
}
SETTINGS = settings_of(**USUAL)


class Actor(Stage):
    """A stage that passes for both models."""

    def __init__(self) -> None:
        super().__init__()
        self.package = name_only("a" * 64)
        self.space_id = "space"
        self.broken: str | None = None
        self.closed = False
        self.broken_embedder = False

    def close(self) -> None:
        self.closed = True

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        if self.broken is not None:
            raise ModelError(self.broken)
        return super().detect(image_bgr, scale)

    def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        if self.broken_embedder:
            raise ModelError("the model gave a vector of length 0")
        return super().embed(crops)


class Attacks(Scorer):
    """A scorer that passes for the model."""

    distrusted = None

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer.given)
        self.package = name_only("d" * 64)

    def close(self) -> None:
        """There is nothing to let go of."""


class StageModels(Models):
    """Models whose golden test passes unless the actor is `sick`."""

    def check(self) -> None:
        if getattr(self.detector, "sick", False):
            raise ModelError("golden run: cosine 0.1")


class Slot:
    """Works through a script: functions that make frames or change the world, and errors."""

    def __init__(self) -> None:
        self.items: list[Exception | Callable[[], object]] = []

    def get(self, timeout_s: float) -> Frame:
        while self.items:
            item = self.items.pop(0)
            if isinstance(item, Exception):
                raise item
            result = item()
            if isinstance(result, Frame):
                return result
        raise ClosedError("the slot is closed")


class World:
    """A recognizer with everything around it under control."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        """`sections` of the settings beside the usual ones."""
        self.clock = ManualClock()
        self.board = Board(settings_of(**USUAL, **sections))
        self.scorer: Scorer | None = None
        self.slot = Slot()
        self.said: list[Sighting] = []
        self.opened: list[str | None] = []
        self.failure: Exception | None = None
        self.tpu = False
        self.space = "space"
        self.actors: list[Actor] = []
        self.rng = np.random.default_rng(5)
        self.anna = identity(self.rng)
        self.board.by_gallery.index = gallery([self.anna], ["p_annaannaaa"])
        self.floor = TimeFloor(folder / "time", self.clock)
        self.pulse = Pulse(10)

    def limits(self, **quality: float) -> None:
        """From now on these limits hold for a crop; before `run`."""
        section = SETTINGS.quality.model_copy(update=quality)
        self.board.by_main.settings = SETTINGS.model_copy(update={"quality": section})

    def open_models(self, settings: Settings, lost: str | None = None) -> Models:
        if self.failure is not None:
            raise self.failure
        self.opened.append(lost)
        on_tpu = self.tpu and lost is None
        actor = Actor()
        actor.actors = self.actors[-1].actors if self.actors else []
        actor.space_id = actor.package.space_id = self.space
        self.actors.append(actor)
        where = "edgetpu" if on_tpu else "cpu"
        state = AcceleratorState(
            where,
            where,
            lost is not None,
            None if on_tpu else lost or "no usable device",
            "stage 1",
        )
        model = cast(Any, actor)
        liveness = None if self.scorer is None else Attacks(self.scorer)
        return StageModels(model, model, state, uniform_calibration(), cast(Any, liveness))

    def frames(self, count: int, *who: Embedding, late_s: float = 0.0) -> None:
        """So many frames with these people; time passes before each, and they come late."""

        def step() -> Frame:
            self.actors[-1].actors = [(face(300 + 400 * i), p) for i, p in enumerate(who)]
            self.clock.sleep(0.1)
            captured_ns = self.clock.boottime_ns() - round(late_s * 1e9)
            return Frame(IMAGE, "stage", 0, START, captured_ns)

        self.slot.items += [step] * count

    def run(self) -> None:
        Recognizer(
            self.board,
            cast(Any, self.slot),
            self.said.append,
            self.floor,
            open_models=self.open_models,
        ).run(self.pulse)

    def outcomes(self) -> list[str]:
        return [sighting.event_type for sighting in self.said]
