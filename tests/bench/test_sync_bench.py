"""`edgeface bench sync` in small: what it measures adds up, and a wrong digest is its status."""

from __future__ import annotations

import json

import pytest

from edgeface.bench.sync_site import SyncSite
from edgeface.cli.main import main

SMALL = ["bench", "sync", "--devices", "2", "--people", "30", "--changes", "4", "--json"]


def test_every_device_agrees_and_changes_cost_what_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(SMALL) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["wrong"] == []
    assert 30 < found["full_messages"] <= 30 + 30 + 4
    assert found["catch_up_messages"] <= 4 + 4 + 2
    for name in ("full_sync_s", "enrollment_s", "erasure_s", "receipt_s", "catch_up_s", "opened_s"):
        assert 0 < found[name]["p50"] <= found[name]["p99"] <= found[name]["most"]
    assert found["resident_mib"]["p50"] > 10
    for name in ("opening_peak_mib", "swap_peak_mib", "syncing_peak_mib"):
        assert found[name]["p50"] > 10


def test_another_digest_than_the_administrators_is_the_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SyncSite, "digest", lambda _: "00" * 32)
    assert main([*SMALL[:-1], "--changes", "0"]) == 1
    assert "device-0, device-1" in capsys.readouterr().out


def test_frames_go_on_while_records_are_applied(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--while-recognizing", "--people", "200", "--seconds", "0.6", "--json"]
    assert main(["bench", "sync", *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["people"] == 200
    assert found["during_ms"]["p50"] > 0
