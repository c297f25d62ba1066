"""The folder of sealed pictures: age, size, whom they show, and what a crash leaves."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeface.base.ids import uuid7
from edgeface.security.sealing import picture_context
from edgeface.service.snapshot_folder import SnapshotFolder
from tests.faults.namespace import own_mounts
from tests.support.kept_pictures import PICTURE, SECRET, kept_picture

ROOT = Path(__file__).resolve().parents[2]
ANNA, BERT = "p_annaannaaa", "p_bertbertbb"
DAY_S = 86_400.0


def names(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def test_what_is_kept_opens_with_the_administrators_key_as_that_event_alone(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "snapshots")
    event_id, other = kept_picture(folder, ANNA), kept_picture(folder)
    (tmp_path / "snapshots" / f"{other}.json").write_bytes(
        (tmp_path / "snapshots" / f"{event_id}.json").read_bytes()
    )
    found = folder.get(event_id)
    assert found is not None
    assert SECRET.open(found.sealed, picture_context("hq", "door-1", event_id)) == PICTURE
    assert folder.get(other) is None
    assert folder.get(uuid7(time.time_ns())) is None
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "snapshots").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "snapshots").stat().st_mode) == 0o700
    assert PICTURE not in b"".join(path.read_bytes() for path in (tmp_path / "snapshots").iterdir())


def test_an_age_of_this_run_is_counted_by_the_clock_that_nobody_sets(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    kept_picture(folder, boottime_s=100)
    for now_s in (0.0, time.time() + 30 * DAY_S):  # the date is set back and ahead
        folder.enforce(now_s, 100 + 59, 60, 10**9)
        assert len(names(tmp_path)) == 1
    folder.enforce(0.0, 100 + 60, 60, 10**9)
    assert names(tmp_path) == set()


def test_what_an_earlier_run_left_is_erased_by_its_date_and_at_the_latest_from_now(
    tmp_path: Path,
) -> None:
    old, young = kept_picture(tmp_path, age_s=2 * DAY_S), kept_picture(tmp_path)
    ahead = kept_picture(tmp_path, age_s=-10 * DAY_S)  # the clock was wrong then
    folder = SnapshotFolder(tmp_path, 1000, tidy=True)
    folder.enforce(time.time(), 1000, DAY_S, 10**9)
    assert names(tmp_path) == {young, ahead}
    assert old not in names(tmp_path)
    folder.enforce(time.time(), 1000 + DAY_S, DAY_S, 10**9)
    assert names(tmp_path) == set()


def test_the_oldest_go_where_they_take_too_much(tmp_path: Path) -> None:
    found = [kept_picture(tmp_path, age_s=age_s) for age_s in (50, 40, 30, 20)]
    folder = SnapshotFolder(tmp_path, 0)
    kept_picture(folder)
    one = folder.size // 5
    folder.enforce(time.time(), 0, DAY_S, 3 * one + one // 2)
    assert not names(tmp_path) & set(found[:2])
    assert len(names(tmp_path)) == 3


def test_a_person_takes_every_picture_along_and_no_other(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    stranger, hers = kept_picture(folder), kept_picture(folder, ANNA)
    both, his = kept_picture(folder, ANNA, BERT), kept_picture(folder, BERT)
    asked: list[str] = []

    def gone(person_id: str) -> bool:
        asked.append(person_id)
        return person_id == ANNA

    SnapshotFolder(tmp_path, tidy=True).forget(lambda _: False)
    assert names(tmp_path) == {stranger, hers, both, his}
    folder.forget(gone, "revision 2")
    assert names(tmp_path) == {stranger, his}
    assert folder.get(hers) is None
    asked.clear()
    folder.forget(gone, "revision 2")
    assert asked == [], "nothing has changed"
    kept_picture(folder, ANNA)  # it was decided on with the gallery before
    folder.forget(gone, "revision 2")
    assert names(tmp_path) == {stranger, his}


def test_what_a_crash_leaves_goes_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    good, half, nobodys = kept_picture(tmp_path, ANNA), uuid7(1), uuid7(2)
    (tmp_path / f".{half}.json.0123abcd").write_text("half a picture")
    (tmp_path / f"{half}.json").write_bytes(b"")
    (tmp_path / f"{nobodys}.json").write_text('{"people": ["somebody"]}\n{}\n')
    (tmp_path / "notes.json").write_text("mine")
    before = set(tmp_path.iterdir())
    SnapshotFolder(tmp_path)
    assert set(tmp_path.iterdir()) == before, "only the daemon tidies"
    SnapshotFolder(tmp_path, tidy=True)
    assert {path.name for path in tmp_path.iterdir()} == {f"{good}.json", "notes.json"}


def test_what_cannot_be_erased_is_told_and_tried_again(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    event_id = kept_picture(folder, ANNA)
    path = tmp_path / f"{event_id}.json"
    path.unlink()
    path.mkdir()
    folder.forget(lambda _: True, "revision 2")
    assert folder.trouble is not None
    assert "cannot be erased" in folder.trouble
    path.rmdir()
    folder.forget(lambda _: True, "revision 2")
    assert folder.trouble is None


FULL = """
import errno, sys
from pathlib import Path
from tests.faults.namespace import mount_small
from tests.support.kept_pictures import kept_picture
from edgeface.service.snapshot_folder import RESERVE_BYTES, SnapshotFolder

place = Path(sys.argv[1])
mount_small(place, RESERVE_BYTES + 128 * 1024)
folder = SnapshotFolder(place / "snapshots")
kept_picture(folder)
(place / "ballast").write_bytes(bytes(128 * 1024))
try:
    kept_picture(folder)
except OSError as error:
    assert error.errno == errno.ENOSPC, error
else:
    raise AssertionError("the last of the disk was taken from the events")
(place / "ballast").write_bytes(b"")
kept_picture(folder)
assert len(list((place / "snapshots").iterdir())) == 2
print("held")
"""


def test_the_last_of_a_disk_is_left_to_events(tmp_path: Path) -> None:
    namespace = own_mounts()
    if namespace is None:
        pytest.skip("a tmpfs cannot be mounted here: it takes root or user namespaces")
    done = subprocess.run(
        [*namespace, sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "held" in done.stdout
