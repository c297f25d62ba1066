"""The effective time never goes back, and is remembered only while it can be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.base.clock import NS, ManualClock
from edgeface.service.time_floor import BEYOND_S, PERSIST_EVERY_S, TimeFloor
from tests.support.flips import flip


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(utc_ns=1_800_000_000 * NS)


def test_after_a_reboot_into_the_past_the_remembered_time_holds(
    tmp_path: Path, clock: ManualClock
) -> None:
    TimeFloor(tmp_path / "time", clock).persist()
    clock.utc_offset_ns += -1_000_000 * NS
    clock.disciplined = False
    floor = TimeFloor(tmp_path / "time", clock)
    assert floor.now_s() == 1_800_000_000
    clock.utc_offset_ns += 2_000_000 * NS
    assert floor.now_s() == 1_801_000_000


def test_a_time_nobody_vouches_for_is_not_remembered(tmp_path: Path, clock: ManualClock) -> None:
    clock.disciplined = False
    TimeFloor(tmp_path / "time", clock).persist()
    assert not (tmp_path / "time").exists()


def test_it_is_written_at_most_every_five_minutes(tmp_path: Path, clock: ManualClock) -> None:
    floor = TimeFloor(tmp_path / "time", clock)
    floor.persist()
    clock.sleep(PERSIST_EVERY_S - 1)
    floor.persist()
    assert (tmp_path / "time").read_text().split()[0] == "1800000000"
    clock.sleep(1)
    floor.persist()
    assert (tmp_path / "time").read_text().split()[0] == f"{1_800_000_000 + PERSIST_EVERY_S:.0f}"


def test_a_manifest_raises_it(tmp_path: Path, clock: ManualClock) -> None:
    floor = TimeFloor(tmp_path / "time", clock)
    clock.disciplined = False
    floor.raise_to(1_900_000_000)
    assert floor.now_s() == 1_900_000_000


@pytest.mark.parametrize(
    "content", ["", "soon", "nan", "inf", "\xff", "1e300", "9" * 400, "-1", "1 2"], ids=ascii
)
def test_a_broken_file_is_no_time_and_says_so_until_it_is_written_anew(
    tmp_path: Path, clock: ManualClock, content: str
) -> None:
    (tmp_path / "time").write_text(content, encoding="latin-1")
    clock.disciplined = False
    floor = TimeFloor(tmp_path / "time", clock)
    floor.persist()
    assert floor.now_s() == 1_800_000_000
    assert "once the clock is synchronized" in str(floor.trouble)
    clock.disciplined = True
    floor.persist()
    assert floor.trouble is None
    assert TimeFloor(tmp_path / "time", clock).trouble is None


def test_a_bit_that_flips_in_the_file_never_makes_another_time(
    tmp_path: Path, clock: ManualClock
) -> None:
    file = tmp_path / "time"
    TimeFloor(file, clock).persist()
    clock.disciplined = False
    clock.utc_offset_ns -= 1_000_000 * NS
    content = file.read_bytes()
    for byte in range(len(content)):
        for bit in range(8):
            file.write_bytes(content)
            flip(file, byte, bit)
            floor = TimeFloor(file, clock)
            assert floor.now_s() == (1_800_000_000 if floor.trouble is None else 1_799_000_000)


def test_a_time_far_beyond_a_synchronized_clock_locks_nobody_out(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A digit of a file without a digest, or a manifest by a clock that was wrong."""
    (tmp_path / "time").write_text("3895834208\n")
    clock.disciplined = False
    floor = TimeFloor(tmp_path / "time", clock)
    assert floor.now_s() == 3_895_834_208, "nobody can tell yet"
    clock.disciplined = True
    assert floor.now_s() == 1_800_000_000
    assert "the clock is believed" in caplog.text
    floor.persist()
    clock.disciplined = False
    assert TimeFloor(tmp_path / "time", clock).now_s() == 1_800_000_000
    floor.raise_to(1_800_000_000 + BEYOND_S)
    clock.disciplined = True
    assert floor.now_s() == 1_800_000_000 + BEYOND_S, "clocks differ"


def test_a_time_that_cannot_be_remembered_is_only_logged(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    TimeFloor(tmp_path / "file" / "time", clock).persist()
    assert "the time cannot be remembered" in caplog.text
