from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection

from edgeface.bench.device_hosts import DeviceHosts


@dataclass
class Alive:
    name: str


def interrupted(name: str, pipe: Connection) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    pipe.send(Alive(name))
    pipe.recv()


def test_a_ctrl_c_is_the_parents_to_take() -> None:
    with DeviceHosts(interrupted, [("door-1",)], ["door-1"]) as hosts:
        assert hosts.collect(Alive) == {"door-1": Alive("door-1")}
