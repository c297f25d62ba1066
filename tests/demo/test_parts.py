"""The demo's parts one by one: photographs, cameras, the outbox's file, processes, the truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from edgeface.base.clock import ManualClock
from edgeface.base.errors import SettingsError
from edgeface.contract.event import new_session
from edgeface.demo.child import Child, DemoError, environment, run_to_end
from edgeface.demo.photographs import COLLINS, HOPPER, write_enrollment
from edgeface.demo.plan import Workplace, camera_section
from edgeface.demo.recordings import NOBODY, Recordings, Timeline
from edgeface.outbox.outbox import Outbox
from edgeface.recognition.frame import Frame
from edgeface.recognition.pipeline import FrameResult
from edgeface.security.keys import SigningKey
from edgeface.service.recorder import description
from edgeface.settings.camera import SimulatedCamera
from edgeface.settings.loading import load_settings
from tests.support.broker import eventually
from tests.support.messages import TOPICS, sighting


def test_what_is_enrolled_differs_from_what_the_camera_sees(tmp_path: Path) -> None:
    seen, enrolled = (cv2.imread(str(path)) for path in (COLLINS, write_enrollment(tmp_path)))
    assert seen is not None
    assert enrolled is not None
    assert seen.shape == (512, 512, 3)
    assert enrolled.shape[:2] != seen.shape[:2]
    crop = cv2.resize(seen[18:343, 82:379], enrolled.shape[1::-1])
    difference = enrolled.astype(float) - crop.astype(float)
    assert np.abs(difference).mean() > 10
    # Lit from one side: the left third lost more light than the right one.
    third = enrolled.shape[1] // 3
    assert difference[:, :third].mean() < difference[:, -third:].mean() - 20


@pytest.mark.parametrize(
    ("what", "section"),
    [
        pytest.param("0", {"source": "v4l2", "device": 0}, id="number"),
        pytest.param("/dev/video2", {"source": "v4l2", "device": "/dev/video2"}, id="device"),
        pytest.param("picamera2", {"source": "picamera2", "index": 0}, id="pi"),
        pytest.param("picamera2:1", {"source": "picamera2", "index": 1}, id="second of a pi"),
        pytest.param("rtsp://cam/1", {"source": "stream", "url": "rtsp://cam/1"}, id="address"),
    ],
)
def test_a_real_camera_is_named_in_one_word(what: str, section: dict[str, Any]) -> None:
    assert camera_section(what) == section


def test_a_video_file_plays_as_a_camera_and_anything_else_is_refused(tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    clip.touch()
    assert camera_section(str(clip)) == {"source": "stream", "url": str(clip), "loop": True}
    with pytest.raises(SettingsError, match="neither the number of a camera"):
        camera_section(str(tmp_path / "absent.avi"))


def test_the_configuration_is_one_that_the_daemon_takes() -> None:
    with Workplace(keep=False) as workplace:
        workplace.write_config({"source": "v4l2", "device": 0, "size": (640, 480)}, 12345)
        settings = load_settings(workplace.config)
        assert (settings.mqtt.port, settings.state_dir) == (12345, workplace.state)
        assert settings.outbox_file == workplace.outbox
        assert settings.device_key_file.with_name("device.key.pub") == workplace.public_key
    assert not workplace.folder.exists()


def test_what_waits_in_a_locked_outbox_is_seen() -> None:
    clock = ManualClock()
    with Workplace(keep=False) as workplace:
        workplace.state.mkdir()
        assert workplace.waiting_events() == []
        with Outbox(workplace.outbox, TOPICS, new_session(), clock=clock) as outbox:
            assert workplace.waiting_events() == []
            outbox.append(sighting(clock))
            outbox.append(sighting(clock, event_type="unknown", match=None))
            eventually(lambda: len(workplace.waiting_events()) == 2)
            first, second = workplace.waiting_events()
    assert (first.event_type, second.event_type, second.seq) == ("recognized", "unknown", 2)


def test_a_verb_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"(?s)ended with 2.*No such file"):
        run_to_end("config", ["config", "check", tmp_path / "absent.yaml"], tmp_path / "log", 30)


def test_the_output_of_a_process_is_kept_and_told_line_by_line(tmp_path: Path) -> None:
    lines: list[str] = []
    ends: list[int] = []
    config = tmp_path / "edgeface.yaml"
    child = Child(["config", "show", config], tmp_path / "log", lines.append, ends.append)
    eventually(lambda: bool(ends))
    assert ends == [2]
    assert "no such file" in " ".join(lines).lower()
    assert child.stop(1.0) == 2
    assert child.log.read_text().splitlines() == lines


def test_a_process_that_does_not_heed_sigterm_is_killed(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_bytes(SigningKey.generate().public.pem())
    door: list[str | Path] = [
        "door",
        "--site",
        "demo",
        "--device",
        "door-1",
        "--key",
        key,
        "--port",
        "1",
        "--json",
    ]
    lines: list[str] = []
    child = Child(door, tmp_path / "log", lines.append, lambda code: None)
    eventually(lambda: any("unreachable" in line for line in lines))
    os.kill(child.pid, signal.SIGSTOP)
    assert child.stop(0.2) == -signal.SIGKILL
    assert not psutil.pid_exists(child.pid)


ORPHAN_MAKER = """
import sys, time
from pathlib import Path
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.demo.child import Child
folder = Path(sys.argv[1])
broker = LocalBroker(folder / "broker")
broker.start()
key = folder / "key.pub"
arguments = ["door", "--site", "demo", "--device", "door-1", "--key", key, "--json"]
Child([*arguments, "--port", str(broker.port)], folder / "log", print, print)
print("begun", flush=True)
time.sleep(60)
"""


def test_nothing_is_left_of_a_demo_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(SigningKey.generate().public.pem())
    maker = subprocess.Popen(
        [sys.executable, "-c", ORPHAN_MAKER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert maker.stdout is not None
    assert maker.stdout.readline() == "begun\n"
    children = psutil.Process(maker.pid).children(recursive=True)
    assert len(children) == 2
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_the_truth_is_read_from_the_recorded_frames(tmp_path: Path) -> None:
    camera = SimulatedCamera.model_construct(
        photographs=(COLLINS, HOPPER), fps=10, visit_s=2.0, gap_s=1.0, loop=True
    )
    start = datetime(2026, 11, 21, 16, tzinfo=UTC)
    frames = tmp_path / "frames"
    timeline = Timeline(camera, Recordings(frames))
    assert timeline.in_view(start) == NOBODY
    frames.mkdir()
    image = np.zeros((90, 160, 3), np.uint8)
    frame = Frame(image, "door", 15, start + timedelta(seconds=1.5), 0)
    (frames / "a.json").write_text(json.dumps(description(frame, FrameResult((), ()))))
    seconds = (0.5, 1.2, 2.9, 3.5, 4.5, 7.5)
    seen = [timeline.in_view(start + timedelta(seconds=at)) for at in seconds]
    eileen, grace = "Eileen Collins", "Grace Hopper"
    assert seen == [NOBODY, eileen, eileen, NOBODY, grace, eileen]
