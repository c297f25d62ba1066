"""People held out of fine-tuning, and what is measured on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.training.__main__ import main
from models.training.held_out import LEAST_PEOPLE, split
from models.training.tests.conftest import MODELS


@pytest.mark.parametrize(
    ("people", "share", "count"),
    [(24, 0.2, 5), (10, 0.2, 4), (8, 0.2, 4), (7, 0.2, 0), (24, 0.0, 0), (12, 0.9, 0)],
)
def test_whole_people_are_held_out_or_nobody(people: int, share: float, count: int) -> None:
    labels = np.repeat(np.arange(people), 3)
    aside = split(labels, share, np.random.default_rng(1))
    assert len(np.unique(labels[aside])) == count
    assert set(labels[aside]).isdisjoint(labels[~aside])
    assert len(np.unique(labels[~aside])) >= LEAST_PEOPLE


def test_finetuning_prints_both_measurements(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", "embedder", "--out", str(tmp_path)]) == 0
    tune = ["finetune", "--people", str(people), "--checkpoint", str(tmp_path / "embedder.pt")]
    tune += ["--detector", str(MODELS / "face_detector"), "--out", str(tmp_path / "tuned")]
    assert main([*tune, "--steps", "1"]) == 0
    shown = capsys.readouterr().out
    assert "5 people held out, 30 pictures: 75 genuine pairs, 360 impostor pairs" in shown
    for line in ("before", "accuracy", "EER", "card and face, from 0."):
        assert line in shown
    assert main([*tune, "--steps", "1", "--held-out", "0"]) == 0
    assert "nothing is measured: nobody is held out" in capsys.readouterr().out
