"""How much work something is, as a multiple of the benchmark's yardstick run beside it."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from edgeface.bench.pipeline_bench import Yardstick


def in_yardsticks(work: Callable[[int], object], runs: int = 20) -> float:
    """The median processor time of `work(0)`, `work(1)`, ... in 5x5 blurs of 1280x720, on one
    thread of OpenCV; the two take turns, so that a busy machine slows both."""
    yardstick = Yardstick()
    spent_s: list[float] = []
    beside_s: list[float] = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for number in range(runs):
            began_s = time.thread_time()
            work(number)
            worked_s = time.thread_time()
            yardstick.run()
            spent_s.append(worked_s - began_s)
            beside_s.append(time.thread_time() - worked_s)
    finally:
        cv2.setNumThreads(threads)
    return float(np.median(spent_s) / np.median(beside_s))
