"""A site whose gallery is on the broker, and a device that has all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet_device import FleetDevice, follow, published
from tests.support.fleet_site import FleetSite
from tests.support.memory_broker import MemoryBroker


@pytest.fixture
def site(tmp_path: Path, broker: MemoryBroker) -> FleetSite:
    return published(tmp_path / "site", broker)


@pytest.fixture
def device(tmp_path: Path, site: FleetSite, broker: MemoryBroker) -> FleetDevice:
    return follow(tmp_path / "d", site, broker)
