"""The golden runs, on stand-ins for an accelerator that works, lies or is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.base.errors import ModelError, RuntimeMissingError
from edgeface.service.doctor.finding import Patient
from edgeface.service.doctor.golden_runs import accelerator, models
from tests.support.edgetpu import build_edgetpu
from tests.support.packages import (
    detector_model,
    embedder_model,
    write_detector,
    write_embedder,
)
from tests.support.settings import settings_of


def with_edgetpu(folder: Path, library: str) -> Patient:
    detector = write_detector(folder / "detector", compiled=detector_model(compiled=True))
    embedder = write_embedder(folder / "embedder", compiled=embedder_model(compiled=True))
    chosen = {
        "detector": str(detector),
        "embedder": str(embedder),
        "accelerator": "edgetpu",
        "delegate": library,
        "delegate_options": {"fault_file": str(folder / "fault")},
    }
    return Patient(settings_of(models=chosen))


def test_an_accelerator_is_tried_and_the_cpu_that_stands_in_for_it(tmp_path: Path) -> None:
    one = with_edgetpu(tmp_path, build_edgetpu(tmp_path, "LIES"))
    found = models(one)
    assert found.verdict == "ok"
    assert "golden runs pass on edgetpu, and on the CPU" in found.detail
    assert accelerator(one).detail == "answers"


def test_an_accelerator_that_answers_wrongly_is_named(tmp_path: Path) -> None:
    (tmp_path / "fault").touch()
    with pytest.raises(ModelError, match=r"on edgetpu: .*detector: golden run"):
        models(with_edgetpu(tmp_path, build_edgetpu(tmp_path, "LIES")))


def test_an_accelerator_that_is_not_there_is_degraded(tmp_path: Path) -> None:
    one = with_edgetpu(tmp_path, str(tmp_path / "libnone.so"))
    found = models(one)
    assert found.verdict == "warn"
    assert "libnone.so" in found.detail
    with pytest.raises(RuntimeMissingError, match=r"libnone\.so"):
        accelerator(one)


@pytest.mark.parametrize("policy", ["report", "refuse_recognized"])
def test_a_detector_of_attacks_that_cannot_be_used_fails_only_where_a_policy_needs_it(
    policy: str,
) -> None:
    pad = {"model": "no_such_model", "event": policy}
    one = Patient(settings_of(models={"accelerator": "cpu"}, pad=pad))
    if policy == "report":
        found = models(one)
        assert found.verdict == "warn"
        assert "liveness is not assessed" in found.detail
    else:
        with pytest.raises(ModelError, match="no_such_model"):
            models(one)


def test_the_detector_of_attacks_is_run_and_named() -> None:
    found = models(Patient(settings_of(models={"accelerator": "cpu"})))
    assert found.verdict == "ok"
    assert "golden run passes of pad" in found.detail
