"""The log: one line for each decision, and nowhere a name, an embedding or a number of a card."""

from __future__ import annotations

import ast
import json
import logging
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from edgeface.contract.codec import to_json
from edgeface.demo.photographs import COLLINS
from edgeface.recognition.pipeline import STAGES
from edgeface.recognition.quality import Quality
from edgeface.service.logs import JsonFormatter, TextFormatter
from edgeface.service.meters import STAGE_NAMES
from edgeface.service.sightings import face_quality
from tests.support.broker import running_broker
from tests.support.commanded import PERSON, Door
from tests.support.commands import write_person
from tests.support.daemon import DaemonProcess, edgeface, write_config
from tests.support.recognizer_world import World

PACKAGE = Path(__file__).resolve().parents[2] / "edgeface"
NAME, CARD = "Eileen Unmistakable", "4711-0815"
PERSONAL = {"display_name", "display_names", "card", "cards", "embedding", "embeddings", "vector"}
"""What may not be handed to a logger."""


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage() == "decision"]


def test_a_zero_on_the_wire_has_no_minus() -> None:
    sent = face_quality(Quality(120.0, 0.9, 0.9, -0.04, -0.0, -0.06, 0.7))
    assert sent is not None
    assert (sent.yaw_deg, sent.pitch_deg, sent.roll_deg) == (0.0, 0.0, -0.1)
    assert b"-0.0" not in to_json(sent)


def test_a_decision_is_one_line_with_all_that_it_rests_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path)
    world.frames(5, world.anna)
    world.run()
    (record,) = lines(caplog)
    found: dict[str, Any] = json.loads(JsonFormatter().format(record))
    assert (found["outcome"], found["track"], found["person_id"]) == (
        "recognized",
        1,
        "p_annaannaaa",
    )
    assert found["score"] >= found["threshold"]
    assert {"frames", "agreeing", "looks", "faces_in_view", "duration_ms", "latency_ms"} <= set(
        found
    )
    assert {"face_px", "sharpness", "yaw_deg", "pitch_deg", "roll_deg"} <= set(found)
    assert {f"{stage}_ms" for stage in STAGE_NAMES if stage != "liveness"} <= set(found)
    assert "margin" not in found, "there is nobody else to have a lead over"
    assert len(TextFormatter(journal=True).format(record).splitlines()) == 1
    assert "Name p_annaannaaa" not in str(vars(record))


def test_of_a_face_that_was_refused_it_says_by_which_gate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(tmp_path)
    world.limits(min_face_px=4000.0)
    world.frames(3, world.anna)
    world.run()
    (record,) = lines(caplog)
    assert vars(record)["outcome"] == "rejected_quality"
    assert vars(record)["gate"] == "too_small"
    assert world.board.meters.counters()["gate_too_small"] == 3


def test_looks_and_stages_are_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.frames(5, world.anna)
    world.run()
    later = ("embed", "liveness")
    stages, frames, decisions = world.board.meters.durations()
    assert {name: found.up_to[-1] for name, found in stages.items() if name not in later} == {
        name: 5 for name in STAGE_NAMES if name not in later
    }
    assert stages["embed"].up_to[-1] >= 3
    assert (frames.up_to[-1], decisions.up_to[-1]) == (5, 1)
    assert world.board.meters.counters()["looks"] == 1


def test_the_pipeline_has_the_stages_that_it_names() -> None:
    used = re.findall(r'_stage\("([^"]+)"\)', (PACKAGE / "recognition" / "pipeline.py").read_text())
    assert set(used) == set(STAGES)


def test_nothing_personal_is_handed_to_a_logger() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "_log"):
                continue
            for part in ast.walk(node):
                name = getattr(part, "attr", None) or getattr(part, "id", None)
                if name in PERSONAL:
                    found.append(f"{path.relative_to(PACKAGE)}:{part.lineno}: {name}")  # type: ignore[attr-defined]
    assert found == []


def test_the_daemon_logs_nobodys_name_whatever_is_asked_of_it(tmp_path: Path) -> None:
    camera = {
        "source": "images",
        "folder": str(write_person(tmp_path / "pictures", COLLINS)),
        "fps": 12,
        "loop": True,
    }
    assert edgeface("keys", "administrator", tmp_path / "admin.key").returncode == 0
    with running_broker(tmp_path / "broker") as broker:
        file = write_config(
            tmp_path,
            broker.port,
            camera=camera,
            commands={"administrator_key_file": "admin.key.pub"},
            log={"format": "json", "level": "debug"},
            tracking={"max_gap_s": 0.2},
        )
        who = ("--name", NAME, "--id", PERSON, "--new")
        done = edgeface("enroll", COLLINS, *who, "-c", file)
        assert done.returncode == 0, done.stderr
        with DaemonProcess(file) as daemon:
            door = Door(file, broker.port, daemon.wait_ready())
            assert door.data("verify", person_id=PERSON, timeout_s=10)["outcome"] == "match"
            assert door.data("identify", timeout_s=10)["match"]["display_name"] == NAME
            assert door.data("enroll", 40, frames=2)["known_as"] == PERSON
            assert door.data("gallery")["people"] == 1
            assert door.data("why")["why"]
            changed = edgeface(
                "gallery", "set", PERSON, "--name", f"{NAME} II", "--card", CARD, "-c", file
            )
            assert changed.returncode == 0, changed.stderr
            daemon.wait_log(lambda log: "gallery changed" in log or log.count("people") > 1)
            daemon.send(signal.SIGHUP)
            daemon.wait_log(lambda log: "reloaded" in log and '"outcome": "recognized"' in log)
            assert daemon.stop()[0] == 0
        log = daemon.log
    assert "Unmistakable" not in log
    assert CARD not in log
    assert PERSON in log
    assert not re.search(r"(-?\d+(\.\d+)?, ){15}", log), "no list of numbers"
    decisions = [json.loads(line) for line in log.splitlines() if '"decision"' in line]
    assert {line["outcome"] for line in decisions} >= {"recognized"}
