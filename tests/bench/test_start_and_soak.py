"""The daemon as a process, looked at from outside; no times are asserted, machines differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgeface.base.errors import EvaluationError
from edgeface.bench.daemon_run import DaemonRun
from edgeface.bench.soak_bench import MOST_GROWTH, trend
from edgeface.bench.start_bench import FIRST_FRAME, PHASES, phases
from edgeface.cli.bench_tables import show_soak
from edgeface.cli.main import main
from edgeface.settings.places import PACKAGE

PICTURES = PACKAGE / "demo" / "pictures"
AT_S = [10.0 * number for number in range(361)]
NOISE = np.random.default_rng(3).normal(0, 0.2, len(AT_S))


def test_a_phase_lasts_from_the_end_of_the_one_before() -> None:
    told = dict(zip(PHASES.values(), (0.7, 0.8, 0.85, 0.9, 0.95), strict=True))
    found = phases(told, 1.0)
    assert list(found) == [*PHASES, FIRST_FRAME]
    assert found["imports"] == pytest.approx(0.7)
    assert found["models"] == pytest.approx(0.1)
    assert sum(found.values()) == pytest.approx(1.0)


def test_a_phase_of_which_the_log_says_nothing_is_an_error() -> None:
    told = dict.fromkeys(PHASES.values(), 0.5)
    del told[PHASES["golden"]]
    with pytest.raises(EvaluationError, match="golden"):
        phases(told, 1.0)


@pytest.mark.parametrize(
    ("values", "growth", "flat"),
    [
        pytest.param(150 + NOISE, MOST_GROWTH, True, id="noise"),
        pytest.param(150 - np.exp(-np.array(AT_S) / 300), MOST_GROWTH, True, id="warms up"),
        pytest.param(150 + NOISE + np.array(AT_S) / 600, MOST_GROWTH, False, id="6 MiB an hour"),
        pytest.param([12.0] * 361, 0.0, True, id="descriptors"),
        pytest.param([12.0, 13.0, 12.0, 11.0] * 90, 0.0, True, id="come and go"),
        pytest.param([12.0] * 220 + [13.0] * 141, 0.0, False, id="one is never closed"),
        pytest.param([18.0] * 100 + [12.0] * 261, 0.0, True, id="fewer than at first"),
    ],
)
def test_what_is_flat(values: list[float], growth: float, *, flat: bool) -> None:
    assert trend(AT_S[: len(values)], [*map(float, values)], growth).flat is flat


def test_a_daemon_that_ends_at_its_start_says_why(tmp_path: Path) -> None:
    file = tmp_path / "edgeface.yaml"
    file.write_text("site: 7\n")
    with (
        DaemonRun(file) as daemon,
        pytest.raises(EvaluationError, match=r"ended with 2: .*camera: is missing"),
    ):
        daemon.wait_ready()


def test_every_phase_of_a_start_is_measured_and_nothing_left_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["bench", "start", "--people", "20", "--runs", "1", "--folder", str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["phases_s"]) == [*PHASES, FIRST_FRAME]
    assert all(spent_s > 0 for spent_s in found["phases_s"].values())
    assert sum(found["phases_s"].values()) == pytest.approx(found["ready_s"])
    assert found["broker_s"] > found["phases_s"]["imports"] > found["yardstick_s"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_soak_of_some_seconds_counts_what_it_is_to_count(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    visitors = [f"--photograph={PICTURES / name}" for name in ("eileen-collins.png",)]
    arguments = ["bench", "soak", *visitors, "--people", "20", "--minutes", "0.1"]
    assert main([*arguments, "--folder", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["flat"] is None
    show_soak(found)
    shown = capsys.readouterr().out
    assert shown.count("too short to tell") == 4
    assert "GROWS" not in shown
    assert (found["people"], found["outages"], found["exit_code"]) == (21, 5, 0)
    assert found["samples"] >= 20
    assert found["counters"]["frames"] > 0
    assert found["resident_mib"]["last"] >= found["proportional_mib"]["last"] > 20
    assert found["descriptors"]["most"] >= 3
    assert found["threads"]["most"] >= 5
    assert found["cores"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_photograph_without_a_face_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nobody = tmp_path / "README.md"
    nobody.write_text("no picture")
    assert main(["bench", "soak", f"--photograph={nobody}", "--people", "1"]) == 2
    assert f"{nobody}: cannot be enrolled" in capsys.readouterr().err
