"""The clock as a running daemon says, asked by its exporter or by a ping, and by the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.base.clock import Clock
from edgeface.demo.photographs import COLLINS
from edgeface.mqtt.localbroker import free_port
from edgeface.service.doctor.finding import Patient
from edgeface.service.doctor.unit_clock import clock
from edgeface.settings.loading import load_settings
from tests.support.broker import running_broker
from tests.support.daemon import DaemonProcess, write_config, write_visits

IMAGES = {"source": "images", "folder": "."}


@pytest.mark.parametrize(("trouble", "verdict"), [(None, "ok"), ("it runs free", "fail")])
def test_without_a_daemon_the_kernels_clock_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str | None, verdict: str
) -> None:
    monkeypatch.setattr(Clock, "sync_trouble", lambda _: trouble)
    found = clock(
        Patient(
            Patient(load_settings(write_config(tmp_path, 1, camera=IMAGES))).settings,
            left_out=frozenset({"broker"}),
        )
    )
    assert found.verdict == verdict
    assert "the broker is left out" in found.detail


def test_a_running_daemon_says_what_it_sees_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = write_visits(tmp_path / "pictures", [COLLINS], 2, 2)
    camera = {"source": "images", "folder": str(pictures), "loop": True}
    with running_broker(tmp_path / "broker") as one:
        file = write_config(tmp_path, one.port, camera=camera)
        with DaemonProcess(file) as daemon:
            daemon.wait_ready()
            found = clock(Patient(load_settings(file)))
            synced = Clock().synced()
            assert found.verdict == ("ok" if synced else "fail")
            assert "says the daemon, which is ready" in found.detail
            if not synced:  # as a unit that may not ask the kernel
                monkeypatch.setattr(Clock, "sync_trouble", lambda _: None)
                assert "SystemCallFilter" in clock(Patient(load_settings(file))).cure


def test_the_exporter_is_asked_where_there_is_one(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    pictures = write_visits(tmp_path / "pictures", [COLLINS], 2, 2)
    camera = {"source": "images", "folder": str(pictures), "loop": True}
    port = free_port()
    file = write_config(
        tmp_path, free_port(), camera=camera, metrics={"listen": f"127.0.0.1:{port}"}
    )
    patient = Patient(load_settings(file))
    assert f"not be asked: metrics.listen 127.0.0.1:{port}" in clock(patient).detail
    with DaemonProcess(file) as daemon:
        daemon.wait_ready()
        assert "says the daemon, which is ready" in clock(patient).detail


def test_without_a_broker_the_kernel_is_asked_and_without_a_configuration_as_well(
    tmp_path: Path,
) -> None:
    one = Patient(load_settings(write_config(tmp_path, free_port(), camera=IMAGES)))
    assert "the daemon could not be asked: broker 127.0.0.1" in clock(one).detail
    assert "no configuration" in clock(Patient(None)).detail
