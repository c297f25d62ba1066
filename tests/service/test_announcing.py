"""The real daemon, Home Assistant switched on and, by a reload, off again."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeface.demo.photographs import HOPPER
from tests.support.broker import Witness, eventually, running_broker
from tests.support.daemon import DaemonProcess, write_config, write_visits
from tests.support.homeassistant import render

CONFIG = "homeassistant/device/hq-door-1/config"
DEVICE = "edgeface/v1/hq/door-1"


def newest(witness: Witness, topic: str, field: str) -> bytes:
    """The newest message on the topic with something in that field."""

    def telling() -> list[bytes]:
        payloads = [item.message.payload for item in witness.on(topic)]
        return [payload for payload in payloads if json.loads(payload)[field]]

    eventually(lambda: bool(telling()), 30)
    return telling()[-1]


def shown_of(witness: Witness, components: dict[str, Any]) -> dict[str, str]:
    """What Home Assistant makes of the device's state and health, by entity."""
    said = {
        f"{DEVICE}/state": newest(witness, f"{DEVICE}/state", "accelerator"),
        f"{DEVICE}/health": newest(witness, f"{DEVICE}/health", "fps"),
    }
    return {
        name: render(item["value_template"], said[item["state_topic"]], datetime.now(UTC))
        for name, item in components.items()
        if item["state_topic"] in said
    }


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
            assert topics == {f"{DEVICE}/{name}" for name in ("event", "health", "state")}
            witness.publish("homeassistant/status", b"online")
            witness.wait_on(CONFIG, 2)
            daemon.wait_ready()
            shows = shown_of(witness, components)
            assert shows["accelerator"] == "cpu"
            assert float(shows["frame_rate"]) > 0
            assert int(shows["outbox"]) >= 0
            assert shows["idle"] in {"ON", "OFF"}
            assert shows["alert_camera_stalled"] == "OFF"
            write_config(tmp_path, broker.port, camera=camera)
            daemon.send(signal.SIGHUP)
            assert [item.message.payload for item in witness.wait_on(CONFIG, 3)][2] == b""
            eventually(lambda: not (tmp_path / "state" / "homeassistant").exists())
            assert daemon.stop()[0] == 0, daemon.log
