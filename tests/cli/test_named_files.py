"""What a user names may be any file: every verb answers at once, in one line, and reads no more
than it must."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.cli.main import main
from edgeface.inference import package_files
from edgeface.settings.places import shipped_models

CONFIG = "site: hq\ndevice: door-1\nstate_dir: state\ncamera: {source: images, folder: .}\n"
SECONDS = 20
"""Nothing here takes one; a pipe would be waited for without end."""
REASONS = (
    "not a regular file",
    "larger than",
    "the line is longer",
    "no picture has",
    "no photograph",
)


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"not done within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["pipe", "device", "huge"])
def unfit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A FIFO nobody writes to, a link to /dev/zero, and 5 GB that take no room on the disk."""
    path = tmp_path / "unfit.png"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            with path.open("wb") as file:
                file.truncate(5 << 30)
    return path


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        pytest.param("config check {unfit}", 2, id="config check"),
        pytest.param("compare {unfit} {unfit}", 2, id="compare"),
        pytest.param("enroll {unfit} --name Kim -c {config}", 2, id="enroll"),
        pytest.param("evaluate verification --pairs {unfit} --root {here}", 2, id="protocol"),
        pytest.param("evaluate detection --boxes {unfit} --root {here}", 2, id="boxes"),
        pytest.param("evaluate detection --one-face unfit --root {here}", 2, id="pictures"),
        pytest.param("gallery import {unfit} -c {config}", 2, id="import"),
        pytest.param("bench pipeline --photograph {unfit} --frames 10", 2, id="bench"),
    ],
)
def test_a_pipe_a_device_and_a_huge_file_are_refused_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, unfit: Path, verb: str, status: int
) -> None:
    config = tmp_path / "edgeface.yaml"
    config.write_text(CONFIG)
    names = {"unfit": unfit, "config": config, "here": tmp_path}
    if "import" in verb and unfit.is_file():
        status = 1  # an export has no bound: it is read, and refused for what is in it
    assert main(verb.format(**names).split()) == status
    told = capsys.readouterr().err
    assert "unfit" in told
    assert any(reason in told for reason in REASONS), told


@pytest.mark.parametrize("name", ["model.yaml", "model.tflite", "golden.npz"])
def test_a_package_with_such_a_file_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, unfit: Path, name: str
) -> None:
    shutil.copytree(shipped_models() / "facenet", tmp_path / "models" / "mine")
    file = tmp_path / "models" / "mine" / name
    file.unlink()
    unfit.rename(file)
    assert main(["models", "list", str(tmp_path / "models")]) == 3
    told = capsys.readouterr().err
    assert f"{file}: cannot be read: " in told


@pytest.mark.parametrize(
    "words",
    [
        "enroll nowhere.png --name Ann -c edgeface.yaml",
        "enroll --folder nowhere -c edgeface.yaml",
        "enroll --folder short -c edgeface.yaml",
        "enroll --folder empty -c edgeface.yaml",
        "fleet init hq -s hq --passphrase-file nowhere",
        "fleet init hq -s hq --passphrase-file short",
        "fleet init hq -s hq --passphrase-file open",
        "certs init --dir ca --passphrase-file nowhere",
        "certs device hq d --dir nowhere",
        "certs show nowhere",
        "certs show short",
        "gallery import nowhere -c edgeface.yaml",
        "gallery import short --key-file nowhere -c edgeface.yaml",
        "gallery export nowhere/x --plain -c edgeface.yaml",
        "gallery show nobody -c edgeface.yaml",
        "gallery remove nobody -c edgeface.yaml",
        "gallery show --card 77 -c edgeface.yaml",
        "bench pipeline --photograph nowhere --frames 10",
        "bench pipeline --photograph short --frames 10",
        "bench pipeline --clip nowhere --frames 10",
        "bench pipeline --clip short --frames 10",
        "bench peers --python short --frames 10",
        "bench peers --python /bin/true --photograph short --frames 10",
    ],
)
def test_what_is_not_there_is_a_fault_of_what_was_given(
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("edgeface.yaml").write_text(CONFIG)
    Path("empty").mkdir()
    Path("short").write_text("secret\n")
    Path("short").chmod(0o600)
    Path("open").write_text("correct horse\n")
    Path("open").chmod(0o644)
    try:
        status = main(words.split())
    except SystemExit as end:
        status = end.code
    err = capsys.readouterr().err
    assert status == 2, err
    assert "Traceback" not in err
    assert not Path("hq/site.yaml").exists()
    assert not Path("ca").exists()


@pytest.mark.parametrize(
    "words",
    [
        "evaluate liveness --live . --attack a=. --report {out}.html",
        "evaluate verification --pairs short --root . --report {out}.html",
        "embed . -o {out}.npz",
        "matrix . -o {out}.png",
        "map . --csv {out}.csv",
        "inspect short -o {out}.png",
        "models show facenet -o {out}.svg",
        "demo --output {out}.png",
    ],
)
@pytest.mark.parametrize("out", ["/proc/out", "x" * 300, "x" * 243], ids=["proc", "long", "draft"])
def test_where_nothing_can_be_written_is_said_before_the_work(
    words: str,
    out: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(words.format(out=out).split())
    told = capsys.readouterr().err
    assert caught.value.code == 2, told
    assert ": cannot be written: " in told


def test_a_package_that_cannot_be_calibrated_is_said_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(package_files, "try_file", refuse)  # root may write anywhere else
    shutil.copytree(shipped_models() / "facenet", tmp_path / "mine")
    words = f"evaluate calibration --pairs nowhere --root . --embedder {tmp_path}/mine --write"
    assert main(words.split()) != 0
    told = capsys.readouterr().err
    assert f"{tmp_path}/mine/model.yaml: cannot write: Read-only file system" in told
