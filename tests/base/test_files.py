"""A file is there whole or not at all, and what is private is read by its owner alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgeface.base.errors import StateError
from edgeface.base.files import (
    KEY_FILE_BYTES,
    PRIVATE,
    PUBLIC,
    disk_trouble,
    drafted,
    locked,
    make_folder,
    make_once,
    own_folder,
    read_file,
    read_small,
    set_aside,
    touch_private,
    write_file,
)

KILLED_BEFORE_ITS_PLACE = """
import os, sys
from pathlib import Path
from edgeface.base.files import write_file

def killed(*_):
    os.kill(os.getpid(), 9)

os.link = Path.replace = killed
write_file(Path(sys.argv[1]), b"new", 0o600, replace=sys.argv[2] == "replace")
"""

RACING = """
import sys
from pathlib import Path
from edgeface.base.files import write_file

print("ready", flush=True)
sys.stdin.readline()
write_file(Path(sys.argv[1]), sys.argv[2].encode() * 100_000, 0o600)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("umask", [0, 0o022, 0o077], ids=oct)
@pytest.mark.parametrize("wanted", [PRIVATE, PUBLIC], ids=oct)
def test_a_file_has_its_mode_whatever_the_umask(tmp_path: Path, umask: int, wanted: int) -> None:
    path = tmp_path / "made" / "below" / "file"
    before = os.umask(umask)
    try:
        write_file(path, b"content", wanted)
    finally:
        os.umask(before)
    assert (path.read_bytes(), mode(path)) == (b"content", wanted)
    assert [mode(folder) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]
    assert names(path.parent) == ["file"]


def test_the_draft_is_private_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    with drafted(tmp_path / "file") as file:
        (draft,) = tmp_path.iterdir()
        assert (mode(draft), draft.stat().st_size) == (PRIVATE, 0)
        file.write(b"content")
    assert names(tmp_path) == ["file"]


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old", PUBLIC)
    with pytest.raises(StateError, match="is there already, and nothing is overwritten"):
        write_file(path, b"new", PRIVATE)
    with pytest.raises(FileExistsError), drafted(path) as file:
        file.write(b"new")
    assert (path.read_bytes(), mode(path)) == (b"old", PUBLIC)
    write_file(path, b"new", PRIVATE, replace=True)
    assert (path.read_bytes(), mode(path)) == (b"new", PRIVATE)
    assert names(tmp_path) == ["file"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "file"
    target.write_bytes(b"somebody else's")
    path.symlink_to(target)
    with pytest.raises(StateError, match="is there already"):
        write_file(path, b"new", PRIVATE)
    write_file(path, b"new", PRIVATE, replace=True)
    assert (target.read_bytes(), path.is_symlink()) == (b"somebody else's", False)


def test_a_writer_that_fails_leaves_the_old_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old", PRIVATE)
    with pytest.raises(TypeError), drafted(path, replace=True) as file:
        file.writelines([b"half of the n", None])
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("how", ["replace", "create"])
def test_a_writer_killed_before_the_file_has_its_place_leaves_what_was(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "file"
    if how == "replace":
        write_file(path, b"old", PRIVATE)
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE_ITS_PLACE, path, how], check=False)
    assert done.returncode == -9
    (draft,) = (name for name in names(tmp_path) if name != "file")
    assert (tmp_path / draft).read_bytes() == b"new"
    assert (path.read_bytes() if path.exists() else None) == (b"old" if how == "replace" else None)
    write_file(path, b"newer", PRIVATE, replace=how == "replace")
    assert path.read_bytes() == b"newer"


def test_the_content_is_on_disk_before_its_name_and_the_name_before_the_writer_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_file(path, b"old", PRIVATE)
    synced: list[tuple[str, bytes]] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        fsync(handle)
        name = Path(f"/proc/self/fd/{handle}").readlink()
        content = name.read_bytes() if name.is_file() else b"folder"
        synced.append((content.decode(), path.read_bytes()))

    monkeypatch.setattr(os, "fsync", note)
    write_file(path, b"new", PRIVATE, replace=True)
    assert synced == [("new", b"old"), ("folder", b"new")]
    synced.clear()
    with drafted(path, replace=True, durable=False) as file:
        file.write(b"newer")
    assert (path.read_bytes(), synced) == (b"newer", [])


def test_of_processes_that_make_a_file_at_once_one_wins_and_the_others_are_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, path, text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for text in "abcd"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate()[1] for racer in racers]
    won = [text for text, racer in zip("abcd", racers, strict=True) if racer.returncode == 0]
    assert len(won) == 1
    assert path.read_bytes() == won[0].encode() * 100_000
    assert sum("is there already, and nothing is overwritten" in text for text in said) == 3
    assert names(tmp_path) == ["file"]


def test_what_root_makes_belongs_to_the_owner_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, *owner: given.append((Path(path).name, *owner)))
    write_file(tmp_path / "folder" / "file", b"", PUBLIC)
    touch_private(tmp_path / "empty")
    (folder, draft, empty), owners = zip(*((name, ids) for name, *ids in given), strict=True)
    assert (folder, draft.startswith(".file."), empty) == ("folder", True, "empty")
    assert set(map(tuple, owners)) == {(tmp_path.stat().st_uid, tmp_path.stat().st_gid)}
    given.clear()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    write_file(tmp_path / "mine", b"", PUBLIC)
    assert given == []


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "below"
    with pytest.raises(StateError, match=f"{path}: cannot write: Not a directory"):
        write_file(path, b"", PRIVATE)


def test_a_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    for content in (b"first", b"second"):
        make_once(path, content)
        assert (path.read_bytes(), mode(path), names(path.parent)) == (b"first", PRIVATE, ["file"])


def test_who_loses_the_race_for_a_file_leaves_the_winners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"the winner's")
    with monkeypatch.context() as unseen:
        unseen.setattr(Path, "exists", lambda _: False)
        make_once(path, b"the loser's")
    assert (path.read_bytes(), names(tmp_path)) == (b"the winner's", ["file"])


def test_an_empty_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    touch_private(path)
    assert (path.read_bytes(), mode(path), mode(path.parent)) == (b"", PRIVATE, 0o700)
    path.write_bytes(b"used")
    touch_private(path)
    assert path.read_bytes() == b"used"


@pytest.mark.parametrize("allowed", [0o600, 0o400, 0o640, 0o440], ids=oct)
def test_a_private_file_may_be_read_by_its_owner_and_group(tmp_path: Path, allowed: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    path.chmod(allowed)
    assert read_small(path, private=True) == b"secret"


@pytest.mark.parametrize("refused", [0o644, 0o604, 0o602, 0o601, 0o620, 0o660], ids=oct)
def test_a_private_file_that_others_may_read_or_change_is_refused(
    tmp_path: Path, refused: int
) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    path.chmod(refused)
    with pytest.raises(StateError) as told:
        read_small(path, "gallery's key", private=True)
    assert str(told.value) == (
        f"{path}: other users may read or change the gallery's key (mode {refused:04o}); "
        f"make it private: chmod 600 {path}"
    )
    assert read_small(path) == b"secret"


def test_the_file_that_is_checked_is_the_one_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write to the folder puts a private file there after the other was opened."""
    path, other = tmp_path / "key", tmp_path / "other"
    write_file(path, b"known to all", PUBLIC)
    write_file(other, b"secret", PRIVATE)
    fstat = os.fstat

    def exchange(handle: int) -> os.stat_result:
        if other.exists():
            other.replace(path)
        return fstat(handle)

    monkeypatch.setattr(os, "fstat", exchange)
    with pytest.raises(StateError, match="mode 0644"):
        read_small(path, private=True)
    assert read_small(path, private=True) == b"secret"


def test_what_is_no_small_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(KEY_FILE_BYTES))
    assert read_small(path) == bytes(KEY_FILE_BYTES)
    path.write_bytes(bytes(KEY_FILE_BYTES + 1))
    with pytest.raises(StateError, match="too large for the password"):
        read_small(path, "password")
    with pytest.raises(StateError, match="cannot read the password: Is a directory"):
        read_small(tmp_path, "password")
    with pytest.raises(StateError, match="absent: cannot read the key: No such file"):
        read_small(tmp_path / "absent")


def test_folders_that_are_missing_are_the_owners_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert [mode(tmp_path / name) for name in (".", "a", "a/b")] == [0o755, 0o700, 0o700]


def test_a_folder_that_cannot_be_had_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_folder(tmp_path / "state", "state folder")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match="file/state: cannot make the state folder: Not a dir"):
        own_folder(tmp_path / "file" / "state", "state folder")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StateError, match="the state folder cannot be written to by this user"):
        own_folder(tmp_path / "state", "state folder")


def test_a_database_is_set_aside_with_what_belongs_to_it(tmp_path: Path) -> None:
    path = tmp_path / "box"
    moved = []
    for content in (b"first", b"second"):
        path.write_bytes(content)
        Path(f"{path}-wal").write_bytes(content)
        moved.append(set_aside(path, "broken").name)
    assert moved == ["box.broken", "box.broken-2"]
    (tmp_path / "box.broken-3-shm").write_bytes(b"")
    path.write_bytes(b"third")
    assert set_aside(path, "broken").name == "box.broken-4"
    assert (tmp_path / "box.broken-2-wal").read_bytes() == b"second"
    assert not path.exists()


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        assert mode(path) == PRIVATE
        with pytest.raises(StateError, match="another `edgeface fleet` is working"), locked(path):
            pass
    with locked(path):
        pass
    with pytest.raises(StateError, match="cannot lock"), locked(tmp_path / "absent" / "lock"):
        pass


def test_what_a_user_named_is_a_regular_file_and_not_too_large(tmp_path: Path) -> None:
    """A pipe is not waited for, a device not read, a large file not read whole."""
    good, sparse, pipe = tmp_path / "good", tmp_path / "sparse", tmp_path / "pipe"
    good.write_bytes(bytes(2048))
    with sparse.open("wb") as file:
        file.truncate(5 << 30)
    os.mkfifo(pipe)
    assert read_file(good, 2048) == bytes(2048)
    for path, message in (
        (good, "larger than 1 KiB"),
        (sparse, "larger than 1 KiB"),
        (pipe, "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "absent", "No such file or directory"),
    ):
        with pytest.raises(OSError, match=message) as error:
            read_file(path, 1024)
        assert error.value.strerror == message
        assert error.value.filename == str(path)
    # The kernel says that it is empty, and it is not.
    assert read_file(Path("/proc/self/status"), 1 << 20)
    with pytest.raises(OSError, match="larger than 0 KiB"):
        read_file(Path("/proc/self/status"), 10)


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(pipe, b"page", 0o644, replace=True)
        assert os.read(reader, 10) == b"page"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_disk_with_room_is_no_trouble_and_one_that_is_full_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert disk_trouble(tmp_path) is None
    assert disk_trouble(tmp_path / "nowhere") is None
    real = os.statvfs(tmp_path)
    for field, words in ((4, "less than 1 MiB is left"), (7, "no file can be made")):
        values = list(real)
        values[5], values[6], values[7] = 1000, 900, 900  # f_files, f_ffree, f_favail
        values[field] = 0
        monkeypatch.setattr(os, "statvfs", lambda _, values=values: os.statvfs_result(values))
        assert words in str(disk_trouble(tmp_path))
