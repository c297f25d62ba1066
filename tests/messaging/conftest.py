"""A broker of its own for each test, and one shared by those that leave it running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.messaging.localbroker import LocalBroker
from tests.support.broker import running_broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalBroker]:
    """mosquitto on a loopback port, for this test alone."""
    with running_broker(tmp_path / "broker") as found:
        yield found
