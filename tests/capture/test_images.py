"""The folder of pictures."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.base.clock import ManualClock
from edgeface.base.errors import CameraError, EndOfStreamError, FrameTimeoutError
from tests.support.cameras import images
from tests.support.pictures import FRAMES, number_of

WAIT_S = 10.0


def test_pictures_come_in_the_order_of_their_names_and_then_the_end(folder: Path) -> None:
    with images(folder, fps=1, clock=ManualClock()) as source:
        shown = [number_of(source.read(WAIT_S).image) for _ in range(FRAMES)]
        assert shown == list(range(FRAMES))
        with pytest.raises(EndOfStreamError):
            source.read(WAIT_S)


def test_a_slow_reader_slows_the_show_and_misses_nothing(folder: Path) -> None:
    clock = ManualClock()
    shown, stamps = [], []
    with images(folder, fps=10, clock=clock) as source:
        for _ in range(FRAMES):
            frame = source.read(WAIT_S)
            shown.append(number_of(frame.image))
            stamps.append((clock.boottime_ns(), frame.boottime_ns))
            clock.sleep(3.0)
    assert shown == list(range(FRAMES))
    assert all(now == stamp for now, stamp in stamps)


def test_a_timeout_loses_no_picture(folder: Path) -> None:
    clock = ManualClock()
    with images(folder, fps=1, clock=clock) as source:
        source.read(WAIT_S)
        for _ in range(3):
            with pytest.raises(FrameTimeoutError):
                source.read(0.3)
        assert number_of(source.read(WAIT_S).image) == 1


def test_a_picture_that_cannot_be_decoded_is_left_out_and_named(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    (tmp_path / "b.png").write_bytes((folder / "003.png").read_bytes())
    (tmp_path / "c.PNG").write_bytes(b"")
    with caplog.at_level(logging.WARNING), images(tmp_path, clock=ManualClock()) as source:
        assert number_of(source.read(WAIT_S).image) == 3
        with pytest.raises(EndOfStreamError):
            source.read(WAIT_S)
    assert "a.jpg" in caplog.text
    assert "c.PNG" in caplog.text


@pytest.mark.parametrize("loop", [False, True], ids=["once", "loop"])
def test_a_folder_without_one_good_picture_is_an_error(tmp_path: Path, loop: bool) -> None:
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    with (
        images(tmp_path, loop=loop, clock=ManualClock()) as source,
        pytest.raises(CameraError, match="can be decoded"),
    ):
        source.read(WAIT_S)


def test_an_empty_folder_says_what_should_be_in_it(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"no picture in .*\.jpg"):
        images(tmp_path).open()


def test_a_picture_of_more_pixels_than_can_be_decoded_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    huge = bytearray(good)
    huge[16:24] = (20_000).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(huge)
    (tmp_path / "b.png").write_bytes(good)
    with images(tmp_path, clock=ManualClock()) as source:
        assert source.read(WAIT_S).image.shape == (40, 60, 3)
    assert "left out" in caplog.text
    assert "a.png: 20000x20000 pixels" in caplog.text
