"""Section `models`: where each model runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgeface.settings.models import ModelsSettings


def test_what_is_not_set_for_a_model_is_what_is_set_for_both() -> None:
    settings = ModelsSettings(
        accelerator="cpu", detector_accelerator="edgetpu", threads=2, embedder_threads=4
    )
    assert settings.accelerators == ("edgetpu", "cpu")
    assert settings.thread_counts == (2, 4)
    assert settings.on("auto").accelerators == ("auto", "auto")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        pytest.param({"accelerator": "delegate"}, "needs delegate, the path", id="no library"),
        pytest.param(
            {"detector_accelerator": "delegate", "delegate": Path("/lib/libx.so")},
            "one library serves both",
            id="beside auto",
        ),
        pytest.param({"invoke_deadline_s": 6}, "less than or equal to 5", id="deadline"),
        pytest.param({"runtime": "torch"}, "'auto', 'litert' or 'tflite'", id="runtime"),
        pytest.param({"delegate_options": {"a": 1}}, "options.a\n.*valid string", id="options"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        ModelsSettings(**given)


def test_another_library_may_serve_one_model_alone() -> None:
    settings = ModelsSettings(
        accelerator="cpu", embedder_accelerator="delegate", delegate=Path("/lib/libx.so")
    )
    assert settings.accelerators == ("cpu", "delegate")
