"""How the process ends: the codes, the bound, and a thread that does not let go."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.base.errors import CameraError
from edgeface.mqtt.localbroker import free_port
from edgeface.outbox.outbox_file import OutboxFile
from edgeface.service.composition import CAPTURE, RECOGNIZER, Composition
from edgeface.service.daemon import Daemon
from edgeface.service.signals import SignalQueue
from edgeface.service.supervisor import Exit, FatalError
from edgeface.service.worker import Pulse, Task, WorkerSpec
from tests.support.daemon import DaemonProcess, write_config
from tests.support.mjpeg_server import MjpegServer
from tests.support.settings import settings_of

STOP_S = 1.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def patient(pulse: Pulse) -> None:
    pulse.stop.wait()


class Two(Composition):
    """A composition of two workers that the test gives, with a real outbox and no broker."""

    def __init__(self, folder: Path, capture: Task) -> None:
        super().__init__(
            settings_of(
                state_dir=str(folder),
                mqtt={"port": 1},
                service={"stop_timeout_s": STOP_S, "restart_budget": 0},
            )
        )
        self._task = capture

    def specs(self) -> tuple[WorkerSpec, ...]:
        return (WorkerSpec(CAPTURE, self._task), WorkerSpec(RECOGNIZER, patient))


def end_of(folder: Path, capture: Task, *numbers: signal.Signals) -> tuple[Exit, float]:
    """How the daemon ends, and how long it took."""
    with SignalQueue() as signals:
        for number in numbers:
            signal.raise_signal(number)
        began_s = time.monotonic()
        end = Daemon(Two(folder, capture), folder / "none.yaml").run(signals)
        return end, time.monotonic() - began_s


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_is_a_clean_end(tmp_path: Path, number: signal.Signals) -> None:
    end, _ = end_of(tmp_path, patient, number)
    assert end == Exit(0, "")


def test_a_reload_that_fails_ends_nothing(tmp_path: Path) -> None:
    end, _ = end_of(tmp_path, patient, signal.SIGHUP, signal.SIGTERM)
    assert end.code == 0


def test_missing_hardware_ends_with_the_code_of_the_error(tmp_path: Path) -> None:
    def missing(pulse: Pulse) -> None:
        raise FatalError(CameraError("no camera"))

    end, _ = end_of(tmp_path, missing)
    assert end.code == 3
    assert isinstance(end.cause, CameraError)


def test_a_worker_beyond_its_budget_ends_with_4(tmp_path: Path) -> None:
    def failing(pulse: Pulse) -> None:
        raise RuntimeError("out of order")

    end, _ = end_of(tmp_path, failing)
    assert end.code == 4
    assert "worker capture failed: out of order" in end.reason


def test_a_thread_that_does_not_let_go_ends_with_5_within_the_bound(
    tmp_path: Path, release: threading.Event
) -> None:
    def stuck(pulse: Pulse) -> None:
        release.wait()

    end, took_s = end_of(tmp_path, stuck, signal.SIGTERM)
    assert end.code == 5
    assert "capture" in end.reason
    assert took_s < 3 * STOP_S


def test_a_worker_that_hangs_while_it_runs_ends_with_4_and_its_reason(
    tmp_path: Path, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck(pulse: Pulse) -> None:
        release.wait()

    spec = WorkerSpec(CAPTURE, stuck, limit_s=0.1)
    monkeypatch.setattr(Two, "specs", lambda _: (spec, WorkerSpec(RECOGNIZER, patient)))
    end, _ = end_of(tmp_path, stuck)
    assert end.code == 4
    assert "worker capture is stuck" in end.reason


def test_a_second_daemon_on_the_same_state_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeface.outbox.outbox_file.LOCK_TIMEOUT_S", 0.1)
    first = Two(tmp_path, patient)
    first.start()
    try:
        with pytest.raises(OSError, match="is edgeface running already"):
            Two(tmp_path, patient).start()
    finally:
        first.supervisor.stop(5)
        first.outbox.close()


def test_a_thread_left_behind_does_not_keep_the_process() -> None:
    code = (
        "import threading\n"
        "from edgeface.service.daemon import leave\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "raise SystemExit(leave(5))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=False, cwd=ROOT)
    assert done.returncode == 5


def test_a_stalled_stream_does_not_make_the_end_a_failure(tmp_path: Path) -> None:
    """Its reader hangs in FFmpeg for as long as FFmpeg likes; the process goes without it."""
    server = MjpegServer()
    try:
        camera = {"source": "stream", "url": server.url, "stall_timeout_s": 20}
        with DaemonProcess(write_config(tmp_path, free_port(), camera=camera)) as daemon:
            daemon.wait_ready()
            server.stalled.set()
            code, took_s = daemon.stop()
            assert (code, took_s < 5) == (0, True), daemon.log
    finally:
        server.close()


def test_a_slow_disk_that_holds_up_the_closing_of_files_alone_is_a_clean_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    """Their logs are moved into the files then, with several syncs; what counts is on disk."""
    monkeypatch.setattr(OutboxFile, "close", lambda _: release.wait())
    end, took_s = end_of(tmp_path, patient, signal.SIGTERM)
    assert (end, took_s < 3 * STOP_S) == (Exit(0, ""), True)
    assert Two(tmp_path / "gallery", patient)._gallery_worker.may_linger
