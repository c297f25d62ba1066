"""The event benchmark against a real broker; no times are asserted, machines differ."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeface.bench import events_bench
from edgeface.bench.events_bench import Latency, file_system_of
from edgeface.cli.main import main
from edgeface.contract.event import Sighting


def test_percentiles_are_in_milliseconds() -> None:
    found = Latency.of([1_000_000 * n for n in range(1, 102)])
    assert (found.p50_ms, found.p99_ms, found.max_ms) == pytest.approx((51.0, 100.0, 101.0))


def test_the_file_system_is_that_of_the_nearest_mount() -> None:
    assert file_system_of(Path("/proc/self")) == "proc"
    assert file_system_of(Path("/")) != "proc"


def test_the_verb_measures_every_event_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["bench", "events", "--events", "30", "--fps", "60", "--folder", str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert 0 < measured["events"] <= 30
    assert measured["events"] + measured["frames_dropped"] >= 30
    for name in ("commit", "door", "puback", "yardstick"):
        found = measured[name]
        assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert measured["commit"]["p50_ms"] < measured["puback"]["p50_ms"]
    assert measured["p99_in_yardsticks"] == pytest.approx(
        measured["puback"]["p99_ms"] / measured["yardstick"]["p99_ms"]
    )
    assert list(tmp_path.iterdir()) == []


def test_the_table_names_all_of_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["bench", "events", "--events", "10", "--fps", "100", "--folder", str(tmp_path)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "PUBACK of the log copy" in said
    assert "yardsticks: p50" in said


def test_a_machine_too_slow_for_every_frame_has_its_events_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class SlowOutbox(events_bench._MeteredOutbox):
        def append(self, sighting: Sighting, named: Callable[[str], None] = lambda _: None) -> None:
            time.sleep(0.03)
            super().append(sighting, named)

    monkeypatch.setattr(events_bench, "_MeteredOutbox", SlowOutbox)
    found = events_bench.bench_events(10, 100.0, tmp_path)
    assert found.frames_dropped > 0
    assert found.events > 0
