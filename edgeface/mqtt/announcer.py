"""Keeps what is retained on Home Assistant's discovery topic as the settings want it."""

from __future__ import annotations

import logging
import queue
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from edgeface.base.files import PUBLIC, write_file
from edgeface.base.messages import FAILURE, Message, Publication, Subscription
from edgeface.mqtt.homeassistant import BIRTH, Announcement, announcement
from edgeface.mqtt.publisher import Publisher
from edgeface.settings.tree import Settings

_log = logging.getLogger(__name__)

_TOPIC: Final = re.compile(r"[A-Za-z0-9_/-]{1,128}/device/[a-z0-9-]{3,129}/config")


class Announcer:
    """Sends the discovery payload on every connection, when it has changed and when Home Assistant
    has started; removes it when it was switched off or moved. `tick()` is called by one thread.

    The file `marker` names the topic that was last written to, so that it is found again and
    emptied after a restart with other settings.
    """

    def __init__(self, publisher: Publisher, marker: Path) -> None:
        self._publisher = publisher
        self._marker = marker
        self._placed = _read(marker)
        self._settings: Settings | None = None
        self._wanted: Announcement | None = None
        self._listening: str | None = None
        self._sent: tuple[int, Announcement] | None = None
        self._again = threading.Event()
        self._removing = False
        self._removals: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def tick(self, settings: Settings) -> None:
        """Do what is due now; cheap when there is nothing."""
        if settings is not self._settings:
            self._settings, self._wanted = settings, announcement(settings)
            self._listen(None if self._wanted is None else self._wanted.birth_topic)
        self._note_removal()
        status, wanted = self._publisher.status, self._wanted
        if not status.connected or self._removing:
            return
        if self._placed is not None and (wanted is None or wanted.topic != self._placed):
            self._remove(self._placed)
        elif wanted is not None:
            self._send(status.connections, wanted)

    def _send(self, connection: int, wanted: Announcement) -> None:
        again = self._again.is_set()
        if self._sent == (connection, wanted) and not again:
            return
        self._again.clear()
        self._sent = (connection, wanted)
        if self._placed is None:
            self._place(wanted.topic)
        publication = Publication(wanted.topic, wanted.payload, retain=True)
        self._publisher.publish(publication, self._announced)

    def _announced(self, reason: int | None) -> None:
        """In the publisher's thread."""
        if reason is None:
            self._again.set()
        elif reason >= FAILURE:
            _log.warning("the broker refuses Home Assistant's discovery: reason 0x%02x", reason)

    def _remove(self, topic: str) -> None:
        self._removing, self._sent = True, None
        self._publisher.publish(Publication(topic, b"", retain=True), self._removals.put)

    def _note_removal(self) -> None:
        with suppress(queue.Empty):
            reason = self._removals.get_nowait()
            self._removing = False
            if reason is None:
                return
            if reason >= FAILURE:
                _log.warning("the broker refuses to clear %s: 0x%02x", self._placed, reason)
            self._place(None)

    def _place(self, topic: str | None) -> None:
        self._placed = topic
        try:
            if topic is None:
                self._marker.unlink(missing_ok=True)
            else:
                write_file(self._marker, f"{topic}\n".encode(), PUBLIC, replace=True)
        except OSError as error:
            _log.warning("%s: %s", self._marker, error)

    def _listen(self, topic: str | None) -> None:
        if topic == self._listening:
            return
        if self._listening is not None:
            self._publisher.unlisten(self._listening)
        if topic is not None:
            self._publisher.listen(Subscription(topic, retain_handling=2), self._heard)
        self._listening = topic

    def _heard(self, message: Message) -> None:
        """In the publisher's thread."""
        if message.payload == BIRTH and not message.retain:
            self._again.set()


def _read(marker: Path) -> str | None:
    """The topic in the file; None for what cannot be one, such as what a power cut may leave: the
    broker ends a connection for a topic that none can be."""
    try:
        text = marker.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if _TOPIC.fullmatch(text) else None
