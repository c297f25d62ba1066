"""What a new user does wrong: one clear line and the documented exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeface.settings.places import shipped_models
from tests.support.daemon import edgeface, write_config

NOWHERE = {"source": "images", "folder": "nowhere"}


def no_camera(folder: Path) -> dict[str, Any]:
    return {"camera": {"source": "v4l2", "device": "/dev/video97"}}


def no_clip(folder: Path) -> dict[str, Any]:
    return {"camera": {"source": "stream", "url": "nowhere.mp4"}}


def no_model(folder: Path) -> dict[str, Any]:
    return {"camera": NOWHERE, "models": {"embedder": str(folder / "facenet")}}


def corrupt_model(folder: Path) -> dict[str, Any]:
    copy = folder / "facenet"
    shutil.copytree(shipped_models() / "facenet", copy)
    model = copy / "model.tflite"
    content = bytearray(model.read_bytes())
    content[1000] ^= 1
    model.write_bytes(content)
    return {"camera": NOWHERE, "models": {"embedder": str(copy)}}


def state_is_a_file(folder: Path) -> dict[str, Any]:
    (folder / "state").write_text("")
    return {"camera": NOWHERE}


def wrong_value(folder: Path) -> dict[str, Any]:
    return {"camera": NOWHERE, "decision": {"target_fpir": 2}}


@pytest.mark.parametrize(
    ("arrange", "code", "words"),
    [
        pytest.param(wrong_value, 2, "decision.target_fpir", id="wrong value"),
        pytest.param(no_model, 3, "no such model package", id="no model"),
        pytest.param(corrupt_model, 3, "differs from model.yaml", id="corrupt model"),
        pytest.param(no_camera, 3, "/dev/video97", id="no camera"),
        pytest.param(no_clip, 3, "nowhere.mp4", id="no video file"),
        pytest.param(state_is_a_file, 2, "no folder; name another place", id="no state folder"),
    ],
)
def test_it_says_one_line_and_ends_with_the_code(
    tmp_path: Path, arrange: Callable[[Path], dict[str, Any]], code: int, words: str
) -> None:
    done = edgeface("run", "-c", write_config(tmp_path, 1, **arrange(tmp_path)))
    said = [line for line in done.stderr.splitlines() if line.startswith("edgeface: error: ")]
    assert done.returncode == code, done.stderr
    assert len(said) == 1
    assert words in said[0]
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("inside", ["", "/state"], ids=["is there", "is to be made"])
def test_a_state_folder_on_a_read_only_file_system(tmp_path: Path, inside: str) -> None:
    """The Pi with a read-only root; in a mount namespace of its own."""
    (tmp_path / "disk").mkdir()
    file = write_config(tmp_path, 1, camera=NOWHERE, state_dir=f"disk{inside}")
    script = f'mount -t tmpfs -o ro none "{tmp_path}/disk" && exec "$@"'
    words = [sys.executable, "-m", "edgeface", "run", "-c", str(file)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "edgeface" not in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    assert done.returncode == 2, done.stderr
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("edgeface: error"))
    assert "state folder (state_dir)" in said
    assert "ead-only file system; name another place" in said


def test_no_file_at_all(tmp_path: Path) -> None:
    done = edgeface("run", "-c", tmp_path / "edgeface.yaml")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_runtime_names_what_to_install(tmp_path: Path) -> None:
    for name in ("ai_edge_litert", "tflite_runtime"):
        package = tmp_path / "path" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise ModuleNotFoundError(__name__)\n")
    file = write_config(tmp_path, 1, camera=NOWHERE)
    done = edgeface("run", "-c", file, PYTHONPATH=str(tmp_path / "path"))
    assert done.returncode == 3
    assert "pip install ai-edge-litert" in done.stderr


def test_a_state_folder_that_everybody_may_change_is_warned_of_at_the_start(tmp_path: Path) -> None:
    file = write_config(tmp_path, 1, **no_clip(tmp_path))
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    state.chmod(0o777)
    assert f"chmod 700 {state}" in edgeface("run", "-c", file).stderr
