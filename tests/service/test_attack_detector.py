"""The detector of attacks at the start: done without where nothing depends on it."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.base.errors import ModelError, SettingsError
from edgeface.service.checked_models import open_checked
from edgeface.settings.loading import load_settings
from edgeface.settings.places import shipped_models
from edgeface.settings.tree import Settings
from tests.support.doorstep import Scorer
from tests.support.recognizer_world import World
from tests.support.settings import settings_of


def settings(**pad: Any) -> Settings:
    return settings_of(models={"accelerator": "cpu"}, pad=pad)


UNUSABLE = [
    pytest.param({"model": "no_such_model"}, "no_such_model", id="absent"),
    pytest.param({"model": "facenet"}, "not an attack detector", id="another task"),
    pytest.param({"target_bpcer": 1e-6}, "no BPCER of 1e-06", id="fewer refusals than measured"),
]


def test_the_one_that_ships_is_open_and_named_in_events() -> None:
    models = open_checked(settings())
    assert models.liveness is not None
    assert models.used.pad == f"sha256:{models.liveness.package.sha256}"
    strict = open_checked(settings(target_bpcer=0.05)).liveness
    assert strict is not None
    assert strict.threshold > models.liveness.threshold
    models.close()
    with pytest.raises(ModelError, match="closed"):
        models.check()


def test_none_is_wanted() -> None:
    models = open_checked(settings(model=None))
    assert models.liveness is None
    assert models.used.pad is None


@pytest.mark.parametrize(("pad", "why"), UNUSABLE)
def test_one_that_cannot_be_used_is_done_without_where_evidence_is_only_told(
    pad: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert open_checked(settings(**pad)).liveness is None
    assert "liveness is not assessed" in caplog.text
    assert why in caplog.text


@pytest.mark.parametrize(("pad", "why"), UNUSABLE)
def test_one_that_cannot_be_used_is_an_error_where_a_policy_refuses(
    pad: dict[str, Any], why: str
) -> None:
    with pytest.raises(ModelError) as caught:
        open_checked(settings(verify="challenge", **pad))
    assert why in str(caught.value)
    assert "pad.verify: challenge cannot do without: mend section pad, or say report" in str(
        caught.value
    )


@pytest.mark.parametrize("name", ["event", "verify"])
def test_a_policy_that_refuses_without_a_model_is_a_fault_of_the_configuration(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "edgeface.yaml"
    camera = "camera: {source: images, path: .}"
    file.write_text(
        f"site: a\ndevice: b\n{camera}\npad:\n  {name}: refuse_recognized\n  model: null\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert f"{name}: refuse_recognized: nobody can be refused without evidence" in str(caught.value)
    assert "name a package in model" in str(caught.value)


def spoiled(folder: Path) -> Path:
    """A copy of the package that ships."""
    shutil.copytree(shipped_models() / "pad", folder / "mine")
    return folder / "mine"


@pytest.mark.parametrize("policy", ["report", "refuse_recognized"])
def test_one_that_fails_its_golden_run_later_takes_nothing_else_away(
    policy: str, tmp_path: Path
) -> None:
    """It runs on the CPU: no accelerator is given up for it."""
    package = spoiled(tmp_path)
    models = open_checked(settings(event=policy, model=str(package)))
    assert models.liveness is not None
    assert models.liveness_trouble is None
    golden = (package / "golden.npz").read_bytes()
    (package / "golden.npz").write_bytes(golden[:-1])
    models.check()
    assert "golden.npz: differs from model.yaml" in str(models.liveness_trouble)
    with pytest.raises(ModelError, match="differs from"):
        models.liveness.score([np.zeros((80, 80, 3), np.uint8)])
    (package / "golden.npz").write_bytes(golden)
    models.check()
    assert models.liveness_trouble is None
    assert len(models.liveness.score([np.zeros((80, 80, 3), np.uint8)])) == 1


def test_one_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    assert "no such model package" in str(open_checked(settings(model="none")).liveness_trouble)
    assert open_checked(settings(model=None)).liveness_trouble is None


@pytest.mark.parametrize(
    ("policy", "outcome"), [("report", "recognized"), ("refuse_recognized", "rejected_pad")]
)
def test_the_worker_goes_on_without_it_and_says_so(
    tmp_path: Path, policy: str, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, pad={"event": policy, "wait_s": 0.0})
    world.tpu = True
    world.scorer = Scorer(math.nan)
    world.frames(5, world.anna)
    world.run()
    assert world.opened == [None]
    assert world.outcomes() == [outcome]
    assert world.said[0].pad.live is None
    assert "not nan" in str(world.board.by_recognizer.liveness_trouble)
    assert caplog.text.count("liveness is not assessed") == 1
