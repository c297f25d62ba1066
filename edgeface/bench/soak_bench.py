"""The soak: the real daemon at full rate for an hour, and whether it grows.

A simulated camera shows visitors, one of whom is enrolled, to the daemon as the unit starts it;
events go to a private mosquitto, which is killed now and then. Memory, descriptors, threads and
processor time are read from outside. The first half of the samples is warm-up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Final

from edgeface.base.errors import EvaluationError
from edgeface.base.messages import Message, Subscription
from edgeface.bench.daemon_run import DEVICE, SITE, DaemonRun, Resources, configure
from edgeface.contract.topics import Topics
from edgeface.mqtt.listener import LinkNews, Listener
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.mqtt.options import ConnectionOptions
from edgeface.settings.places import PACKAGE

SAMPLE_S: Final = 10.0
LEAST_SAMPLES: Final = 24
"""Of a shorter run samples are taken more often."""
OUTAGES: Final = 5
OUTAGE_S: Final = 10.0
"""How long the broker is away; a tenth of a shorter run at most."""
MOST_GROWTH: Final = 0.005
"""Of the memory, over the half that counts: an allocator's steps stay below it."""
JUDGED_MINUTES: Final = 10.0
"""In a shorter run the second half is warm-up as well, and says nothing of growth."""
_ENROLL_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Trend:
    """One quantity over the half that counts."""

    first: float
    """Median of its first quarter."""
    last: float
    """Median of its last quarter."""
    most: float
    slope_per_hour: float
    """Median of the slopes between any two samples (Theil 1950; Sen 1968)."""
    flat: bool


@dataclass(frozen=True, slots=True)
class SoakBench:
    """What `edgeface bench soak` prints."""

    minutes: float
    people: int
    fps: float
    """What the camera delivers a second."""
    samples: int
    resident_mib: Trend
    proportional_mib: Trend
    descriptors: Trend
    threads: Trend
    cores: float
    """Processor time by wall time, over the whole run."""
    outages: int
    """How often the broker was killed."""
    counters: dict[str, int]
    """As the last health message has them; it may be as old as two samples."""
    exit_code: int
    flat: bool | None
    """None where it was too short to tell: less than `JUDGED_MINUTES`."""


def trend(at_s: Sequence[float], values: Sequence[float], growth: float) -> Trend:
    """Of the second half of the samples. It is flat when neither the slope adds up to more than
    `growth`, as a share, over that half, nor its end lies higher above its beginning."""
    half = len(values) // 2
    times, found = list(at_s)[half:], list(values)[half:]
    slopes = [
        (found[b] - found[a]) / (times[b] - times[a]) for a, b in combinations(range(len(found)), 2)
    ]
    slope = median(slopes)
    quarter = max(1, len(found) // 4)
    first, last = median(found[:quarter]), median(found[-quarter:])
    added = max(slope * (times[-1] - times[0]), last - first)
    return Trend(
        first=first,
        last=last,
        most=max(values),
        slope_per_hour=slope * 3600,
        flat=added <= growth * median(found),
    )


def bench_soak(
    photographs: Sequence[Path],
    *,
    minutes: float = 60.0,
    people: int = 1000,
    fps: float = 30.0,
    folder: Path | None = None,
    each: Callable[[int], object] | None = None,
) -> SoakBench:
    """Run it; the first of the `photographs` is enrolled beside `people` random ones.

    `folder` is where a temporary folder for its state is made; `each` is told how many seconds are
    over. Raises BrokerError without mosquitto, and EvaluationError when the daemon ends or the
    photograph cannot be enrolled.
    """
    camera = {
        "source": "simulated",
        "photographs": [str(path.resolve()) for path in photographs],
        "fps": fps,
        "loop": True,
    }
    every_s = min(SAMPLE_S, minutes * 60 / LEAST_SAMPLES)
    counters: dict[str, int] = {}

    def hear(item: Message | LinkNews) -> None:
        if isinstance(item, Message):
            counters.update(json.loads(item.payload)["counters"])

    with tempfile.TemporaryDirectory(prefix="edgeface-bench-", dir=folder) as temporary:
        work = Path(temporary)
        broker = LocalBroker(work / "broker", persistence=True)
        with broker:
            health = {"interval_s": every_s}
            file = configure(work, broker.port, people, camera=camera, health=health)
            _enroll(photographs[0], file)
            wanted = [Subscription(Topics(SITE, DEVICE).health)]
            options = ConnectionOptions("127.0.0.1", broker.port, "bench-soak")
            with Listener(options, wanted, hear), DaemonRun(file) as daemon:
                daemon.wait_ready()
                outages, samples = _watch(daemon, broker, minutes * 60, every_s, each)
                code = daemon.stop()
    (began_s, before), (end_s, after) = samples[0], samples[-1]
    trends = _trends(samples)
    return SoakBench(
        minutes=minutes,
        people=people + 1,
        fps=fps,
        samples=len(samples),
        **trends,
        cores=(after.cpu_s - before.cpu_s) / (end_s - began_s),
        outages=outages,
        counters=counters,
        exit_code=code,
        flat=all(item.flat for item in trends.values()) if minutes >= JUDGED_MINUTES else None,
    )


def _trends(samples: Sequence[tuple[float, Resources]]) -> dict[str, Trend]:
    at_s = [moment for moment, _ in samples]
    return {
        name: trend(at_s, [getattr(sample, name) for _, sample in samples], growth)
        for name, growth in (
            ("resident_mib", MOST_GROWTH),
            ("proportional_mib", MOST_GROWTH),
            ("descriptors", 0.0),
            ("threads", 0.0),
        )
    }


def _watch(
    daemon: DaemonRun,
    broker: LocalBroker,
    length_s: float,
    every_s: float,
    each: Callable[[int], object] | None,
) -> tuple[int, list[tuple[float, Resources]]]:
    """How often the broker was killed, and the samples with when they were taken."""
    between_s = length_s / (OUTAGES + 1)
    away_s = min(OUTAGE_S, length_s / (10 * OUTAGES))
    samples = [(0.0, daemon.resources())]
    began_s = time.monotonic()
    outages, back_s = 0, None
    while (now_s := time.monotonic() - began_s) < length_s:
        if back_s is not None and now_s >= back_s:
            broker.start()
            back_s = None
        elif outages < OUTAGES and now_s >= (outages + 1) * between_s:
            broker.kill()
            outages, back_s = outages + 1, now_s + away_s
        next_s = samples[-1][0] + every_s
        if now_s >= next_s:
            samples.append((now_s, daemon.resources()))
            if each is not None:
                each(int(now_s))
        time.sleep(min(every_s, 1.0) / 10)
    return outages, [*samples, (now_s, daemon.resources())]


def _enroll(photograph: Path, file: Path) -> None:
    """As `edgeface enroll`. Raises EvaluationError with its words where that fails."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgeface", "enroll", str(photograph.resolve())),
            *("--name", "Visitor", "--force", "-c", str(file)),
        ],
        cwd=PACKAGE.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_ENROLL_S,
        check=False,
    )
    if done.returncode:
        said = "; ".join(done.stderr.strip().splitlines())
        raise EvaluationError(f"{photograph}: cannot be enrolled: {said}")
