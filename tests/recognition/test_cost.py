"""Everything beside the two models costs little per frame."""

from __future__ import annotations

import time

import cv2
import numpy as np

from edgeface.recognition.alignment import align
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.judge import Judge
from edgeface.recognition.quality import QualityLimits, assess, refusal
from edgeface.recognition.tracking import Tracker
from tests.support.people import everybody, face, gallery, identity, uniform_calibration, view

BUDGET_MS = 5.0


def test_one_face_in_a_frame_of_1280x720_costs_under_five_milliseconds() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    stranger = identity(rng)
    index = gallery([identity(rng) for _ in range(1000)])
    mask = everybody(index)
    tracker = Tracker()
    judge = Judge(DecisionRules(max_looks=20), uniform_calibration(), 0.0)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    costs_ms = []
    try:
        for number in range(60):
            seen = view(stranger, rng)
            found = face(300.0 + number, 150.0, 300.0)
            begun_s = time.thread_time()
            tracker.update([found], number / 30)
            crop = align(image, found.landmarks)
            quality = assess(found, crop, (1280, 720))
            refusal(quality, QualityLimits())
            judge.add(seen, quality, number / 30)
            judge.look(index, mask, number / 30)
            costs_ms.append((time.thread_time() - begun_s) * 1e3)
    finally:
        cv2.setNumThreads(threads)
    assert float(np.median(costs_ms)) < BUDGET_MS
    assert float(np.mean(costs_ms)) < BUDGET_MS
