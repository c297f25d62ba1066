"""The inference worker on an accelerator that fails, hangs, lies, is lost or comes back.

With models that fail on demand, and with real ones on stand-ins for libedgetpu.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeface.inference.package import load_package
from edgeface.recognition.frame import Frame
from edgeface.service import regaining
from edgeface.service.board import Board, TpuOrder
from edgeface.service.checked_models import Models, open_checked
from edgeface.service.recognizing import ANEW_S, give_up_stuck
from edgeface.service.regaining import watch_accelerator
from edgeface.service.supervisor import Supervisor
from edgeface.service.worker import Pulse, WorkerSpec
from tests.support.broker import eventually
from tests.support.doorstep import IMAGE
from tests.support.edgetpu import build_edgetpu
from tests.support.packages import (
    detector_model,
    embedder_model,
    write_detector,
    write_embedder,
)
from tests.support.people import START, gallery
from tests.support.recognizer_world import SETTINGS, World
from tests.support.settings import settings_of

GOLDEN_S = 1000.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_failing_tpu_gives_way_to_the_cpu_and_the_track_goes_on(world: World) -> None:
    world.tpu = True
    world.frames(2, world.anna)
    world.slot.items.append(lambda: setattr(world.actors[-1], "broken", "USB transfer failed"))
    world.frames(1, world.anna)
    world.frames(2, world.anna)
    world.run()
    assert world.opened == [None, "USB transfer failed"]
    assert world.outcomes() == ["recognized"]
    assert world.said[0].accelerator == "cpu"
    assert world.said[0].track.id == 1
    assert world.board.models is not None
    assert world.board.models.accelerator.degraded
    assert world.board.lost == "USB transfer failed"


def test_a_tpu_that_has_run_well_is_opened_anew_when_it_fails(world: World) -> None:
    world.tpu = True
    world.frames(2, world.anna)
    world.slot.items += [
        lambda: world.clock.sleep(ANEW_S),
        lambda: setattr(world.actors[-1], "broken", "USB transfer failed"),
    ]
    world.frames(4, world.anna)
    world.run()
    assert world.opened == [None, None]
    assert world.actors[0].closed
    assert world.said[-1].accelerator == "edgetpu"
    assert world.board.lost is None


def test_it_is_told_while_the_accelerator_is_opened_anew(world: World) -> None:
    world.tpu = True
    told: list[str | None] = []
    opens = world.open_models

    def opening(settings: object, lost: str | None = None) -> Models:
        told.append(world.board.by_recognizer.reopening)
        return opens(settings, lost)  # type: ignore[arg-type]

    world.open_models = opening  # type: ignore[method-assign]
    world.frames(1)
    world.slot.items += [
        lambda: world.clock.sleep(ANEW_S),
        lambda: setattr(world.actors[-1], "broken", "USB transfer failed"),
    ]
    world.frames(2)
    world.run()
    assert told == [None, "USB transfer failed"]
    assert world.board.by_recognizer.reopening is None


def test_one_that_fails_again_a_moment_later_is_given_up(world: World) -> None:
    world.tpu = True
    world.frames(1)
    for pause_s in (ANEW_S, ANEW_S - 1):
        world.slot.items += [
            lambda pause_s=pause_s: world.clock.sleep(pause_s),
            lambda: setattr(world.actors[-1], "broken", "USB transfer failed"),
        ]
        world.frames(1)
    world.run()
    assert world.opened == [None, None, "USB transfer failed"]
    assert all(actor.closed for actor in world.actors)


def test_one_that_is_gone_when_it_is_opened_anew_is_told_with_both_reasons(world: World) -> None:
    world.tpu = True
    world.frames(1)
    world.slot.items += [
        lambda: world.clock.sleep(ANEW_S),
        lambda: setattr(world.actors[-1], "broken", "USB transfer failed"),
        lambda: setattr(world, "tpu", False),
    ]
    world.frames(1)
    world.run()
    assert world.board.lost == "USB transfer failed; opened anew: no usable device"


def test_a_tpu_that_came_back_is_taken_when_nobody_is_there(world: World) -> None:
    world.tpu = True
    world.board.by_main.order = TpuOrder("was unplugged")
    world.frames(1, world.anna)
    world.slot.items.append(lambda: setattr(world.board.by_watcher, "found", 1))
    world.frames(1, world.anna)
    world.slot.items.append(lambda: world.clock.sleep(2))
    world.frames(1)
    world.run()
    assert world.opened == ["was unplugged", None]
    assert world.board.models is not None
    assert not world.board.models.accelerator.degraded
    assert world.board.lost is None
    assert world.board.by_recognizer.regained == 1


def test_a_tpu_that_came_back_is_taken_though_somebody_never_goes(world: World) -> None:
    world.tpu = True
    world.board.by_main.order = TpuOrder("was unplugged")
    opened: list[int] = []
    world.frames(1, world.anna)
    world.slot.items.append(lambda: setattr(world.board.by_watcher, "found", 1))
    world.frames(1, world.anna)
    for wait_s in (299, 1):
        world.slot.items += [
            lambda: opened.append(len(world.opened)),
            lambda wait_s=wait_s: world.clock.sleep(wait_s),
        ]
        world.frames(1, world.anna)
    world.run()
    assert opened == [1, 1]
    assert world.opened == ["was unplugged", None]
    assert world.board.by_recognizer.regained == 1


@pytest.mark.parametrize("anew", [False, True], ids=["when it came back", "in a new worker"])
def test_a_tpu_that_worked_and_is_gone_is_a_loss_where_auto_would_do_without(
    world: World, anew: bool
) -> None:
    world.tpu = True
    world.frames(1)
    if anew:
        world.run()
    else:
        world.slot.items.append(lambda: setattr(world.actors[-1], "broken", "was unplugged"))
        world.frames(1)
        world.slot.items.append(lambda: setattr(world.board.by_watcher, "found", 1))
    world.slot.items.append(lambda: setattr(world, "tpu", False))
    world.frames(1)
    if anew:
        world.tpu = False
    world.run()
    assert world.board.models is not None
    assert world.board.models.accelerator.in_use == "cpu"
    assert world.board.models.accelerator.degraded
    assert world.board.lost == "no usable device"


def test_a_call_that_hangs_is_left_and_a_new_thread_goes_on_with_the_cpu(world: World) -> None:
    """The supervisor, the deadline and both threads together."""
    now_s, release, hung = [0.0], threading.Event(), threading.Event()
    world.tpu = True

    def hang() -> None:
        if len(world.actors) == 1:
            hung.set()
            release.wait()

    def task(pulse: Pulse) -> None:
        world.pulse = pulse
        world.run()

    supervisor = Supervisor(SETTINGS.service, now_s=lambda: now_s[0], draw=min)
    world.frames(2, world.anna)
    world.slot.items.append(hang)
    world.frames(3, world.anna)
    supervisor.start(
        WorkerSpec("inference", task, 10.0, replace_stuck=lambda: give_up_stuck(world.board))
    )
    assert hung.wait(10)
    now_s[0] = 11.0
    assert supervisor.check() is None
    supervisor.check()
    eventually(lambda: supervisor.check() is None and supervisor.finished("inference"))
    assert world.opened == [None, world.board.lost]
    assert [(said.event_type, said.accelerator) for said in world.said] == [("recognized", "cpu")]
    assert world.said[0].track.id == 2
    release.set()
    assert supervisor.stop(5) == ()
    assert len(world.said) == 1


def test_a_hang_shows_sooner_on_an_accelerator_than_on_the_cpu(world: World) -> None:
    """Twice the deadline of one invocation there; a slow CPU is given 10 s."""
    now_s, overdue = [0.0], []
    world.tpu = True
    world.pulse = Pulse(10, lambda: now_s[0])

    def wait(pause_s: float) -> None:
        now_s[0] += pause_s
        overdue.append(world.pulse.overdue)
        world.pulse.beat()

    for pause_s in (3.9, 4.1):
        world.slot.items.append(lambda pause_s=pause_s: wait(pause_s))
        world.frames(1)
    world.slot.items.append(lambda: setattr(world.actors[-1], "broken", "USB transfer failed"))
    for pause_s in (9.9, 10.1):
        world.frames(1)
        world.slot.items.append(lambda pause_s=pause_s: wait(pause_s))
    world.run()
    assert overdue == [False, True, False, True]


@pytest.mark.parametrize(
    ("wanted", "opened", "in_use", "lost", "expected"),
    [
        pytest.param("auto", True, "edgetpu", None, True, id="on the TPU"),
        pytest.param("auto", True, "cpu", None, False, id="on the CPU"),
        pytest.param("edgetpu", False, "cpu", None, True, id="while opening the TPU"),
        pytest.param("cpu", False, "cpu", None, False, id="while opening on the CPU"),
        pytest.param("edgetpu", True, "edgetpu", "hung", False, id="given up before"),
    ],
)
def test_a_hang_is_survived_on_a_tpu_once(
    world: World, wanted: str, opened: bool, in_use: Any, lost: str | None, expected: bool
) -> None:
    models = SETTINGS.models.model_copy(update={"accelerator": wanted})
    board = Board(SETTINGS.model_copy(update={"models": models}))
    if opened:
        world.run()
        assert world.board.models is not None
        state = dataclasses.replace(
            world.board.models.accelerator, detector=in_use, embedder=in_use
        )
        board.by_recognizer.models = dataclasses.replace(world.board.models, accelerator=state)
    if lost is not None:
        board.by_main.order = TpuOrder(lost)
    assert give_up_stuck(board) is expected
    board.by_main.order = TpuOrder(None)
    assert board.by_main.turn == expected
    assert not (expected and give_up_stuck(board))


class Bench:
    """A recognizer whose accelerator goes wrong once `fault` is there."""

    def __init__(self, folder: Path, behavior: str, **models: object) -> None:
        self.fault = folder / "fault"
        detector = write_detector(folder / "detector", compiled=detector_model(compiled=True))
        embedder = write_embedder(folder / "embedder", compiled=embedder_model(compiled=True))
        settings = settings_of(
            models={
                "detector": str(detector),
                "embedder": str(embedder),
                "delegate": build_edgetpu(folder, behavior),
                "delegate_options": {"fault_file": str(self.fault)},
                "golden_every_s": GOLDEN_S,
                **models,
            }
        )
        self.world = World(folder)
        self.world.board = Board(settings)
        index = gallery([self.world.anna])
        space = load_package(embedder).space_id
        self.world.board.by_gallery.index = dataclasses.replace(index, space=space)
        self.world.open_models = open_checked  # type: ignore[method-assign]
        self.seen: list[str] = []

    def frame(self, *before: Callable[[], object]) -> None:
        def step() -> Frame:
            facts = self.world.board.models
            self.seen.append("" if facts is None else facts.accelerator.in_use)
            self.world.clock.sleep(0.1)
            return Frame(IMAGE, "stage", 0, START, self.world.clock.boottime_ns())

        self.world.slot.items += [*before, step]

    def later(self, pause_s: float) -> Callable[[], object]:
        return lambda: self.world.clock.sleep(pause_s)


def test_one_that_begins_to_answer_wrongly_is_caught_by_the_golden_test_and_named(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, "LIES")
    bench.frame()
    bench.frame(bench.later(GOLDEN_S - 10), bench.fault.touch)
    bench.frame(bench.later(10))
    bench.frame()
    bench.world.run()
    assert bench.seen == ["edgetpu", "edgetpu", "edgetpu", "cpu"]
    lost = str(bench.world.board.lost)
    assert lost.startswith("the accelerator failed the golden test: ")
    assert f"{tmp_path / 'detector'}: golden run: " in lost


def test_one_that_still_answers_wrongly_is_not_taken_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "LIES")
    bench.fault.touch()
    bench.frame()
    bench.frame(lambda: setattr(bench.world.board.by_watcher, "found", 1))
    bench.frame()
    bench.frame(
        lambda: setattr(bench.world.board.by_watcher, "found", 2),
        bench.fault.unlink,
    )
    bench.frame()
    bench.world.run()
    assert bench.seen == ["cpu", "cpu", "cpu", "cpu", "edgetpu"]


def test_one_that_fails_once_is_opened_anew(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "FAILS")
    bench.frame()
    bench.frame(bench.later(ANEW_S), bench.fault.touch)
    bench.frame()
    bench.world.run()
    assert bench.seen == ["edgetpu"] * 3
    assert not bench.fault.exists()
    assert bench.world.board.lost is None


def test_one_that_stays_late_is_given_up_with_the_deadline_as_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "LATE", invoke_deadline_s=0.1)
    bench.frame()
    bench.frame(bench.later(ANEW_S), bench.fault.touch)
    bench.frame()
    bench.world.run()
    assert bench.seen == ["edgetpu", "edgetpu", "cpu"]
    assert "models.invoke_deadline_s is 0.1; opened anew: " in str(bench.world.board.lost)


def test_a_library_that_does_not_fit_any_more_is_looked_for_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher, with pauses of no time."""
    bench = Bench(tmp_path, "WORKS", accelerator="edgetpu")
    library = Path(bench.world.board.settings.models.delegate or "")
    away = library.rename(library.with_suffix(".away"))
    bench.frame()
    bench.world.run()
    assert "cannot be loaded" in str(bench.world.board.lost)
    for name in ("RETRY_MIN_S", "RETRY_MAX_S"):
        monkeypatch.setattr(regaining, name, 0.01)
    tries = itertools.count()
    real = regaining.accelerator_trouble

    def trouble(settings: object) -> str | None:
        if next(tries) == 1:
            away.rename(library)
        return real(settings)  # type: ignore[arg-type]

    monkeypatch.setattr(regaining, "accelerator_trouble", trouble)
    pulse = Pulse(60)
    watcher = threading.Thread(target=watch_accelerator, args=(bench.world.board, pulse))
    watcher.start()
    eventually(lambda: bench.world.board.by_watcher.found > 0, 30)
    pulse.stop.set()
    watcher.join(30)
    assert next(tries) >= 2
