"""The daemon with a network camera whose picture freezes and grows black, and with nobody there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.broker import Arrival, Witness, running_broker
from tests.support.daemon import DaemonProcess, write_config
from tests.support.mjpeg_server import MjpegServer

STATE = "edgeface/v1/hq/door-1/state"
SOON_S = 5.0


def newest(says: Callable[[dict[str, Any]], bool]) -> Callable[[list[Arrival]], bool]:
    """Whether the newest state says so."""

    def found(arrivals: list[Arrival]) -> bool:
        states = [each.message.payload for each in arrivals if each.topic == STATE]
        return bool(states) and says(json.loads(states[-1]))

    return found


def alerts(*names: str) -> Callable[[dict[str, Any]], bool]:
    wanted = {"camera_frozen", "camera_covered"}
    return lambda state: wanted & set(state["alerts"]) == set(names)


def test_what_is_wrong_with_the_picture_is_in_the_state_within_5_s_and_out_of_it_again(
    tmp_path: Path,
) -> None:
    server = MjpegServer((320, 240))
    server.show(120, live=True)
    camera = {"source": "stream", "url": server.url, "frozen_s": 1.5}
    with running_broker(tmp_path / "broker") as broker, Witness(broker.port) as witness:
        detection = {"idle_after_s": 1.0}
        file = write_config(tmp_path, broker.port, camera=camera, detection=detection)
        try:
            with DaemonProcess(file, WATCHDOG_USEC="2000000") as daemon:
                daemon.wait_ready()
                # Nobody there is no stall, no low rate and no silence.
                witness.wait(newest(lambda state: state["idle"] and not state["reasons"]), 20)
                daemon.wait_told(b"WATCHDOG=1", 3)
                for show, live, name in (
                    (120, False, "camera_frozen"),
                    (0, True, "camera_covered"),
                ):
                    begun_s = time.monotonic()
                    server.show(show, live=live)
                    witness.wait(newest(alerts(name)), 20)
                    assert time.monotonic() - begun_s < SOON_S, name
                    if name == "camera_frozen":
                        witness.wait(newest(lambda state: "frozen" in str(state["reasons"])), 20)
                    server.show(120, live=True)
                    witness.wait(newest(alerts()), 20)
                assert daemon.stop()[0] == 0
        finally:
            server.close()
