"""The real daemon, Home Assistant switched on and, by a reload, off again."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from edgeface.demo.photographs import HOPPER
from tests.support.broker import Witness, eventually, running_broker
from tests.support.daemon import DaemonProcess, write_config, write_visits

CONFIG = "homeassistant/device/hq-door-1/config"


def test_the_daemon_announces_itself_and_takes_it_back(tmp_path: Path) -> None:
    visits = write_visits(tmp_path / "pictures", [HOPPER])
    camera: dict[str, Any] = {
        "source": "images",
        "folder": str(visits),
        "fps": 24,
        "loop": True,
    }
    with running_broker(tmp_path / "broker") as broker:
        file = write_config(tmp_path, broker.port, camera=camera, homeassistant={"enabled": True})
        with Witness(broker.port) as witness, DaemonProcess(file) as daemon:
            (first,) = witness.wait_on(CONFIG, 1, 30)
            assert first.message.retain
            components = json.loads(first.message.payload)["components"]
            topics = {item["state_topic"] for item in components.values()}
            assert topics == {
                f"edgeface/v1/hq/door-1/{name}" for name in ("event", "health", "state")
            }
            witness.publish("homeassistant/status", b"online")
            witness.wait_on(CONFIG, 2)
            daemon.wait_ready()
            write_config(tmp_path, broker.port, camera=camera)
            daemon.send(signal.SIGHUP)
            assert [item.message.payload for item in witness.wait_on(CONFIG, 3)][2] == b""
            eventually(lambda: not (tmp_path / "state" / "homeassistant").exists())
            assert daemon.stop()[0] == 0, daemon.log
