"""A real device to give commands to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from edgeface.demo.photographs import COLLINS
from tests.support.broker import running_broker
from tests.support.commanded import PERSON, Door
from tests.support.commands import write_person
from tests.support.daemon import DaemonProcess, edgeface, write_config


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Logging is afterwards as it was before: a reload sets it up anew."""
    root, hook = logging.getLogger(), threading.excepthook
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    threading.excepthook = hook


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A device that knows Eileen Collins, who stands before it most of the time."""
    folder = tmp_path_factory.mktemp("door")
    camera = {
        "source": "images",
        "folder": str(write_person(folder / "pictures", COLLINS)),
        "fps": 12,
        "loop": True,
    }
    assert edgeface("keys", "administrator", folder / "admin.key").returncode == 0
    commands = {"administrator_key_file": "admin.key.pub", "snapshot": True}
    with running_broker(folder / "broker") as broker:
        file = write_config(
            folder,
            broker.port,
            camera=camera,
            commands=commands,
            homeassistant={"enabled": True},
            tracking={"max_gap_s": 0.2},
        )
        who = ("--name", "Eileen", "--id", PERSON, "--new")
        done = edgeface("enroll", COLLINS, *who, "-c", file)
        assert done.returncode == 0, done.stderr
        with DaemonProcess(file) as daemon:
            daemon.wait_ready()
            yield Door(file, broker.port, daemon)
            assert daemon.stop()[0] == 0
