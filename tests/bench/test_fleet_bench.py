"""The benchmark of a whole site, small: what it counts; no times are asserted."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeface.base.errors import BrokerError
from edgeface.bench.device_hosts import ChildEnd, DeviceHosts
from edgeface.bench.fleet_bench import arrivals
from edgeface.bench.fleet_host import Collected
from edgeface.cli.main import main


def test_every_device_follows_comes_back_and_no_event_is_lost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["bench", "fleet", "--devices", "4", "--people", "20", "--fps", "10"]
    arguments += ["--seconds", "1", "--folder", str(tmp_path), "--json"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    measured = json.loads(said.out)
    assert measured["events"] == pytest.approx(40, abs=4)
    assert (measured["lost"], measured["twice"], measured["wrong"]) == (0, 0, [])
    for key in ("connected_s", "enrollment_s", "erasure_s", "receipt_s", "again_s", "event_s"):
        assert 0 < measured[key]["p50"] <= measured[key]["p99"] <= measured[key]["most"]
    assert measured["broker_mib"] > 1
    assert "... restart of the broker" in said.err
    assert list(tmp_path.iterdir()) == []


def replaying(name: str, told: list[list[str]], line: ChildEnd) -> None:
    """A collector that gets some events before each time that it is asked for all."""
    got: list[str] = []
    for events in told:
        got += events
        while line.hear() != "all":
            line.tell(Collected(name, len(got), {}))
        line.tell(Collected(name, len(got), dict.fromkeys(got, 1.0)))
    assert line.hear() == "stop"


def test_an_event_that_comes_twice_is_not_taken_for_one_that_has_not_come() -> None:
    told = {"one": [["a", "b"], []], "other": [["b"], ["c"]]}
    with DeviceHosts(replaying, list(told.items()), list(told)) as collectors:
        found = arrivals(collectors, {"a", "b", "c"})
    assert {item.name: [*item.at_s] for item in found} == {"one": ["a", "b"], "other": ["b", "c"]}


@pytest.mark.parametrize(
    ("harm", "status", "said"),
    [
        ("a broker that dies", BrokerError.exit_code, "mosquitto has ended by itself"),
        ("SIGTERM", 128 + signal.SIGTERM, ""),
        ("Ctrl-C", 130, ""),
    ],
)
def test_however_it_ends_it_leaves_nothing(
    tmp_path: Path, harm: str, status: int, said: str
) -> None:
    command = [sys.executable, "-m", "edgeface", "bench", "fleet", "--devices", "2"]
    command += ["--people", "20", "--seconds", "60", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "events a second" in line:
                break
        children = children_of(process.pid)
        handles = [os.pidfd_open(pid) for pid in children]
        broker = next(pid for pid, name in children.items() if name == "mosquitto")
        match harm:
            case "SIGTERM":
                process.terminate()
                process.terminate()
            case "Ctrl-C":
                process.send_signal(signal.SIGINT)
            case _:
                os.kill(broker, signal.SIGKILL)
        rest = process.stderr.read()
    assert process.returncode == status, rest
    assert said in rest
    assert "Traceback" not in rest
    assert len(children) > 2
    for handle in handles:
        assert select.select([handle], [], [], 10)[0]  # it has ended
        os.close(handle)
    assert list(tmp_path.iterdir()) == []


def children_of(pid: int) -> dict[int, str]:
    """Name by process id."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child): Path(f"/proc/{child}/comm").read_text().strip() for child in found}
