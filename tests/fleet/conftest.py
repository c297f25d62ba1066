"""A broker shared by the tests that clear it, and a new site on it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.mqtt.localbroker import LocalBroker
from tests.support.broker import running_broker
from tests.support.fleet_site import FleetSite, clear, new_site
from tests.support.memory_broker import MemoryBroker


@pytest.fixture(scope="module")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("broker")) as found:
        yield found


@pytest.fixture
def broker() -> MemoryBroker:
    """A broker in memory; tests of the real one have a fixture of the same name."""
    return MemoryBroker()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a place: the syncs of so many commands take time."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as found:
        yield Path(found)


@pytest.fixture
def site(memory: Path, shared_broker: LocalBroker) -> FleetSite:
    """A new site on an emptied broker."""
    found = new_site(memory / "site", shared_broker.port)
    clear(found)
    return found
