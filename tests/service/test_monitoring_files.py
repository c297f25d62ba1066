"""docs/monitoring: the rules, the dashboard and the page name what the exporter has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edgeface.base.clock import ManualClock
from edgeface.contract import codec
from edgeface.contract.report import State
from edgeface.inference.models import AcceleratorState
from edgeface.mqtt.link import LinkStatus
from edgeface.service.board import Board, ModelFacts, SyncLag
from edgeface.service.metrics import DeviceMetrics, Readings
from tests.support.packages import name_only
from tests.support.people import uniform_calibration
from tests.support.settings import settings_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOLDER = DOCS / "monitoring"
NAMED = re.compile(r"\bedgeface_[a-z_]+\b")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")


@pytest.fixture(scope="module")
def text() -> str:
    """What a device of a fleet exports that has everything."""
    board = Board(settings_of())
    board.by_gallery.lag = SyncLag(320, 3, None, 1_800_000_000.0)
    accelerator = AcceleratorState("edgetpu", "cpu", False, None, "stage 1")
    board.by_recognizer.models = ModelFacts(
        name_only("a" * 64), name_only("b" * 64, "2"), uniform_calibration(), accelerator
    )
    state = codec.from_json(State, (DOCS / "examples" / "state.json").read_bytes())
    missed = {"offline": 1}
    readings = Readings(
        board, lambda: state, dict[str, int], lambda: LinkStatus(live_missed=missed), ManualClock()
    )
    registry = CollectorRegistry()
    with pytest.MonkeyPatch.context() as patch:  # not every machine tells its temperature
        patch.setattr("edgeface.service.metrics.temperature_c", lambda: 58.4)
        registry.register(DeviceMetrics(readings))
        return generate_latest(registry).decode()


@pytest.fixture(scope="module")
def exported(text: str) -> set[str]:
    return {s.name for family in text_string_to_metric_families(text) for s in family.samples}


def expressions() -> list[str]:
    """Every query of the rules and of the dashboard, without Grafana's variables."""
    rules: Any = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard: Any = json.loads((FOLDER / "dashboard.json").read_text())
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [item.replace("$__rate_interval", "5m") for item in found]


def test_the_rules_and_the_dashboard_ask_for_what_there_is(exported: set[str]) -> None:
    wanted = {name for query in expressions() for name in NAMED.findall(query)}
    assert len(wanted) > 20
    assert wanted - exported == set()


def test_the_page_names_every_metric_and_no_other(exported: set[str]) -> None:
    page = (FOLDER / "README.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {re.sub(r"\{.*", "", name) for row in rows for name in re.findall(r"`([^`]+)`", row)}
    families = {
        re.sub(r"_(bucket|sum|count)$", "", name).removeprefix("edgeface_") for name in exported
    }
    assert named == families


@needs_promtool
def test_promtool_accepts_the_rules_and_each_fires_when_it_should() -> None:
    for words in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")):
        done = subprocess.run(
            ["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"q:{n}", "expr": query} for n, query in enumerate(expressions())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_finds_nothing_to_say_of_the_metrics(text: str) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
