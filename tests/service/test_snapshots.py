"""Pictures of decisions, from the frame to the administrator, and what may not stop because of
them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edgeface.base.clock import Clock
from edgeface.base.errors import StateError
from edgeface.base.ids import uuid7
from edgeface.contract.event import Sighting, Track
from edgeface.demo.photographs import COLLINS
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.recognition.values import Embedding
from edgeface.security.keys import SigningKey
from edgeface.security.sealing import AdministratorSecret, picture_context
from edgeface.service.board import Board
from edgeface.service.snapshot_folder import SnapshotFolder
from edgeface.service.snapshots import MAX_QUEUED, UNSEEN_S, Snapshots, people_of
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse
from tests.support.broker import Witness, eventually, running_broker
from tests.support.commanded import PERSON, Door
from tests.support.commands import SESSION, write_person
from tests.support.daemon import DaemonProcess, edgeface, write_config
from tests.support.doorstep import IMAGE, Scene
from tests.support.messages import TOPICS, sighting
from tests.support.people import gallery, identity
from tests.support.settings import settings_of


class World:
    """A pipeline that the snapshots look on at; `run` does the worker's work once."""

    def __init__(self, folder: Path, **snapshots: Any) -> None:
        self.secret = AdministratorSecret.generate()
        if not (folder / "k.pub").exists():
            self.secret.save(folder / "k")
        self.board = Board(
            settings_of(
                state_dir=str(folder),
                commands={"administrator_key_file": str(folder / "k.pub")},
                snapshots={"events": "all"} | snapshots,
            )
        )
        clock = Clock()
        self.clock = clock
        self.folder = SnapshotFolder(folder / "snapshots")
        me = DeviceSession(TOPICS, SESSION, SigningKey.generate(), clock)
        self.snapshots = Snapshots(self.board, me, TimeFloor(folder / "time", clock), self.folder)
        self.anna: Embedding = identity(np.random.default_rng(11))
        self.scene = Scene(gallery([self.anna], ["p_annaannaaa"]))

    def play(self, frames: int, *actors: tuple[float, Embedding]) -> None:
        self.scene.play(0, *actors)
        for _ in range(frames):
            frame = self.scene.frame()
            self.snapshots.observe(frame, self.scene.pipeline.process(frame, self.scene.gallery))

    def decide(self, track: int = 1, **changes: Any) -> str:
        """Hand over a decision about a track; its event's id."""
        event_id = uuid7(self.clock.utc_ns())
        self.snapshots.of(self.sighting(track, **changes))(event_id)
        return event_id

    def sighting(self, track: int = 1, **changes: Any) -> Sighting:
        return sighting(self.clock, track=Track(track, 4, 4, 410), **changes)

    def run(self) -> None:
        pulse = Pulse(10)
        pulse.stop.set()
        self.snapshots.run(pulse)

    def opened(self, event_id: str) -> Any:
        found = self.folder.get(event_id)
        assert found is not None
        content = self.secret.open(found.sealed, picture_context("hq", "door-1", event_id))
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape[:2] == (found.height, found.width)
        return picture


def test_a_crop_shows_the_face_and_little_else_also_when_it_has_gone(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.play(4, (500, world.anna))
    world.play(8)
    event_id = world.decide()
    world.run()
    picture = world.opened(event_id)
    assert max(picture.shape[:2]) < 0.5 * IMAGE.shape[0]
    assert world.board.meters.counters()["snapshots_kept"] == 1
    assert world.board.by_snapshots.trouble is None


def test_a_whole_frame_has_a_box_and_only_where_it_is_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, crops_only=False)
    world.play(4, (500, world.anna))
    event_id = world.decide()
    world.run()
    assert world.opened(event_id).shape == (360, 640, 3)


@pytest.mark.parametrize(
    ("events", "outcome", "kept"),
    [
        ("unknown", "unknown", True),
        ("unknown", "recognized", False),
        ("unknown", "ambiguous", False),
        ("all", "rejected_quality", True),
        ("off", "unknown", False),
    ],
)
def test_only_what_was_allowed_is_kept(
    tmp_path: Path, events: str, outcome: str, *, kept: bool
) -> None:
    world = World(tmp_path, events=events)
    world.play(4, (500, world.anna))
    more: dict[str, Any] = {} if outcome == "recognized" else {"match": None}
    event_id = world.decide(event_type=outcome, **more)
    world.run()
    assert (world.folder.get(event_id) is not None) == kept
    assert (tmp_path / "snapshots").exists() == kept


def test_a_track_that_is_long_gone_is_not_held_in_memory(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.play(4, (500, world.anna))
    world.scene.number += round(10 * UNSEEN_S) + 10
    world.play(1)
    event_id = world.decide()
    world.run()
    assert world.folder.get(event_id) is None


def test_whom_a_picture_may_show_goes_by_the_outcome(tmp_path: Path) -> None:
    near = [{"person_id": f"p_{letter * 10}", "score": 0.5} for letter in "abc"]
    world = World(tmp_path)
    unnamed: dict[str, Any] = {"match": None, "why": {"near": near}}
    assert people_of(world.sighting()) == ("p_8c1k3v9q2m",)
    assert people_of(world.sighting(event_type="unknown", **unnamed)) == ("p_aaaaaaaaaa",)
    both = people_of(world.sighting(event_type="ambiguous", **unnamed))
    assert both == ("p_aaaaaaaaaa", "p_bbbbbbbbbb")
    assert people_of(world.sighting(event_type="unknown", match=None)) == ()


def test_what_cannot_be_written_is_left_out_counted_and_told_until_one_is_kept(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.play(4, (500, world.anna))
    (tmp_path / "snapshots").write_text("in the way")
    for _ in range(MAX_QUEUED + 3):
        world.decide()
    world.run()
    assert world.board.meters.counters() == {"snapshots_left_out": MAX_QUEUED + 3}
    trouble = world.board.by_snapshots.trouble
    assert trouble is not None
    assert "left out" in trouble
    (tmp_path / "snapshots").unlink()
    kept = world.decide()
    world.run()
    assert world.folder.get(kept) is not None
    assert world.board.by_snapshots.trouble is None


def test_a_key_that_is_not_there_is_refused_at_the_start_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text("no key")
    with pytest.raises(StateError, match=r"edgeface keys administrator FILE"):
        World(tmp_path)
    World(tmp_path, events="off")


def test_a_setting_without_a_key_is_refused_with_the_way_out(tmp_path: Path) -> None:
    camera = {"source": "images", "folder": "."}
    file = write_config(tmp_path, 1883, camera=camera, snapshots={"events": "unknown"})
    done = edgeface("config", "check", file)
    assert done.returncode == 2
    assert "snapshots: pictures are kept only where they can be sealed" in done.stderr
    assert "edgeface keys administrator FILE" in done.stderr


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalBroker]:
    with running_broker(tmp_path / "broker") as running:
        yield running


def test_the_administrator_has_the_picture_of_an_event_and_it_goes_with_the_person(
    tmp_path: Path, broker: LocalBroker
) -> None:
    assert edgeface("keys", "administrator", tmp_path / "admin.key").returncode == 0
    pictures = str(write_person(tmp_path / "pictures", COLLINS))
    file = write_config(
        tmp_path,
        broker.port,
        camera={"source": "images", "folder": pictures, "fps": 12, "loop": True},
        commands={"administrator_key_file": "admin.key.pub"},
        snapshots={"events": "all"},
        tracking={"max_gap_s": 0.2},
    )
    who = ("--name", "Eileen", "--id", PERSON, "--new")
    assert edgeface("enroll", COLLINS, *who, "-c", file).returncode == 0
    snapshots, out = tmp_path / "state" / "snapshots", tmp_path / "event.jpg"
    with DaemonProcess(file) as daemon:
        with Witness(broker.port, TOPICS.event_log) as witness:
            events = witness.wait_on(TOPICS.event_log, 2, 40)
        daemon.wait_ready()
        door = Door(file, broker.port, daemon)
        public = tmp_path / "state" / "device.key.pub"
        named = [json.loads(item.message.payload) for item in events]
        event_id = next(item["event_id"] for item in named if item["event_type"] == "recognized")
        device = ("call", "hq/door-1", "snapshot", "--host", "127.0.0.1", "--port", broker.port)
        mine = ("--open-with", tmp_path / "admin.key", "--out", out)
        eventually((snapshots / f"{event_id}.json").exists)
        done = edgeface(*map(str, device), "--event", event_id, "--key", public, *mine)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["data"]["event_id"] == event_id
        picture = cv2.imread(str(out))
        assert picture is not None
        assert max(picture.shape[:2]) <= 640
        (tmp_path / "elsewhere").mkdir()
        other = write_config(tmp_path / "elsewhere", 1, camera={"source": "images", "folder": "."})
        enrolled = edgeface("enroll", out, "--name", "Visitor", "--new", "-c", other)
        assert enrolled.returncode == 0, enrolled.stderr
        assert b"\xff\xd8\xff" not in (snapshots / f"{event_id}.json").read_bytes()

        # What the camera sees now is another permission, and other ids are none.
        refused = door.ask("snapshot")
        assert refused.error is not None
        assert refused.error.code == "disabled"
        missing = door.ask("snapshot", event_id=uuid7(1))
        assert missing.error is not None
        assert (missing.error.code, missing.error.retryable) == ("not_found", False)

        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait(10)
    before = {path.name for path in snapshots.iterdir()}
    assert f"{event_id}.json" in before
    assert edgeface("gallery", "remove", PERSON, "-c", file).returncode == 0
    assert not any(PERSON in path.read_text() for path in snapshots.iterdir())
    # A copy that was brought back is found by the daemon, as is what is too old.
    _bring_back(snapshots, PERSON)
    settings = yaml.safe_load(file.read_text()) | {"snapshots": {"events": "off", "keep_s": 3600}}
    file.write_text(yaml.safe_dump(settings))
    old = uuid7(int(datetime.now(UTC).timestamp() - 7200) * 10**9)
    (snapshots / f"{old}.json").write_text('{"people": []}\n{}\n')
    with DaemonProcess(file) as daemon:
        daemon.wait_ready()
        daemon.wait_log(lambda log: "pictures of erased people were erased" in log)
        assert daemon.stop()[0] == 0
    left = {path.name for path in snapshots.iterdir()}
    assert f"{old}.json" not in left
    assert not any(PERSON in path.read_text() for path in snapshots.iterdir())


def _bring_back(snapshots: Path, person_id: str) -> None:
    path = snapshots / f"{uuid7(Clock().utc_ns())}.json"
    path.write_text(json.dumps({"people": [person_id]}) + "\n{}\n")
