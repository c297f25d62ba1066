"""Fixtures for every room."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from edgeface.mqtt.localbroker import LocalBroker
from edgeface.recognition.values import Embedding
from tests.support.broker import running_broker
from tests.support.packages import write_detector, write_embedder
from tests.support.people import identity

# How long an example takes is not what these tests ask; pytest's timeout ends what hangs.
settings.register_profile("edgeface", deadline=None)
settings.load_profile("edgeface")

# What a shell starts in the background ignores Ctrl-C, and so would all that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with clips and data sets, `shared` beside the repository or `EDGEFACE_SHARED`.

    Skips the test where there is none: the folder is not part of the project.
    """
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("EDGEFACE_SHARED") or beside)
    if not folder.is_dir():
        pytest.skip(f"no folder {folder} (set EDGEFACE_SHARED to another)")
    return folder


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalBroker]:
    """mosquitto on a loopback port, for this test alone."""
    with running_broker(tmp_path / "broker") as found:
        yield found


@pytest.fixture(scope="session")
def detector_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("models") / "detector")


@pytest.fixture(scope="session")
def embedder_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedder(tmp_path_factory.mktemp("models") / "embedder")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def anna(rng: np.random.Generator) -> Embedding:
    """Somebody who is in the gallery."""
    return identity(rng)


@pytest.fixture
def boris(rng: np.random.Generator) -> Embedding:
    """Somebody else."""
    return identity(rng)
