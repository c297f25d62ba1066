"""What a device answers to the administrator's `enroll`: believed only when everything fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from edgeface.base.errors import ContractError, EdgefaceError, GalleryError
from edgeface.contract.answers import AnyAnswer, EnrollData, Error, GalleryData
from edgeface.contract.codec import to_mapping
from edgeface.contract.topics import Topics
from edgeface.fleet.admin.door_enrollment import DoorRequest, DoorSample, take_templates
from edgeface.gallery.person import Person
from edgeface.gallery.portable import export_one
from edgeface.security.keys import SigningKey, VerifyingKey
from edgeface.security.sealing import AdministratorSecret, Context
from tests.support.gallery import ALICE, BOB, OTHER_SPACE, SPACE, direction, stored

SESSION = "0123456789abcdef"
TRANSACTION = "transaction-number-1"
SECRET = AdministratorSecret.generate()
KEY = SigningKey.generate().public
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass
class Device:
    """Answers as a device does, but for what a test changes."""

    topics: Topics = field(default_factory=lambda: Topics("hq", "door-1"))
    person_id: str = ALICE
    gallery_space: str = SPACE
    space: str = SPACE
    sealed_space: str = SPACE
    frames: int = 2
    context: Context = field(default_factory=lambda: Context("hq", "door-1", "enroll", TRANSACTION))
    sealed_to: AdministratorSecret = SECRET
    known_as: str | None = None
    change: Callable[[AnyAnswer], AnyAnswer] = lambda answer: answer
    content: bytes | None = None
    asked: list[str] = field(default_factory=list)

    def session(self) -> str:
        return SESSION

    def call(
        self, verb: str, arguments: dict[str, object], timeout_s: float, *,
        key: VerifyingKey | None,
        session: str | None = None, progress: Callable[[AnyAnswer], None] = lambda _: None,
    ) -> AnyAnswer:  # fmt: skip
        assert key is KEY, "every answer is checked with the pinned key"
        assert session == SESSION
        self.asked.append(verb)
        if verb == "gallery":
            return self._answer(verb, self._gallery())
        assert arguments["person_id"] == ALICE
        data = {"kept": 0, "wanted": 2, "hint": "come_nearer", "message": "go nearer"}
        progress(replace(self._answer(verb, data), status="progress"))
        return self.change(self._answer(verb, to_mapping(self._data())))

    def _answer(self, verb: str, data: dict[str, Any]) -> AnyAnswer:
        return AnyAnswer(
            status="ok", verb=verb, transaction=TRANSACTION, session=SESSION,
            site=self.topics.site, device=self.topics.device, answered_at=NOW, data=data,
        )  # fmt: skip

    def _gallery(self) -> dict[str, Any]:
        return to_mapping(
            GalleryData(
                source="fleet", epoch=1, revision=1, people=0, templates=0,
                digest=f"sha256:{'0' * 64}", space=self.gallery_space, person_ids=(), next=None,
            )
        )  # fmt: skip

    def _data(self) -> EnrollData:
        content = self.content or export_one(
            Person(self.person_id), [stored(direction(1)), stored(direction(2))],
            self.sealed_space, NOW,
        )  # fmt: skip
        return EnrollData(
            frames=self.frames, space=self.space, quality=(), likeness=None,
            known_as=self.known_as, sealed=self.sealed_to.public.seal(content, self.context),
        )  # fmt: skip


def take(
    device: Device, told: list[str] | None = None
) -> tuple[tuple[DoorSample, ...], str | None]:
    request = DoorRequest(ALICE, SPACE, 2, 20.0)
    tell = [] if told is None else told
    return take_templates(
        device,  # type: ignore[arg-type]  # it knows fewer verbs
        KEY,
        SECRET,
        request,
        lambda progress: tell.append(progress.message),
    )


def test_a_good_answer_gives_its_templates_and_what_was_told_meanwhile() -> None:
    told: list[str] = []
    samples, known_as = take(Device(known_as=BOB), told)
    assert told == ["go nearer"]
    assert known_as == BOB
    assert [sample.source for sample in samples] == [
        "frame 1 from door-1",
        "frame 2 from door-1",
    ]
    assert float(np.dot(samples[1].embedding, direction(2))) > 0.99
    assert samples[0].stored(0.0).created_s == stored(direction(1)).created_s


def said(code: Any, text: str) -> Callable[[AnyAnswer], AnyAnswer]:
    return lambda answer: replace(answer, status="error", data=None, error=Error.of(code, text))


@pytest.mark.parametrize(
    ("device", "kind", "fits"),
    [
        pytest.param(
            Device(change=said("busy", "another command")),
            GalleryError,
            r"refuses `enroll` \(busy\): another command; it can be tried again",
            id="refused",
        ),
        pytest.param(
            Device(change=said("disabled", "enroll is off")),
            GalleryError,
            r"\(disabled\): enroll is off$",
            id="switched off",
        ),
        pytest.param(Device(person_id=BOB), GalleryError, f"templates of {BOB}", id="person"),
        pytest.param(Device(frames=3), GalleryError, "3 frames and sends 2", id="frames"),
        pytest.param(
            Device(space=OTHER_SPACE), GalleryError, "another model", id="space of the answer"
        ),
        pytest.param(
            Device(sealed_space=OTHER_SPACE), GalleryError, "another model", id="space inside"
        ),
        pytest.param(
            Device(context=Context("hq", "door-1", "enroll", "transaction-number-0")),
            ContractError,
            "another request",
            id="earlier transaction",
        ),
        pytest.param(
            Device(context=Context("lab", "door-1", "enroll", TRANSACTION)),
            ContractError,
            "another request",
            id="sealed at another site",
        ),
        pytest.param(
            Device(sealed_to=AdministratorSecret.generate()),
            ContractError,
            "sealed to the key",
            id="sealed to somebody else",
        ),
        pytest.param(
            Device(change=lambda answer: replace(answer, site="lab")),
            ContractError,
            "an answer of lab/door-1",
            id="another site",
        ),
        pytest.param(
            Device(change=lambda answer: replace(answer, session="f" * 16)),
            ContractError,
            "was asked",
            id="another session",
        ),
        pytest.param(
            Device(change=lambda answer: replace(answer, transaction=None)),
            ContractError,
            "was asked",
            id="no transaction",
        ),
        pytest.param(
            Device(content=b"{}\n"), GalleryError, "answer of door-1:1: not an export", id="junk"
        ),
    ],
)
def test_what_does_not_fit_is_refused(device: Device, kind: type[EdgefaceError], fits: str) -> None:
    with pytest.raises(kind, match=fits):
        take(device)


def test_a_device_with_another_model_is_told_of_before_anybody_stands_still() -> None:
    device = Device(gallery_space=OTHER_SPACE)
    with pytest.raises(GalleryError, match="give both the same model"):
        take(device)
    assert device.asked == ["gallery"]


def test_a_wrong_signature_names_the_pinned_key() -> None:
    def forged(answer: AnyAnswer) -> AnyAnswer:
        raise ContractError("wrong_signature", "not signed")

    with pytest.raises(ContractError, match=f"not signed by the key {KEY.kid} that the site"):
        take(Device(change=forged))
