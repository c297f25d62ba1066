from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgeface.base.errors import BrokerError, EvaluationError
from edgeface.bench.device_hosts import ChildEnd, DeviceHosts


@dataclass
class Alive:
    name: str


def interrupted(name: str, line: ChildEnd) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    line.tell(Alive(name))
    line.hear()


def test_a_ctrl_c_is_the_parents_to_take() -> None:
    with DeviceHosts(interrupted, [("door-1",)], ["door-1"]) as hosts:
        assert hosts.collect(Alive) == {"door-1": Alive("door-1")}


def broken(how: str, line: ChildEnd) -> None:
    match how:
        case "raised":
            raise EvaluationError(how)
        case "in a thread":
            threading.Thread(target=broken, args=("raised", line)).start()
        case "logged":
            logging.getLogger("a.room").error("no %s", how)
    line.hear()


@pytest.mark.parametrize(
    ("how", "said"), [("raised", "raised"), ("in a thread", "raised"), ("logged", "no logged")]
)
def test_what_goes_wrong_in_a_process_ends_the_benchmark_in_its_words(how: str, said: str) -> None:
    with (
        pytest.raises(EvaluationError, match=f"^{said}$"),
        DeviceHosts(broken, [(how,)], ["door-1"]) as hosts,
    ):
        hosts.collect(Alive)


def test_nobody_waits_for_devices_whose_broker_has_gone() -> None:
    def watch() -> None:
        raise BrokerError("gone")

    with (
        pytest.raises(BrokerError, match="gone"),
        DeviceHosts(broken, [("silent",)], ["door-1"], watch) as hosts,
    ):
        hosts.collect(Alive)


def busy(line: ChildEnd) -> None:
    line.tell(Alive(str(os.getpid())))
    while True:
        pass


ORPHAN = """
import os, signal
from tests.bench.test_device_hosts import Alive, busy
from edgeface.bench.device_hosts import DeviceHosts
if __name__ == "__main__":
    hosts = DeviceHosts(busy, [()], ["door-1"])
    print(hosts._pipes[0].recv().name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_busy_process_ends_with_its_parent_however_that_ended(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    root = Path(__file__).parents[2]
    found = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )  # it returns when the last process that could write there has ended
    assert found.returncode == -signal.SIGKILL, found.stderr
    assert int(found.stdout) > 1
