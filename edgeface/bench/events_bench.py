"""The event benchmark: from a frame's capture to the broker's PUBACK, with the outbox on disk.

Frames come at a fixed rate from a clock, go through the latest-frame slot, and each becomes one
recognition: outbox (one fsync for each commit), signatures, live copy and log copy over loopback
to a private mosquitto, as in the daemon. Detection and embedding are left out; `bench_pipeline`
measures those. Beside it, in turns, runs what any program would have to pay: as many bytes
appended to a file, fsync, one QoS 1 publication by bare paho.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import numpy as np

from edgeface.base.clock import NS, Clock
from edgeface.base.errors import BrokerError, ClosedError, EvaluationError, FrameTimeoutError
from edgeface.base.messages import Message, Subscription
from edgeface.capture.pacing import Pacer
from edgeface.capture.slot import LatestSlot
from edgeface.contract.event import (
    FaceQuality,
    GalleryUsed,
    Match,
    ModelsUsed,
    Sighting,
    Track,
    new_session,
)
from edgeface.contract.topics import Topics
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.listener import LinkNews, Listener
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.mqtt.options import ConnectionOptions, new_client
from edgeface.mqtt.presence import Presence
from edgeface.mqtt.publisher import Publisher
from edgeface.outbox.outbox import Committed, Outbox
from edgeface.outbox.rows import Row
from edgeface.recognition.frame import Frame
from edgeface.security.keys import SigningKey

BLOCK_S: Final = 1.0
"""Events and yardstick take turns of this length; the first turn of each is not counted."""
VALIDITY_S: Final = 5.0
READY_S: Final = 10.0
_WHY: Final = {"near": [{"person_id": "p_0000000000", "score": 0.49}], "gates": {"blurred": 1}}


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, ns: Sequence[int]) -> Self:
        """Of durations in nanoseconds, at least one."""
        p50, p99, most = np.percentile(np.asarray(ns, np.float64) / 1e6, [50, 99, 100])
        return cls(float(p50), float(p99), float(most))


@dataclass(frozen=True, slots=True)
class EventsBench:
    """What `edgeface bench events` prints. Everything counts from the capture of the frame."""

    events: int
    fps: float
    commit: Latency
    """Until the event is on disk."""
    door: Latency
    """Until the live copy has come to a subscriber (in this process)."""
    puback: Latency
    """Until the PUBACK of the log copy, which comes after that of the live copy."""
    yardstick: Latency
    """Append, fsync, bare publication, PUBACK."""
    p50_in_yardsticks: float
    p99_in_yardsticks: float
    payload_bytes: int
    frames_dropped: int
    """By the latest-frame slot: the recognizer's thread was late."""
    file_system: str


class _MeteredOutbox(Outbox):
    """Notes when each event is committed and when its log copy is acknowledged."""

    def __init__(self, path: Path, topics: Topics) -> None:
        self.clock: Final = Clock()
        super().__init__(path, topics, new_session(), clock=self.clock)
        self.rows: list[Row] = []
        self.committed_ns: dict[str, int] = {}
        self.acknowledged_ns: dict[str, int] = {}
        self.changed = threading.Condition()

    def when_committed(self, callback: Committed) -> None:
        def committed(row: Row) -> None:
            self.committed_ns[row.event_id] = self.clock.boottime_ns()
            self.rows.append(row)
            callback(row)

        super().when_committed(committed)

    def delivered(self, *event_ids: str) -> None:
        now_ns = self.clock.boottime_ns()
        with self.changed:
            self.acknowledged_ns.update(dict.fromkeys(event_ids, now_ns))
            self.changed.notify_all()
        super().delivered(*event_ids)

    def wait_acknowledged(self, count: int) -> None:
        """Until `count` log copies in all were acknowledged. Raises EvaluationError."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.acknowledged_ns) >= count, READY_S):
                raise EvaluationError(
                    f"{len(self.acknowledged_ns)} of {count} events were acknowledged in time"
                )


class _Door:
    """A subscriber of the live copies."""

    def __init__(self, port: int, topic: str) -> None:
        self.arrived_ns: dict[str, int] = {}
        self._clock = Clock()
        self._subscribed = threading.Event()
        options = ConnectionOptions("127.0.0.1", port, "bench-door")
        self._listener = Listener(options, [Subscription(topic)], self._hear)
        self._listener.start()
        if not self._subscribed.wait(READY_S):
            raise BrokerError("the private broker does not answer a subscription")

    def close(self) -> None:
        """Leave."""
        self._listener.close()

    def _hear(self, item: Message | LinkNews) -> None:
        now_ns = self._clock.boottime_ns()
        if isinstance(item, Message):
            self.arrived_ns[json.loads(item.payload)["event_id"]] = now_ns
        elif item.kind == "ready":
            self._subscribed.set()


class _Yardstick:
    """Append, fsync, publish, wait for the PUBACK; one after another on one thread."""

    def __init__(self, folder: Path, port: int) -> None:
        self._file = (folder / "yardstick").open("ab", buffering=0)
        self._client = new_client(ConnectionOptions("127.0.0.1", port, "bench-yardstick"))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._clock = Clock()

    def run(self, payload: bytes, due_ns: int) -> int:
        """One message; nanoseconds from `due_ns` to its PUBACK."""
        self._file.write(payload)
        os.fsync(self._file.fileno())
        sent = self._client.publish("edgeface-bench/yardstick", payload, qos=1)
        sent.wait_for_publish(READY_S)
        return self._clock.boottime_ns() - due_ns

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()
        self._file.close()


def bench_events(
    events: int,
    fps: float = 30.0,
    folder: Path | None = None,
    each: Callable[[int], object] | None = None,
) -> EventsBench:
    """Measure `events` recognitions after one second's worth of others.

    `folder` is where a temporary folder for the outbox and the broker is made. Raises BrokerError
    without mosquitto, and EvaluationError when events are not acknowledged in time.
    """
    topics = Topics("bench", "device")
    with tempfile.TemporaryDirectory(prefix="edgeface-bench-", dir=folder) as temporary:
        work = Path(temporary)
        with LocalBroker(work / "broker") as broker:
            outbox = _MeteredOutbox(work / "outbox.sqlite", topics)
            with _publishing(outbox, topics, broker.port) as slot:
                door, yardstick = _Door(broker.port, topics.event), _Yardstick(work, broker.port)
                try:
                    yard_ns, warm = _take_turns(outbox, slot, yardstick, events, fps, each)
                finally:
                    door.close()
                    yardstick.close()
        return _summary(outbox, door, yard_ns, warm, fps, slot.drops, file_system_of(work))


def file_system_of(path: Path) -> str:
    """The type of the file system that `path` lies on, from /proc/mounts; `unknown` without it."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    mounts = [line.split()[1:3] for line in lines]
    holding = [item for item in mounts if path.resolve().is_relative_to(item[0])]
    return max(holding, key=lambda item: len(item[0]), default=["", "unknown"])[1]


@contextmanager
def _publishing(outbox: _MeteredOutbox, topics: Topics, port: int) -> Iterator[LatestSlot[Frame]]:
    """The daemon's messaging, connected, and a thread that makes recognitions of frames."""
    me = DeviceSession(topics, outbox.session, SigningKey.generate(), outbox.clock)
    presence = Presence(me)
    publisher = Publisher(
        ConnectionOptions("127.0.0.1", port, "bench-device"),
        me,
        outbox,
        presence,
    )
    slot: LatestSlot[Frame] = LatestSlot()
    stop = threading.Event()
    threads = [
        threading.Thread(target=publisher.run, args=(stop,), name="publisher"),
        threading.Thread(target=_recognize, args=(slot, outbox), name="recognizer"),
    ]
    with outbox:
        for thread in threads:
            thread.start()
        try:
            end_s = time.monotonic() + READY_S
            while not publisher.status.connected:
                if time.monotonic() > end_s:
                    raise BrokerError("the private broker does not take the device's connection")
                time.sleep(0.01)
            yield slot
        finally:
            slot.close()
            stop.set()
            for thread in threads:
                thread.join()


def _recognize(slot: LatestSlot[Frame], outbox: _MeteredOutbox) -> None:
    while True:
        try:
            frame = slot.get(BLOCK_S)
        except FrameTimeoutError:
            continue
        except ClosedError:
            return
        outbox.append(sample_sighting(frame, outbox.clock.boottime_ns()))


def _take_turns(
    outbox: _MeteredOutbox,
    slot: LatestSlot[Frame],
    yardstick: _Yardstick,
    events: int,
    fps: float,
    each: Callable[[int], object] | None,
) -> tuple[list[int], int]:
    """Nanoseconds of each yardstick after the warm-up, and how many of the outbox's rows are of it:
    fewer than its frames where some were dropped."""
    block = max(1, round(BLOCK_S * fps))
    pacer = Pacer(outbox.clock, fps, late="slip")
    image = np.zeros((2, 2, 3), np.uint8)
    yard_ns: list[int] = []
    done = warm = 0
    while done < block + events:
        size = block if done == 0 else min(block, block + events - done)
        pacer.start(done)
        for _ in range(size):
            number, stamp = pacer.take(BLOCK_S + 1 / fps)
            slot.put(Frame(image, "bench", number, stamp.captured_at, stamp.boottime_ns))
        done += size
        outbox.wait_acknowledged(done - slot.drops)
        warm = warm or len(outbox.rows)
        payload = outbox.rows[-1].payload
        pacer.start(done)
        for _ in range(size):
            _, stamp = pacer.take(BLOCK_S + 1 / fps)
            yard_ns.append(yardstick.run(payload, stamp.boottime_ns))
        if each is not None:
            each(max(0, done - block))
    return yard_ns[block:], warm


def _summary(
    outbox: _MeteredOutbox,
    door: _Door,
    yard_ns: list[int],
    warm: int,
    fps: float,
    drops: int,
    file_system: str,
) -> EventsBench:
    captured_ns = {
        row.event_id: row.expires_boottime_ns - round(VALIDITY_S * NS) for row in outbox.rows[warm:]
    }

    def since_capture(at_ns: dict[str, int]) -> Latency:
        found = [at_ns[key] - start for key, start in captured_ns.items() if key in at_ns]
        if not found:
            raise EvaluationError("no event arrived: too few to measure")
        return Latency.of(found)

    puback, yardstick = since_capture(outbox.acknowledged_ns), Latency.of(yard_ns)
    return EventsBench(
        events=len(captured_ns),
        fps=fps,
        commit=since_capture(outbox.committed_ns),
        door=since_capture(door.arrived_ns),
        puback=puback,
        yardstick=yardstick,
        p50_in_yardsticks=puback.p50_ms / yardstick.p50_ms,
        p99_in_yardsticks=puback.p99_ms / yardstick.p99_ms,
        payload_bytes=len(outbox.rows[-1].payload),
        frames_dropped=drops,
        file_system=file_system,
    )


def sample_sighting(frame: Frame, now_ns: int) -> Sighting:
    """A recognition of a frame, as large as a real one; `now_ns` is CLOCK_BOOTTIME."""
    digest = "sha256:" + "0" * 64
    return Sighting(
        event_type="recognized",
        captured_at=frame.captured_at,
        captured_boottime_ns=frame.boottime_ns,
        decided_at=datetime.now(UTC),
        validity_s=VALIDITY_S,
        clock_synced=True,
        track=Track(frame.sequence, 4, 4, 410),
        faces_in_view=1,
        match=Match("p_8c1k3v9q2m", None, 0.71, 0.58, False, 0.22),
        quality=FaceQuality(112, 0.81, 6, -3, 1),
        gallery=GalleryUsed(1, 318, 412),
        models=ModelsUsed(digest, digest),
        accelerator="cpu",
        latency_ms=max(0, now_ns - frame.boottime_ns) // 1_000_000,
        why=_WHY,
    )
