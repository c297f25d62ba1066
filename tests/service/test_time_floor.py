"""The effective time never goes back, and is remembered only while it can be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.base.clock import NS, ManualClock
from edgeface.service.time_floor import PERSIST_EVERY_S, TimeFloor


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(utc_ns=1_800_000_000 * NS)


def test_after_a_reboot_into_the_past_the_remembered_time_holds(
    tmp_path: Path, clock: ManualClock
) -> None:
    TimeFloor(tmp_path / "time", clock).persist()
    clock.utc_offset_ns += -1_000_000 * NS
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
    assert (tmp_path / "time").read_text() == "1800000000\n"
    clock.sleep(1)
    floor.persist()
    assert (tmp_path / "time").read_text() == f"{1_800_000_000 + PERSIST_EVERY_S:.0f}\n"


def test_a_manifest_raises_it(tmp_path: Path, clock: ManualClock) -> None:
    floor = TimeFloor(tmp_path / "time", clock)
    floor.raise_to(1_900_000_000)
    assert floor.now_s() == 1_900_000_000


@pytest.mark.parametrize("content", ["", "soon", "nan", "inf", "\xff"], ids=repr)
def test_a_broken_file_is_no_time(tmp_path: Path, clock: ManualClock, content: str) -> None:
    (tmp_path / "time").write_text(content, encoding="latin-1")
    assert TimeFloor(tmp_path / "time", clock).now_s() == 1_800_000_000


def test_a_time_that_cannot_be_remembered_is_only_logged(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    TimeFloor(tmp_path / "file" / "time", clock).persist()
    assert "the time cannot be remembered" in caplog.text
