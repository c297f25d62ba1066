"""The source that opens itself again, on a manual clock and a scripted back end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from edgeface.base.backoff import STABLE_S
from edgeface.base.clock import NS, ManualClock, stamp_now
from edgeface.base.errors import CameraError, ClosedError, EndOfStreamError, FrameTimeoutError
from edgeface.capture.reopening import ReopeningSource
from edgeface.capture.source import FrameSource, Picture
from tests.support.cameras import reopening

SILENT, LOST, END, FRAME = "silent", "lost", "end", "frame"


class Scripted(FrameSource):
    """Does what the script says, one word per read, then delivers for ever."""

    def __init__(
        self, clock: ManualClock, script: Iterable[str] = (), opens: Iterable[str] = ()
    ) -> None:
        super().__init__(name="door", clock=clock)
        self.script = list(script)
        self.opens = list(opens)
        self.opened = 0
        self.closed = 0

    def _start(self) -> None:
        if self.opens and self.opens.pop(0) == LOST:
            raise CameraError("no camera")
        self.opened += 1

    def _next(self, timeout_s: float) -> Picture:
        what = self.script.pop(0) if self.script else FRAME
        if what == SILENT:
            self._clock.sleep(timeout_s)
            raise FrameTimeoutError("silent")
        if what == LOST:
            raise CameraError("the cable fell out")
        if what == END:
            raise EndOfStreamError("over")
        self._clock.sleep(0.01)
        return Picture(np.zeros((2, 2, 3), np.uint8), stamp_now(self._clock))

    def _stop(self) -> None:
        self.closed += 1


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def keeper(
    source: Scripted, clock: ManualClock, draw: Callable[[float, float], float] = max
) -> ReopeningSource:
    return reopening(source, clock, draw=draw)


def test_the_first_open_lets_the_error_through(clock: ManualClock) -> None:
    kept = keeper(Scripted(clock, opens=[LOST]), clock)
    with pytest.raises(CameraError, match="no camera"):
        kept.open()
    with pytest.raises(ClosedError):
        kept.read(1.0)


def test_a_lost_source_is_closed_and_opened_again(clock: ManualClock) -> None:
    source = Scripted(clock, [FRAME, LOST])
    with keeper(source, clock) as kept:
        first = kept.read(1.0)
        second = kept.read(1.0)
        assert (source.opened, source.closed) == (2, 1)
        assert second.sequence == first.sequence + 1
        health = kept.health
        assert (health.losses, health.stalls, health.reopened, health.frames) == (1, 0, 1, 2)
    assert not kept.health.connected


def test_the_pauses_double_up_to_the_longest_and_are_drawn_from_zero(clock: ManualClock) -> None:
    limits: list[float] = []

    def draw(low_s: float, limit_s: float) -> float:
        assert low_s == 0
        limits.append(limit_s)
        return limit_s / 2

    source = Scripted(clock, [LOST], opens=[FRAME, *[LOST] * 8])
    with keeper(source, clock, draw) as kept:
        began_ns = clock.boottime_ns()
        kept.read(1000.0)
        assert limits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        assert (clock.boottime_ns() - began_ns) / NS == pytest.approx(sum(limits) / 2 + 0.01)
        assert kept.health.losses == 9
        source.script = [LOST]
        kept.read(10.0)
        assert limits[-1] == 0.5, "a frame ends the growth"


def test_no_wait_is_longer_than_the_caller_allows(clock: ManualClock) -> None:
    source = Scripted(clock, [FRAME, LOST], opens=[FRAME, *[LOST] * 100])
    with keeper(source, clock, lambda *_: 7.0) as kept:
        kept.read(1.0)
        for _ in range(20):
            began_ns = clock.boottime_ns()
            with pytest.raises(FrameTimeoutError, match=r"cable fell out|no camera"):
                kept.read(0.4)
            assert (clock.boottime_ns() - began_ns) / NS == pytest.approx(0.4)


def test_a_silent_source_is_closed_after_the_stall_time(clock: ManualClock) -> None:
    source = Scripted(clock, [FRAME, *[SILENT] * 8])
    with keeper(source, clock) as kept:
        kept.read(1.0)
        for _ in range(7):
            with pytest.raises(FrameTimeoutError):
                kept.read(0.5)
        assert (source.closed, kept.health.stalls) == (0, 0)
        with pytest.raises(FrameTimeoutError, match=r"no frame for 4\.0 s"):
            kept.read(0.5)
        assert (source.closed, kept.health.stalls) == (1, 1)
        assert not kept.health.connected
        kept.read(1.0)
        assert kept.health.connected


def test_a_slow_reader_is_no_stalled_camera(clock: ManualClock) -> None:
    source = Scripted(clock, [FRAME, SILENT])
    with keeper(source, clock) as kept:
        kept.read(1.0)
        clock.sleep(60.0)
        with pytest.raises(FrameTimeoutError):
            kept.read(0.5)
        assert kept.health.stalls == 0
        kept.read(0.5)


def test_one_long_read_survives_a_stall(clock: ManualClock) -> None:
    source = Scripted(clock, [SILENT])
    with keeper(source, clock) as kept:
        assert kept.read(20.0).sequence == 0
        assert (kept.health.stalls, kept.health.reopened) == (1, 1)


def test_the_end_of_a_finite_source_is_no_loss(clock: ManualClock) -> None:
    source = Scripted(clock, [END, END])
    with keeper(source, clock) as kept:
        for _ in range(2):
            with pytest.raises(EndOfStreamError):
                kept.read(1.0)
        assert (source.closed, kept.health.losses) == (0, 0)


def test_a_stop_ends_the_wait_for_the_next_attempt() -> None:
    """On the real clock: the pause would be a minute."""
    stop = threading.Event()
    source = Scripted(ManualClock(), [LOST] * 9)
    began = threading.Event()

    def draw(low_s: float, limit_s: float) -> float:
        began.set()
        return 60.0

    errors: list[Exception] = []

    def read() -> None:
        try:
            kept.read(60.0)
        except FrameTimeoutError as error:
            errors.append(error)

    kept = reopening(source, stop=stop, draw=draw)
    kept.open()
    reader = threading.Thread(target=read)
    reader.start()
    assert began.wait(10)
    stop.set()
    reader.join(10)
    assert not reader.is_alive()
    assert "stopping" in str(errors[0])
    kept.close()


def test_frames_the_source_dropped_are_counted(clock: ManualClock) -> None:
    class Hasty(Scripted):
        def _next(self, timeout_s: float) -> Picture:
            return Picture(np.zeros((2, 2, 3), np.uint8), stamp_now(self._clock), step=3)

    with keeper(Hasty(clock), clock) as kept:
        kept.read(1.0)
        kept.read(1.0)
        assert kept.health.skipped == 2


def test_close_is_idempotent_and_reading_after_it_raises(clock: ManualClock) -> None:
    kept = keeper(Scripted(clock), clock)
    kept.open()
    kept.open()
    kept.close()
    kept.close()
    with pytest.raises(ClosedError):
        kept.read(1.0)


def test_a_camera_that_comes_and_goes_says_nothing_new_each_time(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"), keeper(Scripted(clock, [FRAME, LOST] * 40), clock) as kept:
        for _ in range(40):
            kept.read(5.0)
        assert kept.health.losses >= 39
        words = [record.getMessage() for record in caplog.records]
        assert not [line for line in words if "delivers again" in line]
        assert len(set(words)) == 1
        kept.read(5.0)
        clock.sleep(STABLE_S)
        kept.read(5.0)
        kept.read(5.0)
    words = [record.getMessage() for record in caplog.records]
    assert [line for line in words if "delivers again" in line] == ["camera door delivers again"]
