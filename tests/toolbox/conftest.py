from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgeface
from edgeface.demo.photographs import HOPPER, write_enrollment
from edgeface.settings.places import shipped_models


@pytest.fixture(scope="module")
def engine() -> Iterator[edgeface.Engine]:
    for name in ("face_detector", "facenet"):
        if not (shipped_models() / name / "model.yaml").is_file():
            pytest.skip(f"no model package {name}")
    with edgeface.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder a person: Eileen Collins in other light, and Grace Hopper."""
    folder = tmp_path_factory.mktemp("people")
    for name in ("Eileen Collins", "Grace Hopper"):
        (folder / name).mkdir()
    write_enrollment(folder / "Eileen Collins")
    shutil.copy(HOPPER, folder / "Grace Hopper")
    return folder


@pytest.fixture(scope="module")
def gallery(tree: Path, engine: edgeface.Engine) -> edgeface.Gallery:
    return edgeface.Gallery.from_folder(tree, engine)
