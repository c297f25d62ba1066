"""The sealed pictures of a device's decisions, opened: from its folder, or asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from edgeface.base.errors import ContractError, PictureError
from edgeface.base.ids import time_of_event
from edgeface.capture.picture_file import decode_picture
from edgeface.contract.answers import SnapshotData
from edgeface.contract.codec import from_mapping
from edgeface.contract.commands import COMMANDS
from edgeface.gallery.gate import Examined, Gate, Refused, fit_photo
from edgeface.mqtt.caller import Caller
from edgeface.recognition.values import Image
from edgeface.security.keys import VerifyingKey
from edgeface.security.sealing import AdministratorSecret, picture_context
from edgeface.service.snapshot_folder import SnapshotFolder
from edgeface.settings.tree import Settings

_GRACE_S: Final = 5.0
OTHERS: Final = "`edgeface events unknown --cluster` names those that are kept"


class EventPictures:
    """The pictures of one device by the ids of their events. `fetch` has one as it was sealed, and
    raises PictureError where there is none."""

    def __init__(
        self,
        site: str,
        device: str,
        secret: AdministratorSecret,
        fetch: Callable[[str], SnapshotData],
    ) -> None:
        self._site = site
        self._device = device
        self._secret = secret
        self._fetch = fetch

    def read(self, name: str) -> Image:
        """BGR uint8 `(h, w, 3)` of the event with this id. Raises PictureError naming it where its
        picture is not to be had or not sealed to this key, BadIdError for what is no id."""
        time_of_event(name)
        data = self._fetch(name)
        try:
            content = self._secret.open(
                data.sealed, picture_context(self._site, self._device, name)
            )
        except ContractError as error:
            raise PictureError(
                f"event {name}: its picture cannot be opened: {error}; --open-with has to name the "
                "private half of the device's commands.administrator_key_file, and the event to be "
                f"of {self._site}/{self._device}"
            ) from error
        return decode_picture(content, f"event {name}")


def kept_in(settings: Settings, folder: SnapshotFolder) -> Callable[[str], SnapshotData]:
    """From the folder of the device with these settings."""

    def fetch(event_id: str) -> SnapshotData:
        found = folder.get(event_id)
        if found is None:
            raise PictureError(f"event {event_id}: {_why_not(settings, event_id)}; {OTHERS}")
        return found

    return fetch


def asked_of(caller: Caller, key: VerifyingKey) -> Callable[[str], SnapshotData]:
    """From the device itself, whose key the answers have to be signed with. What is fetched raises
    NoAnswerError, BrokerError and ContractError besides."""
    session = caller.session()
    where = f"{caller.topics.site}/{caller.topics.device}"

    def fetch(event_id: str) -> SnapshotData:
        answer = caller.call(
            "snapshot",
            {"event_id": event_id},
            COMMANDS["snapshot"].wait_s + _GRACE_S,
            key=key,
            session=session,
        )
        if answer.error is not None:
            code, message = answer.error.code, answer.error.message
            raise PictureError(f"event {event_id}: {where} refuses ({code}): {message}")
        data = from_mapping(SnapshotData, dict(answer.data or {}), "data")
        if data.event_id != event_id:  # one that knows of no event pictures
            raise PictureError(f"event {event_id}: {where} has sent another picture")
        return data

    return fetch


def examine_events(gate: Gate, pictures: EventPictures, event_ids: Sequence[str]) -> list[Examined]:
    """By the same gate as photographs. Raises as `EventPictures.read`."""
    return [_examined(gate, pictures, event_id) for event_id in dict.fromkeys(event_ids)]


def _examined(gate: Gate, pictures: EventPictures, event_id: str) -> Examined:
    source = f"event {event_id}"
    image = pictures.read(event_id)
    try:
        found = gate.examine(fit_photo(image, source), source)
    except PictureError as error:
        return Refused(source, "unreadable", str(error).removeprefix(f"{source}: "))
    return found


def _why_not(settings: Settings, event_id: str) -> str:
    rules = settings.snapshots
    if rules.events == "off":
        return "no pictures of decisions are kept (snapshots.events: off)"
    if time.time() - time_of_event(event_id) > rules.keep_s:
        return f"no picture is kept longer than {rules.keep_s:g} s (snapshots.keep_s)"
    kept = "on a stranger" if rules.events == "unknown" else "a decision"
    return (
        f"no picture of it is kept: it is of another device, or not {kept}, or it went "
        "with a person who was removed, or as the oldest beyond snapshots.max_mb"
    )
