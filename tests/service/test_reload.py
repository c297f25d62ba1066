"""SIGHUP: what is taken at once, what needs a restart, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from edgeface.service.board import Board
from edgeface.service.capturing import CameraTrial
from edgeface.service.composition import CAPTURE, RECOGNIZER
from edgeface.service.reload import reload
from edgeface.service.worker import WorkerSpec
from edgeface.settings.daemon import ServiceSettings
from edgeface.settings.loading import load_settings

pytestmark = pytest.mark.usefixtures("root_logger")

BASE: dict[str, Any] = {
    "site": "hq",
    "device": "door-1",
    "state_dir": "state",
    "camera": {"source": "images", "folder": "pictures"},
}


class Workers:
    """A composition that only notes what is asked of it."""

    def __init__(self, file: Path) -> None:
        self.board = Board(load_settings(file))
        self.supervisor = self
        self.restarted: list[str] = []
        self.limits: ServiceSettings | None = None

    def recognizer(self) -> WorkerSpec:
        return WorkerSpec(RECOGNIZER, lambda pulse: None)

    def capture(self, trial: CameraTrial | None = None) -> WorkerSpec:
        return WorkerSpec(CAPTURE, lambda pulse: None)

    def restart(self, spec: WorkerSpec, timeout_s: float) -> bool:
        self.restarted.append(spec.name)
        return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edgeface.yaml"
    path.write_text(yaml.safe_dump(BASE))
    return path


def change(file: Path, workers: Workers, **sections: Any) -> bool:
    file.write_text(yaml.safe_dump(BASE | sections))
    return bool(reload(cast(Any, workers), file))


@pytest.mark.parametrize(
    ("sections", "restarted"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"health": {"interval_s": 5.0}}, [], id="health"),
        pytest.param({"quality": {"min_face_px": 60}}, [RECOGNIZER], id="quality"),
        pytest.param({"decision": {"min_margin": 0.1}}, [RECOGNIZER], id="decision"),
        pytest.param({"detection": {"max_faces": 2}}, [RECOGNIZER], id="detection"),
        pytest.param({"camera": {"source": "images", "folder": "others"}}, [CAPTURE], id="camera"),
    ],
)
def test_what_has_changed_is_restarted(
    file: Path, sections: dict[str, Any], restarted: list[str]
) -> None:
    workers = Workers(file)
    assert change(file, workers, **sections)
    assert workers.restarted == restarted
    assert workers.board.settings == load_settings(file)


def test_an_invalid_file_changes_nothing_and_every_fault_is_logged(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Workers(file)
    before = workers.board.settings
    assert not change(file, workers, quality={"min_face_px": "many", "max_yaw": 3})
    assert workers.board.settings is before
    assert workers.restarted == []
    assert "quality.min_face_px" in caplog.text
    assert "quality.max_yaw" in caplog.text


def test_models_that_cannot_be_used_change_nothing(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Workers(file)
    before = workers.board.settings
    assert not change(file, workers, models={"embedder": "./nowhere"})
    assert workers.board.settings is before
    assert "no such model package" in caplog.text


def test_a_policy_is_taken_only_with_what_it_goes_by(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Workers(file)
    pad = {"event": "refuse_recognized"}
    assert not change(file, workers, pad=pad | {"model": "no_such_model"})
    assert "pad.event: refuse_recognized cannot do without" in caplog.text
    assert workers.restarted == []
    assert workers.board.settings.pad.event == "report"
    assert change(file, workers, pad=pad)
    assert workers.restarted == [RECOGNIZER]
    assert workers.board.settings.pad.event == "refuse_recognized"


def test_what_needs_a_restart_is_named_and_left_as_it_was(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Workers(file)
    before = workers.board.settings
    assert change(
        file,
        workers,
        device="door-2",
        mqtt={"port": 1884},
        gallery={"encrypt": False, "unsynced_clock": "allow"},
        service={"restart_budget": 9},
    )
    assert "only a restart takes it: device, mqtt, gallery" in caplog.text
    now = workers.board.settings
    assert (now.device, now.mqtt) == ("door-1", before.mqtt)
    assert now.gallery.encrypt
    assert now.gallery.unsynced_clock == "allow"
    assert workers.limits == ServiceSettings(restart_budget=9)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("decision", "validity_s", 9.0), ("service", "stop_timeout_s", 9.0)],
)
def test_a_key_that_the_session_with_the_broker_was_made_from_needs_a_restart(
    file: Path, caplog: pytest.LogCaptureFixture, section: str, key: str, value: float
) -> None:
    """TCP_USER_TIMEOUT is the validity, and the outbox drains within a share of the stop timeout:
    all who go by them see one value until then."""
    workers = Workers(file)
    before = getattr(getattr(workers.board.settings, section), key)
    others = {"decision": {"min_margin": 0.1}, "service": {"restart_budget": 9}}[section]
    file.write_text(yaml.safe_dump(BASE | {section: {key: value, **others}}))
    assert reload(cast(Any, workers), file).needs_restart == (f"{section}.{key}",)
    assert f"only a restart takes it: {section}.{key}" in caplog.text
    now = getattr(workers.board.settings, section)
    assert getattr(now, key) == before
    assert {name: getattr(now, name) for name in others} == others
    assert workers.restarted == ([RECOGNIZER] if section == "decision" else [])
