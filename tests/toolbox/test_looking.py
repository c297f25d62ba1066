"""What is shown of a face: its values beside their limits, and its gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeface.recognition.quality import GATES, Quality, QualityLimits, refusals
from edgeface.toolbox.gradients import draw_gradients, oriented_histograms
from edgeface.toolbox.measures import measures

FINE = Quality(120.0, 0.9, 0.9, 0.0, 0.0, 0.0, 0.7)
LIMITS = QualityLimits(min_eyes=0.5, min_contrast=0.2)


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ({"face_px": 12.0}, "size"),
        ({"yaw_deg": -70.0}, "yaw"),
        ({"roll_deg": 90.0}, "roll"),
        ({"inside": 0.5}, "inside"),
        ({"exposure": 0.1, "brightness": 0.9}, "exposure"),
        ({"sharpness": 0.1}, "sharpness"),
        ({"eyes": 0.1}, "eyes"),
        ({"contrast": 0.1}, "contrast"),
        ({"score": 0.2}, "score"),
    ],
)
def test_the_value_for_which_a_gate_refuses_is_marked(broken: dict[str, float], name: str) -> None:
    quality = replace(FINE, **broken)
    (marked,) = [measure for measure in measures(quality, LIMITS) if measure.gates]
    assert (marked.name, marked.gates) == (name, refusals(quality, LIMITS))


def test_every_gate_belongs_to_a_value() -> None:
    worst = Quality(1.0, 0.0, 0.0, 90.0, 90.0, 180.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0)
    marked = {gate for measure in measures(worst, LIMITS) for gate in measure.gates}
    assert marked == {*GATES} - {"too_bright"}
    assert all(not measure.gates for measure in measures(FINE, LIMITS))


def test_a_zero_has_no_minus() -> None:
    shown = {
        one.name: one.shown
        for one in measures(replace(FINE, yaw_deg=-0.4, pitch_deg=-0.0, roll_deg=-1.0), LIMITS)
    }
    assert (shown["yaw"], shown["pitch"], shown["roll"]) == ("0 deg", "0 deg", "-1 deg")


def test_an_edge_is_in_the_bin_of_its_gradients_direction() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 36:] = 200
    histograms = oriented_histograms(image)
    assert histograms.shape == (8, 8, 9)
    # A gradient along x lies between the bins about 10 and 170 degrees.
    assert histograms[4, 4, 0] == histograms[4, 4, 8] > 0
    assert histograms[4, 4, 1:8].sum() == 0
    assert histograms[:, :4].sum() == 0
    drawn = draw_gradients(image, 64).astype(int).sum(2)
    assert drawn[:, 32:40].max() > drawn[:, :24].max() + 100
