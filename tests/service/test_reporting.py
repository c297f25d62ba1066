"""What the device says about itself, from what its workers put on the board."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from edgeface.base.clock import NS, ManualClock
from edgeface.capture.reopening import CameraHealth
from edgeface.capture.slot import LatestSlot
from edgeface.contract import codec
from edgeface.inference.models import AcceleratorState
from edgeface.mqtt.link import DeviceSession, LinkStatus
from edgeface.mqtt.presence import Presence
from edgeface.outbox.rows import OutboxStatus
from edgeface.recognition.frame import Frame
from edgeface.security.keys import SigningKey
from edgeface.service import reporting
from edgeface.service.board import Board, ModelFacts, TpuOrder
from edgeface.service.meters import Meters
from edgeface.service.reporting import Reporter
from edgeface.settings.camera import PictureAlert
from tests.support.messages import TOPICS
from tests.support.packages import name_only
from tests.support.people import gallery, identity, uniform_calibration
from tests.support.settings import settings_of

CPU = AcceleratorState("cpu", "cpu", False, None, "stage 1")
SEEN = CameraHealth(connected=True, frames=3)


class Desk:
    """A reporter and what it reads."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.board = Board(settings_of(health={"interval_s": 10.0}))
        me = DeviceSession(TOPICS, "ab" * 16, SigningKey.generate(), self.clock)
        self.presence = Presence(me)
        others: dict[str, Any] = {
            "outbox": SimpleNamespace(status=OutboxStatus(), oldest_at=None),
            "publisher": SimpleNamespace(status=LinkStatus()),
            "supervisor": SimpleNamespace(restarts=2, troubles=()),
        }
        self.outbox, self.supervisor = others["outbox"], others["supervisor"]
        self.reporter = Reporter(
            self.board,
            me,
            self.presence,
            slot=LatestSlot[Frame](),
            **others,
        )

    def make_ready(self) -> None:
        import numpy as np

        self.board.by_recognizer.models = ModelFacts(
            name_only("a" * 64), name_only("b" * 64, "2"), uniform_calibration(), CPU
        )
        self.board.by_gallery.index = gallery([identity(np.random.default_rng(1))])
        self.board.by_capture.camera = SEEN


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_it_is_ready_only_with_models_gallery_and_a_frame(desk: Desk) -> None:
    board = desk.board
    for missing, post, name in (
        ("models", board.by_recognizer, "models"),
        ("gallery", board.by_gallery, "index"),
        ("camera", board.by_capture, "camera"),
    ):
        desk.make_ready()
        setattr(post, name, None)
        assert desk.reporter.lifecycle == "init", missing
        assert any(
            missing.replace("index", "gallery") in reason for reason in desk.reporter.reasons()
        )
    desk.make_ready()
    assert desk.reporter.lifecycle == "ready"
    assert desk.reporter.reasons() == ()


def test_a_camera_without_a_frame_is_not_ready(desk: Desk) -> None:
    desk.make_ready()
    desk.board.by_capture.camera = CameraHealth(connected=True)
    assert desk.reporter.lifecycle == "init"


def lose_tpu(desk: Desk) -> None:
    assert desk.board.models is not None
    lost = AcceleratorState("cpu", "cpu", True, "was unplugged", "stage 1")
    desk.board.by_recognizer.models = dataclasses.replace(desk.board.models, accelerator=lost)


def give_tpu_up(desk: Desk) -> None:
    """Told before the models are open on the CPU."""
    desk.board.by_main.order = TpuOrder("does not return")


def lose_camera(desk: Desk) -> None:
    desk.board.by_capture.camera = dataclasses.replace(SEEN, last_error="no frame for 5.0 s")


def lose_gallery(desk: Desk) -> None:
    desk.board.by_gallery.trouble = "gallery.sqlite is damaged"


def lose_liveness(desk: Desk, verify: Any = "challenge") -> None:
    settings = desk.board.settings
    pad = settings.pad.model_copy(update={"verify": verify})
    desk.board.by_main.settings = settings.model_copy(update={"pad": pad})
    desk.board.by_recognizer.liveness_trouble = "golden run: score 0.3 off"


@pytest.mark.parametrize(
    ("what", "alert", "words"),
    [
        pytest.param(lose_tpu, "accelerator_lost", "was unplugged", id="accelerator"),
        pytest.param(give_tpu_up, "accelerator_lost", "does not return", id="given up"),
        pytest.param(lose_camera, "camera_stalled", "no frame for 5.0 s", id="camera"),
        pytest.param(lose_gallery, "gallery_stale", "is damaged", id="gallery"),
        pytest.param(lose_liveness, "liveness_failing", "by pad.verify: challenge", id="liveness"),
    ],
)
def test_trouble_is_degraded_and_an_alert_until_it_is_over(
    desk: Desk, what: Any, alert: str, words: str
) -> None:
    desk.make_ready()
    desk.reporter.tick()
    assert desk.presence.alerts == {}
    what(desk)
    desk.reporter.tick()
    assert desk.reporter.lifecycle == "degraded"
    assert words in desk.reporter.reasons()[0]
    assert words in desk.presence.alerts[alert]  # type: ignore[index]
    desk.make_ready()
    desk.board.by_main.order = desk.board.by_gallery.trouble = None
    desk.board.by_recognizer.liveness_trouble = None
    desk.reporter.tick()
    assert desk.reporter.state().lifecycle == "ready"
    assert desk.presence.alerts == {}


def test_liveness_that_is_only_told_is_an_alert_but_not_degraded(desk: Desk) -> None:
    desk.make_ready()
    lose_liveness(desk, "report")
    desk.reporter.tick()
    assert desk.presence.alerts == {"liveness_failing": "not assessed: golden run: score 0.3 off"}
    assert desk.reporter.lifecycle == "ready"


def test_a_clock_nobody_vouches_for_is_an_alert_but_not_degraded(desk: Desk) -> None:
    desk.make_ready()
    desk.clock.disciplined = False
    desk.reporter.tick()
    assert set(desk.presence.alerts) == {"clock_unsynced"}
    assert desk.reporter.lifecycle == "ready"


def test_before_it_is_ready_only_a_silent_camera_is_alarming(desk: Desk) -> None:
    desk.clock.disciplined = False
    desk.reporter.tick()
    assert desk.presence.alerts == {}
    lose_camera(desk)
    desk.reporter.tick()
    assert set(desk.presence.alerts) == {"camera_stalled"}


def test_templates_of_another_model_are_an_alert(desk: Desk) -> None:
    desk.make_ready()
    desk.board.by_gallery.model_trouble = "3 templates belong to another model"
    desk.reporter.tick()
    assert set(desk.presence.alerts) == {"model_mismatch"}


def test_a_disk_that_takes_nothing_is_degraded(desk: Desk) -> None:
    desk.make_ready()
    desk.outbox.status = OutboxStatus(degraded="disk_full")
    assert desk.reporter.lifecycle == "degraded"
    assert desk.reporter.reasons() == ("outbox: disk_full",)


def test_a_full_disk_is_told_though_nobody_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str | None] = ["full, less than 1 MiB is left"]
    monkeypatch.setattr(reporting, "disk_trouble", lambda folder: found[0])
    desk.make_ready()
    desk.reporter.tick()
    assert desk.reporter.reasons() == ("disk: full, less than 1 MiB is left",)
    found[0] = None
    desk.clock.sleep(1)
    desk.reporter.tick()
    assert desk.reporter.lifecycle == "ready"


def test_a_worker_that_failed_a_moment_ago_is_told(desk: Desk) -> None:
    desk.make_ready()
    desk.supervisor.troubles = ("worker capture failed: out of order",)
    assert desk.reporter.lifecycle == "degraded"
    assert desk.reporter.reasons() == ("worker capture failed: out of order",)


def test_an_accelerator_that_is_being_opened_anew_is_told(desk: Desk) -> None:
    desk.make_ready()
    desk.board.by_recognizer.reopening = "USB transfer failed"
    assert desk.reporter.reasons() == ("accelerator: is opened anew: USB transfer failed",)


def test_a_clock_that_was_set_is_an_alert_until_it_is_set_back(desk: Desk) -> None:
    desk.make_ready()
    desk.reporter.tick()
    desk.clock.utc_offset_ns -= 86_400 * NS
    desk.reporter.tick()
    assert "was set back by 1 day, 0:00:00" in desk.presence.alerts["clock_unsynced"]
    desk.clock.utc_offset_ns += 86_400 * NS
    desk.reporter.tick()
    assert desk.presence.alerts == {}


def test_the_state_says_what_the_device_works_with(desk: Desk) -> None:
    desk.make_ready()
    desk.outbox.status = OutboxStatus(depth=2, last_seq=7)
    state = codec.to_mapping(desk.reporter.state())
    assert state["lifecycle"] == "ready"
    assert state["last_seq"] == 7
    assert state["outbox"]["depth"] == 2
    assert state["models"]["detector"] == "sha256:" + "a" * 64
    assert state["gallery"]["people"] == 1
    assert state["camera"]["connected"] is True
    assert state["versions"]["runtime"] == "stage 1"
    assert state["threshold_extrapolated"] is False
    desk.reporter.stopping = True
    assert desk.reporter.state().lifecycle == "stopping"


def test_the_health_message_comes_when_it_is_due(desk: Desk) -> None:
    assert desk.reporter.health() is None
    desk.board.meters.frame(30.0, faces=1, embedded=1)
    desk.clock.sleep(10)
    health = desk.reporter.health()
    assert health is not None
    assert health.uptime_s == 10
    assert health.latency_ms is not None
    assert health.latency_ms.p50 == 30
    assert health.counters["frames"] == 1
    assert health.counters["worker_restarts"] == 2
    assert desk.reporter.health() is None
    for _ in range(20):
        desk.board.meters.frame(30.0, faces=1, embedded=1)
    desk.clock.sleep(10)
    later = desk.reporter.health()
    assert later is not None
    assert later.fps == 2.0


def test_percentiles_are_of_the_time_since_the_last_report() -> None:
    meters = Meters()
    for latency_ms in range(1, 101):
        meters.frame(float(latency_ms), faces=0, embedded=0)
    _, latency = meters.report(1.0)
    assert latency is not None
    assert (round(latency.p50), round(latency.p90), round(latency.p99)) == (50, 90, 99)
    assert meters.report(2.0) == (0.0, None)


def test_ready_is_said_of_the_past_too(desk: Desk) -> None:
    desk.make_ready()
    assert desk.reporter.ready
    desk.board.by_capture.camera = SimpleNamespace(frames=0, last_error="lost", connected=False)  # type: ignore[assignment]
    assert desk.reporter.lifecycle == "degraded"


def test_a_turned_camera_and_too_few_frames_are_alerts_but_not_degraded(desk: Desk) -> None:
    desk.make_ready()
    desk.board.by_recognizer.turn = 90
    desk.board.by_recognizer.frame_interval_s = 2.0
    desk.reporter.tick()
    assert desk.presence.alerts["camera_turned"].endswith("set camera.rotate: 90")  # type: ignore[index]
    assert "a frame comes every 2.0 s only" in desk.presence.alerts["frame_rate_low"]  # type: ignore[index]
    assert desk.reporter.lifecycle == "ready"
    desk.board.by_recognizer.turn = 0
    desk.board.by_recognizer.frame_interval_s = 1.0
    desk.reporter.tick()
    assert desk.presence.alerts == {}


def test_the_state_says_that_faces_are_looked_for_now_and_then_only(desk: Desk) -> None:
    desk.make_ready()
    assert desk.reporter.state().idle is False
    desk.board.by_recognizer.idle = True
    assert codec.to_mapping(desk.reporter.state())["idle"] is True
    assert desk.reporter.lifecycle == "ready"


@pytest.mark.parametrize("alert", get_args(PictureAlert))
def test_what_is_wrong_with_the_picture_is_an_alert_until_it_is_over(
    desk: Desk, alert: PictureAlert
) -> None:
    desk.make_ready()
    desk.board.by_recognizer.picture = {alert: "in words"}
    desk.reporter.tick()
    assert desk.presence.alerts == {alert: "in words"}
    # Nobody can be recognized in a frozen picture; the others may be night or a matter of minutes.
    assert desk.reporter.lifecycle == ("degraded" if alert == "camera_frozen" else "ready")
    desk.board.by_recognizer.picture = {alert: None}
    desk.reporter.tick()
    assert desk.presence.alerts == {}
    assert desk.reporter.lifecycle == "ready"
