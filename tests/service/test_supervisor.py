"""The supervisor on a clock that is moved by hand, with real threads that end when told."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edgeface.base.backoff import STABLE_S
from edgeface.base.errors import ModelError
from edgeface.service.supervisor import BEYOND_BUDGET, Exit, FatalError, Supervisor
from edgeface.service.worker import Pulse, Task, WorkerSpec
from edgeface.settings.daemon import ServiceSettings
from tests.support.broker import eventually


class Hands:
    """A clock."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def supervisor(clock: Hands) -> Iterator[Supervisor]:
    made = Supervisor(ServiceSettings(restart_budget=2, restart_window_s=60), now_s=clock, draw=max)
    yield made
    made.stop(5)


def patient(pulse: Pulse) -> None:
    pulse.stop.wait()


def failing(pulse: Pulse) -> None:
    raise RuntimeError("out of order")


def held_by(release: threading.Event) -> Task:
    def held(pulse: Pulse) -> None:
        release.wait()

    return held


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def ended(supervisor: Supervisor, name: str) -> bool:
    """Whether its thread has. From Python 3.13 `enumerate()` forgets one a moment before that."""
    run = supervisor._workers[name].run
    return run is None or not run.alive


def test_a_worker_runs_in_a_thread_of_its_name(supervisor: Supervisor) -> None:
    supervisor.start(WorkerSpec("capture-x", patient))
    assert len(threads("capture-x")) == 1
    assert supervisor.check() is None
    assert supervisor.stop(5) == ()
    assert threads("capture-x") == []


def test_a_failed_worker_starts_again_after_the_pause(
    supervisor: Supervisor, clock: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    def once_broken(pulse: Pulse) -> None:
        runs.append(1)
        if len(runs) == 1:
            raise RuntimeError("out of order")
        pulse.stop.wait()

    supervisor.start(WorkerSpec("w", once_broken))
    eventually(lambda: ended(supervisor, "w"))
    assert supervisor.check() is None
    clock.now_s += 0.4
    supervisor.check()
    assert len(runs) == 1
    clock.now_s += 0.2
    supervisor.check()
    eventually(lambda: len(runs) == 2)
    assert supervisor.restarts == 1
    assert "out of order" in caplog.text


def test_a_failure_is_told_until_a_run_has_held(supervisor: Supervisor, clock: Hands) -> None:
    first = threading.Event()

    def once_broken(pulse: Pulse) -> None:
        if not first.is_set():
            first.set()
            raise RuntimeError("out of order")
        pulse.stop.wait()

    supervisor.start(WorkerSpec("w", once_broken, critical=False))
    assert supervisor.troubles == ()
    eventually(lambda: ended(supervisor, "w"))
    for pause_s in (0.0, 0.6, STABLE_S - 0.7):
        clock.now_s += pause_s
        supervisor.check()
        assert supervisor.troubles == ("worker w failed: out of order",)
    clock.now_s += 0.2
    assert supervisor.troubles == ()


def test_a_silence_that_is_allowed_but_unusual_is_told(
    supervisor: Supervisor, clock: Hands
) -> None:
    inside, release = threading.Event(), threading.Event()

    def waiting(pulse: Pulse) -> None:
        with pulse.patience(60):
            inside.set()
            release.wait()

    supervisor.start(WorkerSpec("reader", waiting))
    supervisor.start(WorkerSpec("watcher", waiting, critical=False))
    supervisor.adopt("writer", 60, lambda: True)
    assert inside.wait(10)
    clock.now_s += 2.9
    assert supervisor.troubles == ()
    clock.now_s += 0.2
    names = [trouble.split(" has been silent")[0] for trouble in supervisor.troubles]
    assert names == ["worker reader", "worker writer"]
    assert supervisor.check() is None
    release.set()
    eventually(lambda: ended(supervisor, "reader"))
    assert [trouble.split()[1] for trouble in supervisor.troubles] == ["writer"]


def fail_again(supervisor: Supervisor, clock: Hands, name: str) -> Exit | None:
    """Wait for the failure, see what is made of it, and let the pause pass."""
    eventually(lambda: ended(supervisor, name))
    result = supervisor.check()
    clock.now_s += 5
    supervisor.check()
    return result


def test_beyond_the_budget_the_process_ends_with_code_4(
    supervisor: Supervisor, clock: Hands
) -> None:
    supervisor.start(WorkerSpec("w", failing))
    assert fail_again(supervisor, clock, "w") is None
    assert fail_again(supervisor, clock, "w") is None
    end = fail_again(supervisor, clock, "w")
    assert end is not None
    assert end.code == BEYOND_BUDGET == 4
    assert "worker w failed: out of order (3 failures within 60 s" in end.reason


def test_failures_that_are_far_apart_do_not_add_up(supervisor: Supervisor, clock: Hands) -> None:
    supervisor.start(WorkerSpec("w", failing))
    for _ in range(6):
        assert fail_again(supervisor, clock, "w") is None
        clock.now_s += 40


def test_the_pause_grows_with_the_failures_and_is_bounded(clock: Hands) -> None:
    limits: list[float] = []

    def no_pause(_low_s: float, limit_s: float) -> float:
        limits.append(limit_s)
        return 0.0

    supervisor = Supervisor(ServiceSettings(restart_budget=20), now_s=clock, draw=no_pause)
    supervisor.start(WorkerSpec("w", failing))
    for _ in range(8):
        eventually(lambda: ended(supervisor, "w"))
        supervisor.check()
        supervisor.check()
    assert limits[:8] == [0.5, 1, 2, 4, 8, 10, 10, 10]
    supervisor.stop(5)


def test_an_error_for_which_a_restart_is_no_help_ends_the_process_with_its_code(
    supervisor: Supervisor,
) -> None:
    def broken(pulse: Pulse) -> None:
        raise FatalError(ModelError("model.tflite: differs"))

    supervisor.start(WorkerSpec("w", broken))
    eventually(lambda: ended(supervisor, "w"))
    end = supervisor.check()
    assert end is not None
    assert (end.code, end.reason) == (3, "model.tflite: differs")
    assert isinstance(end.cause, ModelError)


def test_a_worker_that_returns_is_done_and_not_started_again(supervisor: Supervisor) -> None:
    supervisor.start(WorkerSpec("w", lambda pulse: None))
    eventually(lambda: ended(supervisor, "w"))
    assert supervisor.check() is None
    assert supervisor.finished("w")
    assert supervisor.healthy()


def test_a_silent_worker_is_not_healthy_and_ends_the_process(
    supervisor: Supervisor, clock: Hands
) -> None:
    supervisor.start(WorkerSpec("w", patient, limit_s=10))
    clock.now_s += 9
    assert supervisor.healthy()
    clock.now_s += 2
    assert not supervisor.healthy()
    end = supervisor.check()
    assert end is not None
    assert end.code == BEYOND_BUDGET
    assert "worker w is stuck" in end.reason


def test_a_beat_is_progress(supervisor: Supervisor, clock: Hands) -> None:
    pulses: list[Pulse] = []

    def task(pulse: Pulse) -> None:
        pulses.append(pulse)
        pulse.stop.wait()

    supervisor.start(WorkerSpec("w", task, limit_s=10))
    eventually(lambda: bool(pulses))
    clock.now_s += 9
    pulses[0].beat()
    clock.now_s += 9
    assert supervisor.healthy()


def test_only_critical_workers_count_for_the_watchdog(supervisor: Supervisor, clock: Hands) -> None:
    supervisor.start(WorkerSpec("w", patient, limit_s=10, critical=False))
    clock.now_s += 100
    assert supervisor.healthy()


def test_patience_allows_a_longer_silence_within_the_block_alone(clock: Hands) -> None:
    pulse = Pulse(10, clock)
    with pulse.patience(60):
        clock.now_s += 50
        overdue = [pulse.overdue]
        clock.now_s += 20
        overdue.append(pulse.overdue)
    overdue.append(pulse.overdue)
    clock.now_s += 11
    assert [*overdue, pulse.overdue] == [False, True, False, True]


def test_a_stuck_worker_that_can_be_replaced_is_left_and_started_anew(
    supervisor: Supervisor, clock: Hands
) -> None:
    hang = threading.Event()
    pulses: list[Pulse] = []

    def task(pulse: Pulse) -> None:
        pulses.append(pulse)
        (hang if len(pulses) == 1 else pulse.stop).wait()

    supervisor.start(WorkerSpec("w", task, limit_s=10, replace_stuck=lambda: True))
    eventually(lambda: len(pulses) == 1)
    clock.now_s += 11
    assert supervisor.check() is None
    assert pulses[0].stop.is_set()
    clock.now_s += 1
    supervisor.check()
    eventually(lambda: len(pulses) == 2)
    assert supervisor.stop(0.05) == ("w",)
    hang.set()
    assert supervisor.stop(5) == ()


def test_who_hangs_instead_of_being_replaced_is_followed_by_the_successor_once(
    supervisor: Supervisor, clock: Hands
) -> None:
    hang = threading.Event()
    runs: list[Pulse] = []

    def successor(pulse: Pulse) -> None:
        runs.append(pulse)
        raise RuntimeError("out of order")

    supervisor.start(WorkerSpec("w", held_by(hang), limit_s=10, replace_stuck=lambda: True))
    assert not supervisor.restart(WorkerSpec("w", successor), 0)
    for failures in (1, 2):
        clock.now_s += 11
        assert supervisor.check() is None  # the hang, then the first failure of the successor
        clock.now_s += 5
        supervisor.check()
        eventually(lambda: len(runs) >= failures and ended(supervisor, "w"))  # noqa: B023
    end = supervisor.check()
    assert end is not None
    assert "3 failures" in end.reason
    hang.set()


def test_everyone_is_told_to_stop_before_anyone_is_waited_for(supervisor: Supervisor) -> None:
    turn = threading.Event()

    def first(pulse: Pulse) -> None:
        pulse.stop.wait()
        turn.wait()

    def second(pulse: Pulse) -> None:
        pulse.stop.wait()
        turn.set()

    supervisor.start(WorkerSpec("first", first))
    supervisor.start(WorkerSpec("second", second))
    assert supervisor.stop(5) == ()


def test_who_does_not_stop_is_named_within_the_bound(supervisor: Supervisor) -> None:
    release = threading.Event()
    supervisor.start(WorkerSpec("zombie", held_by(release)))
    supervisor.start(WorkerSpec("w", patient))
    assert supervisor.stop(0.05) == ("zombie",)
    release.set()


def test_a_worker_is_replaced_on_request_without_a_failure(supervisor: Supervisor) -> None:
    done = threading.Event()
    supervisor.start(WorkerSpec("w", patient))
    assert supervisor.restart(WorkerSpec("w", lambda pulse: done.set()), 5)
    assert done.wait(5)
    assert supervisor.restarts == 0


def test_a_worker_that_stops_late_is_replaced_then(supervisor: Supervisor) -> None:
    release, done = threading.Event(), threading.Event()
    supervisor.start(WorkerSpec("w", held_by(release)))
    assert not supervisor.restart(WorkerSpec("w", lambda pulse: done.set()), 0.05)
    supervisor.check()
    assert not done.is_set()
    release.set()
    eventually(lambda: ended(supervisor, "w"))
    supervisor.check()
    assert done.wait(5)
    assert not supervisor.finished("w")


def test_who_may_linger_is_left_without_a_word(supervisor: Supervisor) -> None:
    release = threading.Event()
    supervisor.start(WorkerSpec("probe", held_by(release), may_linger=True))
    assert supervisor.stop(0.05) == ()
    release.set()


def test_workers_can_be_stopped_in_two_groups(supervisor: Supervisor) -> None:
    supervisor.start(WorkerSpec("first", patient))
    supervisor.start(WorkerSpec("second", patient))
    assert supervisor.stop(5, ["first"]) == ()
    assert threads("first") == []
    assert len(threads("second")) == 1


@pytest.mark.parametrize("alive", [True, False], ids=["silent", "dead"])
def test_a_thread_of_somebody_else_is_watched_too(
    supervisor: Supervisor, clock: Hands, alive: bool
) -> None:
    beat = supervisor.adopt("outbox", 10, lambda: alive)
    clock.now_s += 9
    beat()
    clock.now_s += 9
    assert supervisor.healthy()
    if alive:
        assert supervisor.check() is None
        clock.now_s += 2
        assert not supervisor.healthy()
    end = supervisor.check()
    assert end is not None
    assert end.code == BEYOND_BUDGET
    assert "outbox" in end.reason
