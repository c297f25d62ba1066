"""The simulated camera: photographs replayed as people who walk up to the door in turn.

Product code, for the demo, for trying a configuration without a camera, and for tests. A frame
depends on the seed and its number alone, whatever was read or dropped before it.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from edgeface.base.clock import Clock
from edgeface.base.errors import CameraError, EndOfStreamError
from edgeface.capture import scene
from edgeface.capture.pacing import Pacer
from edgeface.capture.presenting import Presented
from edgeface.capture.source import FrameSource, Picture
from edgeface.recognition.values import Image
from edgeface.settings.camera import Presentation, SimulatedCamera

WALK_UNTIL = 0.62
LEAVE_FROM = 0.90
"""Shares of a visit: the visitor walks, stands before the door, then leaves sideways."""

FAR_TO_NEAR = 3.6
"""How many times as far away the visitor begins as ends."""

NEAR_HEIGHT = 1.05
"""Height of the photograph at its nearest, in heights of the frame."""

MOST_ENLARGED = 2.5
"""A small photograph comes no nearer than this many times its own size."""

EXPOSURE_S = 0.012
"""Exposure time, which gives the motion blur."""

STEPS_PER_S = 1.8

GAMMA = 2.2
"""Of gray levels: an EV is not twice the level."""


class Visits:
    """Who comes when. Frame `n` shows the moment `n / fps` after the beginning.

    First nobody is there for `gap_s`, then the first visitor for `visit_s`, and so on, one visit
    for each photograph; with `loop` for ever, otherwise it is over after a last gap.
    """

    def __init__(self, camera: SimulatedCamera) -> None:
        self._camera = camera
        self._period_s = camera.gap_s + camera.visit_s
        """From one visit to the next."""

    def at(self, number: int) -> int | None:
        """Which visit frame `number` (`Frame.sequence`) shows, counted from 0; None when nobody is
        there."""
        visit, into_s = divmod(number / self._camera.fps, self._period_s)
        return int(visit) if into_s >= self._camera.gap_s and not self.over_at(number) else None

    def into_s(self, visit: int, number: int) -> float:
        """How long a visit has lasted at a frame."""
        return number / self._camera.fps - visit * self._period_s - self._camera.gap_s

    def over_at(self, number: int) -> bool:
        """Whether the last visitor has gone for good."""
        end_s = len(self._camera.photographs) * self._period_s + self._camera.gap_s
        return not self._camera.loop and number / self._camera.fps >= end_s

    def photograph_of(self, visit: int) -> Path:
        """Who comes at a visit: the photographs in turn."""
        return self._camera.photographs[visit % len(self._camera.photographs)]

    def presentation_of(self, visit: int) -> Presentation:
        """As what: the presentations in turn."""
        return self._camera.presentations[visit % len(self._camera.presentations)]


class SimulatedSource(FrameSource):
    """A fixed camera over a door. Paced like a camera: frames a slow reader missed are dropped.
    Re-opened, it goes on where it was; it ends when the visits are over.
    """

    def __init__(self, camera: SimulatedCamera, clock: Clock | None = None) -> None:
        super().__init__(camera.name, clock)
        self._visits = Visits(camera)
        self._camera = camera
        self._pacer = Pacer(self._clock, camera.fps, late="drop")
        self._number = -1
        self._hallway: Image | None = None
        self._noise: Image | None = None
        self._shown: Presented | None = None

    def render(self, number: int) -> Image:
        """Frame `number`: a new BGR uint8 `(height, width, 3)`, the same for the same seed.

        Raises CameraError when the visitor's photograph cannot be used.
        """
        if self._hallway is None or self._noise is None:
            self._hallway = scene.hallway(self._camera.size, self._camera.seed)
            self._noise = scene.noise_bank(self._camera.size, self._camera.seed)
        image = self._hallway.copy()
        visit = self._visits.at(number)
        if visit is not None:
            shown = self._load(visit)
            into_s = self._visits.into_s(visit, number)
            shown.draw(image, self._pose(visit, number, shown), into_s)
        rng = np.random.default_rng([self._camera.seed, 3, number])
        x, y = (int(at) for at in rng.integers(0, scene.NOISE_MARGIN_PX, 2, endpoint=True))
        return scene.expose(image, self._noise, (x, y), *self._light(number))

    def _start(self) -> None:
        if not self._camera.photographs:
            raise CameraError("the simulated camera needs a photograph: set camera.photographs")
        for path in self._camera.photographs:
            if not path.is_file():
                raise CameraError(f"no photograph {path}; set camera.photographs to existing files")
        self._load(0)
        self.render(self._number + 1)  # makes the hallway before the clock runs
        self._pacer.start(self._number + 1)

    def _next(self, timeout_s: float) -> Picture:
        if self._visits.over_at(self._number + 1):
            raise EndOfStreamError("the last visitor of the simulated camera has gone")
        number, stamp = self._pacer.take(timeout_s)
        if self._visits.over_at(number):
            self._number = number
            raise EndOfStreamError("the last visitor of the simulated camera has gone")
        image = self.render(number)
        step = number - self._number
        self._number = number
        return Picture(image, stamp, step=step)

    def _stop(self) -> None:
        self._hallway = self._noise = self._shown = None

    def _load(self, visit: int) -> Presented:
        """The visitor on screen is kept, the ones before him are not."""
        path = self._visits.photograph_of(visit)
        presentation = self._visits.presentation_of(visit)
        shown = self._shown
        if shown is None or (shown.path, shown.presentation) != (path, presentation):
            shown = self._shown = Presented(path, presentation)
        return shown

    def _pose(self, visit: int, number: int, shown: Presented) -> scene.Pose:
        """Where the visitor is, and how blurred by his own movement."""
        time_s = self._visits.into_s(visit, number)
        x, y, height_px = self._place(visit, time_s, shown.photograph_px)
        x_then, _, _ = self._place(visit, time_s - EXPOSURE_S, shown.photograph_px)
        rng = np.random.default_rng([self._camera.seed, 4, visit])
        phase, amount, hunt_s = rng.uniform((0, 3, 0.2), (6.28, 7, 0.9))
        share = height_px / self._near_px(shown.photograph_px)
        # Out of focus far away; once near, the lens hunts for a moment.
        near_s = time_s - WALK_UNTIL * self._camera.visit_s
        hunting = 1.4 * math.exp(-(((near_s - hunt_s) / 0.15) ** 2))
        pose = scene.Pose(
            height_px=height_px,
            x_px=x,
            y_px=y,
            roll_deg=amount * math.sin(phase + 2.3 * time_s),
            opacity=min(1.0, max(0.0, time_s / 0.3)),
            motion_px=abs(x - x_then),
            defocus_px=0.8 * max(0.0, 1 - 2.2 * share) + hunting,
        )
        return shown.moved(pose, np.random.default_rng([self._camera.seed, 7, visit]), time_s)

    def _place(self, visit: int, time_s: float, photograph_px: int) -> tuple[float, float, float]:
        """x and y of the head's center and the height of the photograph, in pixels."""
        width, height = self._camera.size
        rng = np.random.default_rng([self._camera.seed, 5, visit])
        phase, sway, side, tall = rng.uniform((0, 0.03, -1, -0.03), (6.28, 0.06, 1, 0.03))
        share = time_s / self._camera.visit_s
        walked = min(1.0, max(0.0, share / WALK_UNTIL))
        nearness = 1 / (FAR_TO_NEAR + (1 - FAR_TO_NEAR) * walked)
        walking = 1.0 - walked**6
        leaving = max(0.0, (share - LEAVE_FROM) / (1 - LEAVE_FROM))
        step = math.sin(2 * math.pi * STEPS_PER_S * time_s)
        x = 0.5 + sway * math.sin(phase + 1.7 * time_s) * (0.3 + nearness)
        x += 0.006 * step * walking * nearness + math.copysign(1.15 * leaving**1.6, side)
        y = 0.42 + tall * nearness + 0.012 * abs(step) * nearness * walking
        return x * width, y * height, nearness * self._near_px(photograph_px)

    def _near_px(self, photograph_px: int) -> float:
        return min(NEAR_HEIGHT * self._camera.size[1], MOST_ENLARGED * photograph_px)

    def _light(self, number: int) -> tuple[float, float]:
        """Gain and noise: the exposure drifts as by a camera's regulation; darker is noisier."""
        time_s = number / self._camera.fps
        phase = float(np.random.default_rng([self._camera.seed, 6]).uniform(0, 6.28))
        gain = 1.0 + 0.11 * math.sin(phase + 0.9 * time_s) + 0.05 * math.sin(2.9 * time_s)
        return gain * 2 ** (self._ev / GAMMA), 2.2 + 9.0 * max(0.0, 1.0 - gain)
