"""The board has one writer for each post, in the sources and when the daemon runs."""

from __future__ import annotations

import ast
import threading
from pathlib import Path
from typing import Any

import pytest

from edgeface.demo.photographs import HOPPER
from edgeface.service import board as posts
from edgeface.service.board import Board
from edgeface.service.composition import ACCELERATOR, CAPTURE, GALLERY, RECOGNIZER, Composition
from edgeface.service.recognizing import give_up_stuck
from edgeface.service.reload import change_embedder, reload
from edgeface.settings.loading import load_settings
from tests.support.broker import eventually
from tests.support.daemon import write_config, write_visits

SERVICE = Path(posts.__file__).parent
WRITERS = {
    "by_main": {"recognizing.give_up_stuck", "reload.reload", "reload.change_embedder"},
    "by_recognizer": {"recognizing.Recognizer", "watching.CameraWatch"},
    "by_gallery": {"local_gallery.LocalGallery", "fleet_gallery.FleetGallery"},
    "by_capture": {"capturing.Capture"},
    "by_watcher": {"regaining.watch_accelerator"},
    "by_snapshots": {"snapshots.Snapshots"},
}
"""The top-level functions and classes that write a post; the recognizer has the camera's watch."""


def written(node: ast.AST) -> set[str]:
    """The posts whose attributes are assigned to within a function or class."""
    targets = [item for item in ast.walk(node) if isinstance(item, ast.Attribute)]
    stores = [item.value for item in targets if isinstance(item.ctx, ast.Store)]
    return {
        item.attr
        for item in stores
        if isinstance(item, ast.Attribute) and item.attr.startswith("by_")
    }


def test_each_post_is_written_by_one_worker_alone() -> None:
    found: dict[str, set[str]] = {}
    for path in sorted(SERVICE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for post in written(node):
                    found.setdefault(post, set()).add(f"{path.stem}.{node.name}")
    assert found == WRITERS


def test_what_is_read_from_the_board_cannot_be_written_there(tmp_path: Path) -> None:
    board = Board(load_settings(write_config(tmp_path, 1, camera=images(tmp_path))))
    for name in ("settings", "models", "gallery", "lost"):
        with pytest.raises(AttributeError):
            setattr(board, name, None)


def images(folder: Path, **changes: Any) -> dict[str, Any]:
    return {"source": "images", "folder": str(folder), "loop": True, **changes}


@pytest.mark.usefixtures("root_logger")
def test_each_post_is_written_in_one_thread_while_the_daemon_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[str]] = {}
    for kind in (posts.MainPost, posts.RecognizerPost, posts.GalleryPost, posts.CapturePost):

        def note(post: Any, name: str, value: Any) -> None:
            threads.setdefault(type(post).__name__, set()).add(threading.current_thread().name)
            object.__setattr__(post, name, value)

        monkeypatch.setattr(kind, "__setattr__", note)
    pictures = write_visits(tmp_path / "pictures", [HOPPER])
    file = write_config(tmp_path, 1, camera=images(pictures))
    composition = Composition(load_settings(file))
    board = composition.board
    threads.clear()
    composition.start()
    try:
        eventually(lambda: board.meters.counters().get("frames", 0) > 2)
        write_config(tmp_path, 1, camera=images(pictures, fps=20), quality={"min_face_px": 60})
        assert reload(composition, file)
        assert not give_up_stuck(board), "it runs on the CPU"
        change_embedder(composition)
        frames = board.meters.counters()["frames"]
        eventually(lambda: board.meters.counters()["frames"] > frames + 2)
    finally:
        left = composition.supervisor.stop(10, (CAPTURE, RECOGNIZER, GALLERY, ACCELERATOR))
        composition.supervisor.stop(10)
        composition.outbox.close()
    assert left == ()
    assert threads == {
        "MainPost": {threading.current_thread().name},
        "RecognizerPost": {RECOGNIZER},
        "GalleryPost": {GALLERY},
        "CapturePost": {CAPTURE},
    }
