"""Sightings and a device's messaging stack for tests."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from edgeface.base.backoff import Backoff
from edgeface.base.clock import NS, Clock
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
from edgeface.mqtt.options import ConnectionOptions
from edgeface.mqtt.presence import Presence
from edgeface.mqtt.publisher import Publisher
from edgeface.outbox.outbox import Outbox
from edgeface.security.keys import SigningKey
from edgeface.settings.mqtt import OutboxSettings
from tests.support.broker import eventually

TOPICS = Topics("hq", "door-1")
PERSON = "p_8c1k3v9q2m"


def sighting(clock: Clock, *, age_s: float = 0.2, **changes: Any) -> Sighting:
    """A recognition captured `age_s` ago."""
    now = datetime.fromtimestamp(clock.utc_ns() / NS, UTC)
    values: dict[str, Any] = {
        "event_type": "recognized",
        "captured_at": now - timedelta(seconds=age_s),
        "captured_boottime_ns": clock.boottime_ns() - round(age_s * NS),
        "decided_at": now,
        "validity_s": 5.0,
        "clock_synced": True,
        "track": Track(82, 4, 4, 410),
        "faces_in_view": 1,
        "match": Match(PERSON, None, 0.71, 0.58, False, 0.22),
        "quality": FaceQuality(112, 0.81, 6, -3, 1),
        "gallery": GalleryUsed(1, 318, 412),
        "models": ModelsUsed("sha256:" + "a" * 64, "sha256:" + "b" * 64),
        "accelerator": "edgetpu",
        "latency_ms": 218,
    }
    return Sighting(**{**values, **changes})


class Device:
    """Outbox, presence and publisher as the daemon composes them, on quick back-off."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        key: SigningKey | None = None,
        clock: Clock | None = None,
        limits: OutboxSettings | None = None,
        topics: Topics = TOPICS,
        keepalive_s: int = 10,
        options: ConnectionOptions | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.key = key or SigningKey.generate()
        self.session = new_session()
        self.topics = topics
        self.outbox = Outbox(
            folder / "outbox.db", topics, self.session, clock=self.clock, limits=limits
        )
        me = DeviceSession(topics, self.session, self.key, self.clock)
        self.presence = Presence(me)
        self.publisher = Publisher(
            options
            or ConnectionOptions(
                "127.0.0.1",
                port,
                f"edgeface-{topics.site}-{topics.device}",
                keepalive_s=keepalive_s,
            ),
            me,
            self.outbox,
            self.presence,
            backoff=Backoff(base_s=0.2, cap_s=0.2),
            refused_backoff=Backoff(base_s=0.2, cap_s=0.2),
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.publisher.run, args=(self._stop,))

    def start(self) -> None:
        self.outbox.start()
        self._thread.start()

    def wait_connected(self) -> None:
        eventually(lambda: self.publisher.status.connected)

    def wait_disconnected(self) -> None:
        eventually(lambda: not self.publisher.status.connected)

    def see(self, **changes: Any) -> None:
        """Hand the outbox a sighting of now."""
        self.outbox.append(sighting(self.clock, **changes))

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(10)
            assert not self._thread.is_alive()
        with suppress(RuntimeError):
            self.outbox.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
