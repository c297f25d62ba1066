"""The start benchmark: from the daemon's first instruction to READY=1, and where the time goes.

What is started is the daemon as the unit starts it: a process that imports the program, proves both
models, loads the gallery and waits for a first frame. The files are in the page cache. Beside each
start runs the yardstick: a Python that imports numpy and OpenCV, which no start can do without.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import cv2
import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.bench.daemon_run import DaemonRun, configure
from edgeface.mqtt.localbroker import LocalBroker

PHASES: Final = {
    "imports": r"edgeface \S+ starts",
    "models": "the models are open",
    "golden": "the models passed the golden test",
    "gallery": "gallery loaded",
    "camera": r"camera \S+ is open",
}
"""Each ends with what the log says then (a pattern), and is followed by the next; the last, `first
frame`, ends with READY=1."""
FIRST_FRAME: Final = "first frame"
BROKER: Final = "connected to the broker"
YARDSTICK: Final = "import numpy, cv2"
_CONNECT_S: Final = 10.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Start:
    """One start, in seconds."""

    ready_s: float
    broker_s: float
    """Until `online` was acknowledged by the broker, which goes on beside the phases."""
    phases_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class StartBench:
    """What `edgeface bench start` prints: medians over the runs, in seconds."""

    people: int
    runs: int
    ready_s: float
    ready_most_s: float
    phases_s: dict[str, float]
    broker_s: float
    yardstick_s: float
    ready_in_yardsticks: float


def bench_start(
    people: int = 1000,
    runs: int = 7,
    folder: Path | None = None,
    each: Callable[[int], object] | None = None,
) -> StartBench:
    """Start it `runs` times after once that does not count, which compiles and caches.

    `folder` is where a temporary folder for its state is made; `each` is told how many are done.
    Raises BrokerError without mosquitto, and EvaluationError when a start fails.
    """
    starts: list[Start] = []
    yard_s: list[float] = []
    with tempfile.TemporaryDirectory(prefix="edgeface-bench-", dir=folder) as temporary:
        work = Path(temporary)
        pictures = work / "pictures"
        pictures.mkdir()
        cv2.imwrite(str(pictures / "gray.png"), np.full((720, 1280, 3), 90, np.uint8))
        camera = {"source": "images", "folder": str(pictures), "fps": 30, "loop": True}
        with LocalBroker(work / "broker") as broker:
            file = configure(work, broker.port, people, camera=camera)
            for number in range(runs + 1):
                yard, start = _yardstick_s(), _start(file)
                if number:
                    yard_s.append(yard)
                    starts.append(start)
                    if each is not None:
                        each(number)
    ready_s = median(start.ready_s for start in starts)
    return StartBench(
        people=people,
        runs=runs,
        ready_s=ready_s,
        ready_most_s=max(start.ready_s for start in starts),
        phases_s={
            name: median(start.phases_s[name] for start in starts) for name in starts[0].phases_s
        },
        broker_s=median(start.broker_s for start in starts),
        yardstick_s=median(yard_s),
        ready_in_yardsticks=ready_s / median(yard_s),
    )


def _start(file: Path) -> Start:
    with DaemonRun(file) as daemon:
        ready_s = daemon.wait_ready()
        end_s = time.monotonic() + _CONNECT_S
        while BROKER not in (told := _told(daemon.logged())):
            if time.monotonic() > end_s:
                raise EvaluationError("the daemon does not say that it is connected to the broker")
            time.sleep(_POLL_S)
    return Start(ready_s, told[BROKER], phases(told, ready_s))


def _told(logged: Iterable[tuple[float, dict[str, Any]]]) -> dict[str, float]:
    """When each of the patterns above was met first."""
    found: dict[str, float] = {}
    for at_s, record in logged:
        for pattern in (*PHASES.values(), BROKER):
            if re.match(pattern, record["message"]):
                found.setdefault(pattern, at_s)
    return found


def phases(told: dict[str, float], ready_s: float) -> dict[str, float]:
    """How long each phase took, from when it was told that it is over. Raises EvaluationError for
    one of which nothing was told."""
    missing = [name for name, pattern in PHASES.items() if pattern not in told]
    if missing:
        raise EvaluationError(f"the daemon's log does not say when this was done: {missing}")
    ends_s = [0.0, *(told[pattern] for pattern in PHASES.values()), ready_s]
    names = (*PHASES, FIRST_FRAME)
    return {
        name: end_s - before_s
        for name, before_s, end_s in zip(names, ends_s, ends_s[1:], strict=False)
    }


def _yardstick_s() -> float:
    """Wall time of one run."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", YARDSTICK], check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - began_s
