"""Packages and the runtime, made once: tests that alter a package copy it first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeface.inference.runtimes import Runtime, find_runtime
from tests.support.packages import write_detector, write_embedder


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """A runtime that works."""
    return find_runtime()


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages `detector` and `embedder`; not to be written to."""
    folder = tmp_path_factory.mktemp("packages")
    write_detector(folder / "detector")
    write_embedder(folder / "embedder")
    return folder


@pytest.fixture
def packages(pristine: Path, tmp_path: Path) -> Path:
    """A copy of both packages for one test."""
    return Path(shutil.copytree(pristine, tmp_path / "packages"))
