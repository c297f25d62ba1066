"""Cameras that are slow or hang on their side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeface.recognition.values import Face, Image
from tests.support.recognizer_world import SETTINGS, Actor, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_camera_of_one_frame_a_second_gives_names(world: World) -> None:
    """It gave one `inconclusive` for each frame."""
    for number in range(10):
        world.frames(1, *((world.anna,) if number >= 6 else ()))
        world.slot.items.append(lambda: world.clock.sleep(0.9))
    world.run()
    assert world.outcomes() == ["recognized"]
    assert world.board.by_recognizer.frame_interval_s == pytest.approx(1.0)


def test_a_camera_that_hangs_on_its_side_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Actor.detect

    def sideways(actor: Actor, image: Image, *more: Any, **options: Any) -> list[Face]:
        return found(actor, image, *more, **options) if image.shape[0] > image.shape[1] else []

    monkeypatch.setattr(Actor, "detect", sideways)
    # A stage's picture never changes: the detector would rest, as if nobody had come.
    awake = SETTINGS.detection.model_copy(update={"idle_after_s": None})
    world.board.by_main.settings = SETTINGS.model_copy(update={"detection": awake})
    for _ in range(5):
        world.frames(1, world.anna)
        world.slot.items.append(lambda: world.clock.sleep(6))
    world.run()
    assert world.board.by_recognizer.turn == 90
