"""The benchmark of a whole site, small: what it counts; no times are asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeface.cli.main import main


def test_every_device_follows_comes_back_and_no_event_is_lost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["bench", "fleet", "--devices", "4", "--people", "20", "--fps", "10"]
    arguments += ["--seconds", "1", "--folder", str(tmp_path), "--json"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    measured = json.loads(said.out)
    assert measured["events"] == pytest.approx(40, abs=4)
    assert (measured["lost"], measured["twice"], measured["wrong"]) == (0, 0, [])
    for key in ("connected_s", "enrollment_s", "erasure_s", "receipt_s", "again_s", "event_s"):
        assert 0 < measured[key]["p50"] <= measured[key]["p99"] <= measured[key]["most"]
    assert measured["broker_mib"] > 1
    assert "... restart of the broker" in said.err
    assert list(tmp_path.iterdir()) == []
