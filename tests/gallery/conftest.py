from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.gallery.store import GalleryStore
from tests.support.gallery import KEY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the gallery of the test is."""
    return tmp_path / "state" / "gallery.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[GalleryStore]:
    """An empty, encrypted gallery."""
    with GalleryStore(path, KEY, busy_timeout_s=0.2) as opened:
        yield opened
