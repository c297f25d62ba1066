"""What every frame source has to keep, run over all of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from edgeface.base.clock import ManualClock
from edgeface.base.errors import CameraError, ClosedError, FrameTimeoutError
from edgeface.capture.source import FrameSource
from edgeface.recognition.frame import Frame
from tests.support.cameras import reopening

WAIT_S = 10.0
Make = Callable[..., FrameSource]


def read_some(source: FrameSource, count: int) -> list[Frame]:
    return [source.read(WAIT_S) for _ in range(count)]


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "reopening"])
def test_frames_carry_the_name_and_a_rising_sequence(make: Make, wrapped: bool) -> None:
    bare = make(name="front-door")
    with reopening(bare) if wrapped else bare as source:
        frames = read_some(source, 20)
        assert source.name == "front-door"
    assert {frame.source for frame in frames} == {"front-door"}
    assert all(a.sequence < b.sequence for a, b in itertools.pairwise(frames))
    assert frames[0].sequence >= 0


def test_frames_are_bgr_uint8_of_their_own(make: Make) -> None:
    with make() as source:
        first, second = read_some(source, 2)
    for frame in (first, second):
        assert frame.image.dtype == np.uint8
        assert frame.image.ndim == 3
        assert frame.image.shape[2] == 3
        if frame.detect_image is not None:
            height, width = frame.detect_image.shape[:2]
            x, y = frame.detect_scale
            assert (round(width * x), round(height * y)) == frame.image.shape[1::-1]
    assert not np.shares_memory(first.image, second.image)


def test_stamps_rise_and_lie_between_the_call_and_now(make: Make) -> None:
    before = datetime.now(UTC)
    with make() as source:
        frames = read_some(source, 20)
    after = datetime.now(UTC)
    assert all(a.boottime_ns < b.boottime_ns for a, b in itertools.pairwise(frames))
    # Two clocks are read one after the other, so UTC may be off by the time between.
    slack = timedelta(milliseconds=5)
    assert all(b.captured_at - a.captured_at > -slack for a, b in itertools.pairwise(frames))
    for frame in frames:
        assert frame.captured_at.utcoffset() == timedelta(0)
        assert before - slack <= frame.captured_at <= after + slack


def test_reading_before_open_and_after_close_raises_closed(make: Make) -> None:
    source = make()
    with pytest.raises(ClosedError, match="door"):
        source.read(WAIT_S)
    source.open()
    source.read(WAIT_S)
    source.close()
    with pytest.raises(ClosedError, match="door"):
        source.read(WAIT_S)


def test_close_and_open_may_be_repeated(make: Make) -> None:
    source = make()
    source.close()
    source.open()
    source.open()
    source.read(WAIT_S)
    source.close()
    source.close()
    assert "closed" in repr(source)


def test_a_reopened_source_goes_on_counting(make: Make) -> None:
    source = make()
    with source:
        last = read_some(source, 3)[-1]
    with source:
        assert source.read(WAIT_S).sequence > last.sequence


def test_no_frame_in_time_raises_a_timeout_and_the_next_read_works(
    make: Make, request: pytest.FixtureRequest
) -> None:
    """Paced sources run on a clock that stands still, the camera is stalled."""
    rig = request.getfixturevalue("rig") if "picamera2" in request.node.name else None
    clock = None if rig else ManualClock()
    with make(clock=clock) as source:
        source.read(WAIT_S)
        if rig:
            rig.stalled.set()
        with pytest.raises(FrameTimeoutError):
            source.read(0.001)
        if rig:
            rig.stalled.clear()
        source.read(WAIT_S)


def test_a_missing_camera_or_file_gives_one_line_that_says_what_to_do(
    make_missing: tuple[Callable[[], FrameSource], str],
) -> None:
    build, word = make_missing
    source = build()
    with pytest.raises(CameraError) as caught:
        source.open()
    message = str(caught.value)
    assert word in message
    assert "\n" not in message
    assert not source.is_open
    assert caught.value.exit_code == 3
    with pytest.raises(ClosedError):
        source.read(WAIT_S)


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "reopening"])
def test_every_source_takes_an_exposure_closed_and_open_and_goes_on(
    make: Make, wrapped: bool
) -> None:
    bare = make()
    source = reopening(bare) if wrapped else bare
    source.expose(1.0)
    with source:
        for ev in (1.0, -3.0, 30.0, 0.0):
            source.expose(ev)
            source.read(WAIT_S)
