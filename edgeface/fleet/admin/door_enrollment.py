"""Enroll somebody who stands at a door: the device takes the templates and seals them to the
administrator.

The device keeps nothing of it. Nothing of its answer is believed before the signature was checked
with the key that the site has pinned; the seal binds it to site, device and request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgeface.base.errors import ContractError, GalleryError, StateError
from edgeface.base.ids import check_id
from edgeface.contract.answers import AnyAnswer, EnrollData, EnrollProgress
from edgeface.contract.codec import from_mapping
from edgeface.contract.command_requests import Verb
from edgeface.contract.topics import Topics
from edgeface.fleet.admin.site import SiteFolder
from edgeface.gallery.person import StoredTemplate
from edgeface.gallery.portable import read_one
from edgeface.mqtt.caller import Caller
from edgeface.recognition.templates import decode_template
from edgeface.recognition.values import Embedding
from edgeface.security.keys import VerifyingKey
from edgeface.security.sealing import AdministratorSecret, Context

QUICK_S: Final = 10.0
"""For an answer that needs no camera."""
GRACE_S: Final = 5.0
"""On top of the time that the device was given."""


@dataclass(frozen=True, slots=True)
class DoorRequest:
    """Whom to take, and how."""

    person_id: str
    space: str
    """Of the site's embedder; templates of another model are refused."""
    frames: int
    timeout_s: float


@dataclass(frozen=True, slots=True, eq=False)
class DoorSample:
    """One frame's template."""

    source: str
    template: StoredTemplate

    @property
    def embedding(self) -> Embedding:
        """As the template decodes: float32 `(d,)`, unit norm."""
        return decode_template(self.template.template)

    def stored(self, _created_s: float) -> StoredTemplate:
        """With the time at which the device saw it."""
        return self.template


def pinned_key(folder: SiteFolder, device: str) -> VerifyingKey:
    """The key that the site has pinned for a device.

    Raises BadIdError for an impossible id, GalleryError when the device is not of this site,
    StateError when the file cannot be used.
    """
    path = folder.devices / f"{check_id('device', device)}.pub"
    if not path.is_file():
        raise GalleryError(
            f"{device}: no such device is registered at site {folder.site}; `edgeface fleet device "
            "list` names those that are"
        )
    return VerifyingKey.of_device(path)


def sealing_secret(folder: SiteFolder, path: Path | None = None) -> AdministratorSecret:
    """The key that opens what devices of this site seal. Raises StateError."""
    place = path or folder.sealing_key
    if not place.is_file():
        raise StateError(
            f"{place}: there is no key to open the device's answer with; make it with `edgeface "
            f"keys administrator {place}`, and copy {place}.pub to the devices as the file that "
            "their commands.administrator_key_file names"
        )
    return AdministratorSecret.load(place)


def take_templates(
    caller: Caller,
    key: VerifyingKey,
    secret: AdministratorSecret,
    request: DoorRequest,
    progress: Callable[[EnrollProgress], None] = lambda _: None,
) -> tuple[tuple[DoorSample, ...], str | None]:
    """Have the device look at the person before it; `progress` is told what the next frame should
    be. Returns what came from the door, verified and opened, and whom the device would take the
    person for.

    Raises NoAnswerError (not there, or no answer in time), GalleryError (refused, or templates of
    another model or person), ContractError (not signed by `key`, malformed, sealed to another key,
    or the answer to something else), BrokerError.
    """
    session = caller.session()
    arguments = {
        "frames": request.frames,
        "person_id": request.person_id,
        "timeout_s": request.timeout_s,
    }

    def tell(answer: AnyAnswer) -> None:
        progress(from_mapping(EnrollProgress, dict(answer.data or {}), "data"))

    try:
        _check_space(caller, key, session, request)
        timeout_s = request.timeout_s + GRACE_S
        answer = caller.call(
            "enroll", arguments, timeout_s, key=key, session=session, progress=tell
        )
    except ContractError as error:
        if error.reason != "wrong_signature":
            raise
        raise ContractError(
            error.reason,
            f"{caller.topics.device}: an answer is not signed by the key {key.kid} that the site "
            "has pinned: somebody else answers, or the device has a new key (`edgeface fleet "
            "device remove`, then `add`); nobody was enrolled",
        ) from error
    return _open_answer(answer, caller.topics, session, secret, request)


def _open_answer(
    answer: AnyAnswer,
    topics: Topics,
    session: str,
    secret: AdministratorSecret,
    request: DoorRequest,
) -> tuple[tuple[DoorSample, ...], str | None]:
    """What is sealed in the answer, whose signature was checked. Raises as `take_templates`."""
    device = topics.device
    data = from_mapping(EnrollData, _data(answer, "enroll", topics, session), "data")
    assert answer.transaction is not None
    _compare_space(device, data.space, request.space)
    context = Context(topics.site, device, "enroll", answer.transaction)
    content = secret.open(data.sealed, context)
    person, templates = read_one(content, f"answer of {device}", request.space)
    if person.person_id != request.person_id:
        raise GalleryError(
            f"{device} answers with templates of {person.person_id}, {request.person_id} was asked "
            "for; nobody was enrolled"
        )
    if len(templates) != data.frames:
        raise GalleryError(
            f"{device} speaks of {data.frames} frames and sends {len(templates)} templates; nobody "
            "was enrolled"
        )
    samples = tuple(
        DoorSample(f"frame {number} from {device}", template)
        for number, template in enumerate(templates, 1)
    )
    return samples, data.known_as


def _check_space(caller: Caller, key: VerifyingKey, session: str, request: DoorRequest) -> None:
    """Whether its templates can be compared, before anybody stands still for them."""
    answer = caller.call("gallery", {"limit": 0}, QUICK_S, key=key, session=session)
    if answer.error is not None and answer.error.code == "disabled":
        return  # the answer to `enroll` names the space as well
    data = _data(answer, "gallery", caller.topics, session)
    _compare_space(caller.topics.device, str(data["space"]), request.space)


def _data(answer: AnyAnswer, verb: Verb, topics: Topics, session: str) -> dict[str, Any]:
    """What is in this device's good answer to this request, and in no other one."""
    device, error = topics.device, answer.error
    if error is not None:
        advice = "; it can be tried again" if error.retryable else ""
        raise GalleryError(f"{device} refuses `{verb}` ({error.code}): {error.message}{advice}")
    if answer.status != "ok":
        raise GalleryError(f"{device} refuses `{verb}` (error): it does not say why")
    said = (answer.site, answer.device, answer.verb, answer.session)
    if said != (topics.site, device, verb, session) or answer.transaction is None:
        raise ContractError(
            "other_answer",
            f"an answer of {answer.site}/{answer.device} to `{answer.verb}`, but "
            f"{topics.site}/{device} was asked for `{verb}`",
        )
    if answer.data is None:
        raise ContractError("missing_field", "data: missing")
    return dict(answer.data)


def _compare_space(device: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise GalleryError(
            f"{device} uses another model (space {found[:12]}…) than models.embedder of site.yaml "
            f"(space {wanted[:12]}…), and templates of two models cannot be compared; give both "
            "the same model, or enroll from photographs"
        )
