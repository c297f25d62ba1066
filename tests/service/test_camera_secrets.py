"""What is secret in a camera's address is nowhere but in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.broker import Witness, running_broker
from tests.support.daemon import DaemonProcess, edgeface, write_config
from tests.support.mjpeg_server import MjpegServer

BASE = "edgeface/v1/hq/door-1"
SECRET = "hunter2"


@pytest.mark.parametrize(
    ("user", "query", "more"),
    [
        pytest.param(f"admin:{SECRET}@", "", {}, id="before the host"),
        pytest.param("", f"?user=admin&password={SECRET}", {}, id="in the query"),
        pytest.param(f"ad@min:{SECRET}@", f"?token={SECRET}@", {}, id="both"),
        pytest.param("", "", {"username": "admin", "password_file": "secret"}, id="in a file"),
        pytest.param(
            "",
            "?user={username}&password={password}",
            {"username": "admin", "password_file": "credential:camera"},
            id="a credential in the query",
        ),
    ],
)
def test_no_secret_of_a_camera_is_logged_or_published(
    tmp_path: Path, user: str, query: str, more: dict[str, str]
) -> None:
    for name in ("secret", "camera"):
        (tmp_path / name).write_text(f"{SECRET}\n")
        (tmp_path / name).chmod(0o600)
    server = MjpegServer()
    url = server.url.replace("//", f"//{user}") + query
    times = {"stall_timeout_s": 0.5, "reopen_min_s": 0.05, "reopen_max_s": 0.2}
    camera = {"source": "stream", "url": url, **times, **more}
    with running_broker(tmp_path / "broker") as broker, Witness(broker.port, f"{BASE}/#") as seen:
        file = write_config(tmp_path, broker.port, camera=camera, log={"level": "debug"})
        try:
            with DaemonProcess(file, CREDENTIALS_DIRECTORY=str(tmp_path)) as daemon:
                daemon.wait_ready()
                server.cut.set()
                server.close()
                seen.wait(
                    lambda all_: any(
                        b"cannot be opened" in arrival.message.payload
                        for arrival in all_
                        if arrival.topic == f"{BASE}/alert/camera_stalled"
                    )
                )
                daemon.wait_log(lambda log: "cannot be opened" in log)
                daemon.stop()
                said = daemon.log
        finally:
            server.close()
        published = [arrival.message.payload.decode() for arrival in seen.arrivals]
    assert any("cannot be opened" in text for text in published if '"lifecycle"' in text)
    doctor = edgeface("doctor", "-c", file, CREDENTIALS_DIRECTORY=str(tmp_path))
    told = [said, doctor.stdout, doctor.stderr, *published]
    assert [text for text in told if SECRET in text] == []
    assert "127.0.0.1" in said
