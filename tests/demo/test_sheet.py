"""The contact sheet, drawn from frames as the daemon records them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.base.errors import StateError
from edgeface.demo.canvas import GREEN, RED, Canvas, Rgb, cut, fill, fit, text_width
from edgeface.demo.plan import People
from edgeface.demo.recordings import Recordings
from edgeface.demo.sheet import FOOTER, HEADER, ROW, WIDTH, draw_sheet
from edgeface.demo.story import Happening
from edgeface.service.recorder import Recorder
from tests.support.doorstep import Scene
from tests.support.hearsay import Hearsay
from tests.support.people import gallery, identity


@pytest.fixture
def recordings(tmp_path: Path) -> Recordings:
    """A track of ten recorded frames of somebody who is enrolled."""
    visitor = identity(np.random.default_rng(11))
    doorstep = Scene(gallery([visitor], ["p_annaannaaa"]))
    doorstep.play(0, (500, visitor))
    with Recorder(tmp_path / "frames", max_queued=30) as recorder:
        for _ in range(20):
            frame = doorstep.frame()
            recorder.observe(frame, doorstep.pipeline.process(frame, doorstep.gallery))
    return Recordings(tmp_path / "frames")


def colored(path: Path, color: Rgb) -> int:
    picture = cv2.imread(str(path))
    assert picture is not None
    return int(np.count_nonzero((picture == np.array(color[::-1])).all(axis=2)))


def ann(photograph: Path) -> People:
    return People("p_annaannaaa", "Ann", "Bob", photograph)


def rows(recordings: Recordings, hearsay: Hearsay, *, opens: bool) -> list[tuple[str, Happening]]:
    frames = recordings.frames()
    event = hearsay.live()
    hearsay.door(event, opens=opens)
    happening = hearsay.story.happenings[event.event_id]
    # The event is about the recorded track, and rests on its third frame.
    object.__setattr__(event.track, "id", frames[0].faces[0].track_id)
    object.__setattr__(happening.event, "track", event.track)
    object.__setattr__(happening.event, "captured_at", frames[2].captured_at)
    return [("Ann, enrolled", happening), ("Ann again", happening)]


def test_every_happening_is_a_row_in_the_color_of_what_the_door_did(
    recordings: Recordings, hearsay: Hearsay, tmp_path: Path
) -> None:
    opened, shut = tmp_path / "opened.png", tmp_path / "shut.png"
    photograph = tmp_path / "ann.png"
    cv2.imwrite(str(photograph), np.full((50, 40, 3), 128, np.uint8))
    for path in (opened, shut):
        found = rows(recordings, hearsay, opens=path is opened)
        draw_sheet(ann(photograph), found, recordings.frames(), path)
    picture = cv2.imread(str(opened))
    assert picture is not None
    assert picture.shape == (HEADER + 2 * ROW + FOOTER, WIDTH, 3)
    assert colored(shut, RED) > colored(opened, RED) + 2000
    assert colored(opened, GREEN) > colored(shut, GREEN) + 2000


def test_a_happening_whose_frames_were_not_recorded_still_has_its_numbers(
    recordings: Recordings, hearsay: Hearsay, tmp_path: Path
) -> None:
    found = rows(recordings, hearsay, opens=True)
    draw_sheet(ann(tmp_path / "none.png"), found, [], tmp_path / "bare.png")
    assert colored(tmp_path / "bare.png", GREEN) > 2000


def test_recordings_are_read_as_they_grow(recordings: Recordings, tmp_path: Path) -> None:
    frames = recordings.frames()
    assert [frame.sequence for frame in frames] == sorted(frame.sequence for frame in frames)
    image = frames[0].image()
    assert image is not None
    assert image.shape == (frames[0].size[1], frames[0].size[0], 3)
    frames[0].path.unlink()
    assert frames[0].image() is None


def test_a_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot write the picture"):
        draw_sheet(ann(tmp_path / "none.png"), [], [], tmp_path / "absent" / "sheet.png")


@pytest.mark.parametrize(
    ("size", "about"),
    [
        pytest.param((40, 30), (0, 0), id="at a corner"),
        pytest.param((500, 500), (50, 50), id="larger than the picture"),
    ],
)
def test_cuts_stay_inside_and_fill_their_place(
    size: tuple[int, int], about: tuple[int, int]
) -> None:
    image = np.zeros((90, 160, 3), np.uint8)
    part = cut(image, about, size)
    assert part.shape == (min(90, size[1]), min(160, size[0]), 3)
    assert fill(part, 162, 216).shape == (216, 162, 3)


@pytest.mark.parametrize("name", ["Zoë Čapek", "陳大文", "Eileen Collins"])
def test_a_name_in_any_script_is_drawn_and_cut_to_its_width(name: str, tmp_path: Path) -> None:
    canvas = Canvas(300, 60)
    assert canvas.text((10, 10), name, 15) == 10 + text_width(name, 15)
    canvas.pill(10, 30, name, 12, GREEN)
    canvas.save(tmp_path / "page.png")
    assert colored(tmp_path / "page.png", GREEN) > 300
    assert text_width(fit(name * 9, 15, 120), 15) <= 120
    assert fit(name, 15, 300) == name
