"""Commands that look through the camera, on scripted faces: what they answer, and from what."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from edgeface.contract.answers import EnrollData, EnrollProgress, IdentifyData, VerifyData
from edgeface.contract.command_requests import Verb
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.values import Embedding
from edgeface.security.sealing import AdministratorSecret, Context
from edgeface.service.commanding.admission import CommandRefusedError
from edgeface.service.commanding.enrolling import Enrolling
from edgeface.service.commanding.peephole import Examination
from edgeface.service.commanding.picturing import MAX_JPEG_BYTES, jpeg
from edgeface.service.commanding.verifying import Identifying, Verifying
from tests.support.doorstep import FPS
from tests.support.examined import Examined, request
from tests.support.people import START, face, gallery, identity

ANNA, BORIS = "p_annaannaaa", "p_b0r1sb0r1s"
RULES = DecisionRules()


@pytest.fixture
def scene(anna: Embedding, boris: Embedding) -> Examined:
    """A door that knows both."""
    return Examined(gallery([anna, boris], [ANNA, BORIS]))


def claim(scene: Examined, person_id: str = ANNA) -> Verifying:
    return Verifying(request("verify", scene.time_s, person_id=person_id), RULES)


def test_the_person_of_the_card_is_a_match_after_three_frames(
    scene: Examined, anna: Embedding
) -> None:
    scene.begin(claim(scene))
    scene.act(10, (500, anna))
    found = scene.data()
    assert isinstance(found, VerifyData)
    assert (found.person_id, found.outcome) == (ANNA, "match")
    assert (found.seen.frames, found.seen.agreeing, scene.shown) == (3, 3, 3)
    assert found.seen.latency_ms == 300
    assert not found.seen.pad.assessed
    assert scene.boards.now is None


def test_only_frames_captured_after_the_receipt_count(scene: Examined, anna: Embedding) -> None:
    scene.act(5, (500, anna))
    scene.begin(Verifying(request("verify", scene.time_s + 1.05, person_id=ANNA), RULES))
    scene.act(10, (500, anna))
    assert scene.shown == 0
    scene.act(10, (500, anna))
    assert scene.data().outcome == "match"
    assert scene.data().seen.captured_at.timestamp() > 0
    assert scene.shown == 3


def test_somebody_else_is_no_match_after_all_looks(scene: Examined, boris: Embedding) -> None:
    scene.begin(claim(scene), timeout_s=30)
    scene.act(100, (500, boris))
    assert scene.data().outcome == "no_match"
    assert scene.data().score < scene.data().threshold
    # Looks at 3, 6 and 12 crops.
    assert scene.shown == 12


def test_a_stranger_is_judged_by_what_there_is_when_the_time_is_over(
    scene: Examined, boris: Embedding
) -> None:
    scene.begin(claim(scene), timeout_s=1.0)
    scene.act(100, (500, boris))
    assert scene.data().outcome == "no_match"
    assert scene.data().seen.latency_ms <= 1000


@pytest.mark.parametrize("make", [Verifying, Identifying])
def test_several_people_end_it_at_once(
    scene: Examined, anna: Embedding, boris: Embedding, make: Callable[..., Examination]
) -> None:
    verb: Verb = "verify" if make is Verifying else "identify"
    arguments = {"person_id": ANNA} if verb == "verify" else {}
    scene.begin(make(request(verb, scene.time_s, **arguments), RULES))
    scene.act(2, (300, anna))
    scene.act(5, (300, anna), (700, boris))
    assert scene.code() == "multiple_faces"
    assert scene.shown == 3


def test_somebody_far_behind_does_not_count(scene: Examined, anna: Embedding) -> None:
    scene.begin(claim(scene))
    scene.watch(4, (face(300), anna), (face(800, size=25), anna))
    assert scene.data().outcome == "match"


def test_nobody_is_no_face_and_too_few_frames_are_inconclusive(
    scene: Examined, anna: Embedding
) -> None:
    scene.begin(claim(scene), timeout_s=1)
    scene.act(20)
    assert scene.code() == "no_face"
    scene.ended.clear()
    scene.begin(claim(scene), timeout_s=1)
    scene.act(2, (500, anna))
    scene.act(20)
    assert scene.data().outcome == "inconclusive"


def test_who_is_not_enrolled_or_may_not_enter_now_is_answered_at_once(
    scene: Examined, anna: Embedding
) -> None:
    scene.begin(claim(scene, "p_0000000000"))
    scene.act(5, (500, anna))
    assert scene.data().outcome == "not_enrolled"
    assert scene.shown == 1


def test_who_steps_into_the_others_place_inherits_nothing(
    scene: Examined, anna: Embedding, boris: Embedding
) -> None:
    scene.begin(claim(scene))
    scene.act(2, (500, anna))
    scene.act(2, (500, boris))
    assert not scene.ended
    scene.act(2, (500, anna))
    assert not scene.ended
    scene.act(5, (500, anna))
    assert scene.data().outcome == "match"
    assert scene.data().seen.frames == 3


def test_one_looks_at_a_time_and_recognition_goes_on(scene: Examined, anna: Embedding) -> None:
    assert scene.begin(claim(scene))
    assert not scene.begin(claim(scene))
    scene.act(10, (500, anna))
    assert scene.outcomes() == [(1, "recognized")]
    scene.ended.clear()
    assert scene.begin(claim(scene))


def test_without_frames_the_answer_comes_in_time_all_the_same(scene: Examined) -> None:
    scene.begin(claim(scene), timeout_s=2.0)
    now_ns = round(scene.time_s * 1e9)
    scene.boards.check(now_ns + 1_900_000_000)
    assert not scene.ended
    scene.boards.check(now_ns + 2_000_000_000)
    assert scene.code() == "no_frames"
    assert scene.boards.now is None


def test_with_one_frame_a_second_there_is_an_answer_in_time(
    scene: Examined, boris: Embedding
) -> None:
    scene.act(1, (500, boris))
    scene.number += 9
    scene.begin(claim(scene), timeout_s=4.5)
    for _ in range(10):
        scene.number += 9
        scene.act(1, (500, boris))
        if scene.ended:
            break
        scene.boards.check(round(scene.time_s * 1e9))
    assert scene.data().seen.latency_ms <= 4500


def test_a_look_that_fails_ends_the_command_and_nothing_else(
    scene: Examined, anna: Embedding
) -> None:
    scene.act(5, (500, anna))  # recognized: recognition itself embeds nothing for a while
    scene.begin(claim(scene))
    scene.stage.fail_embedding = True
    scene.act(1, (500, anna))
    assert scene.code() == "internal"
    scene.stage.fail_embedding = False
    scene.ended.clear()
    scene.begin(claim(scene))
    scene.act(5, (500, anna))
    assert scene.data().outcome == "match"


def test_identify_names_whom_it_sees(scene: Examined, boris: Embedding) -> None:
    scene.begin(Identifying(request("identify", scene.time_s), RULES))
    scene.act(10, (500, boris))
    found = scene.data()
    assert isinstance(found, IdentifyData)
    assert found.outcome == "recognized"
    assert found.match is not None
    assert found.match.person_id == BORIS


def test_identify_calls_a_stranger_unknown(scene: Examined, rng: np.random.Generator) -> None:
    scene.begin(Identifying(request("identify", scene.time_s), RULES), timeout_s=1.5)
    scene.act(40, (500, identity(rng)))
    assert scene.data().outcome == "unknown"
    assert scene.data().match is None
    scene.ended.clear()
    scene.begin(Identifying(request("identify", scene.time_s), RULES), timeout_s=1.5)
    scene.act(40)
    assert scene.code() == "no_face"


@pytest.mark.parametrize("make", [Verifying, Identifying])
def test_an_answer_is_as_fresh_as_the_newest_frame_that_names_the_person(
    anna: Embedding, boris: Embedding, make: Callable[..., Examination], rng: np.random.Generator
) -> None:
    """Not as a newer frame of somebody else, or of nobody that can be told."""
    rules = DecisionRules(same_track_min=-1)
    scene = Examined(gallery([anna, boris], [ANNA, BORIS]), rules)
    verb: Verb = "verify" if make is Verifying else "identify"
    arguments = {"person_id": ANNA} if verb == "verify" else {}
    scene.begin(make(request(verb, scene.time_s, **arguments), rules))
    stranger = identity(rng)
    scene.act(1, (500, stranger))
    scene.act(3, (500, anna))
    assert not scene.ended
    naming = START + timedelta(seconds=scene.number / FPS)
    scene.act(2, (500, stranger))
    seen = scene.data().seen
    assert scene.data().outcome in ("match", "recognized")
    assert (seen.frames, seen.agreeing, scene.shown) == (6, 3, 6)
    assert seen.captured_at == naming


CONTEXT = Context("hq", "door-1", "enroll", "transaction-00001")


def enrollment(
    scene: Examined, told: list[EnrollProgress], secret: AdministratorSecret, frames: int
) -> Enrolling:
    asked = request("enroll", scene.time_s, frames=frames)
    seal = functools.partial(secret.public.seal, context=CONTEXT)
    return Enrolling(asked, RULES, seal, told.append)


def test_an_enrollment_says_what_the_next_frame_should_be_and_ends_sealed(
    scene: Examined, rng: np.random.Generator
) -> None:
    told: list[EnrollProgress] = []
    secret, clara = AdministratorSecret.generate(), identity(rng)
    examination = enrollment(scene, told, secret, 3)
    scene.begin(examination, timeout_s=30)
    scene.act(3)
    scene.act(1, (300, clara), (700, clara))
    scene.act(60, (500, clara))
    hints = [progress.hint for progress in told]
    assert hints[:2] == ["step_into_view", "turn_a_little"]
    assert [progress.kept for progress in told] == sorted(progress.kept for progress in told)
    found = scene.data()
    assert isinstance(found, EnrollData)
    assert (found.frames, found.known_as) == (3, None)
    assert found.likeness is not None
    assert 0.5 < found.likeness < 0.985
    assert {progress.message for progress in told if progress.kept} == {
        "turn the head a little to the left"
    }
    opened = secret.open(found.sealed, CONTEXT)
    assert opened.count(b"\n") == 3
    assert opened.count(b'"codes"') == 3
    # Three frames that are 0.4 s apart.
    assert scene.shown >= 2 * 0.4 * FPS


def test_an_enrollment_names_whom_it_knows_and_starts_anew_for_somebody_else(
    scene: Examined, anna: Embedding, boris: Embedding
) -> None:
    told: list[EnrollProgress] = []
    secret = AdministratorSecret.generate()
    scene.begin(enrollment(scene, told, secret, 3), timeout_s=30)
    scene.act(6, (500, boris))
    scene.act(60, (500, anna))
    assert scene.data().known_as == ANNA
    kept = [progress.kept for progress in told]
    assert kept.index(2) < len(kept) - 1 - kept[::-1].index(1)


def test_an_enrollment_that_does_not_get_enough_says_what_was_missing(scene: Examined) -> None:
    scene.begin(enrollment(scene, [], AdministratorSecret.generate(), 3), timeout_s=2)
    scene.act(40)
    (outcome,) = scene.ended
    with pytest.raises(CommandRefusedError, match=r"0 of 3.*step before the camera") as caught:
        outcome()
    assert caught.value.code == "incomplete"


def test_any_picture_becomes_a_jpeg_that_fits_into_a_message() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
    content, width, height = jpeg(noise)
    assert len(content) <= MAX_JPEG_BYTES
    assert content.startswith(b"\xff\xd8")
    assert (width <= 640, abs(width / height - 16 / 9) < 0.05) == (True, True)
