from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface.base.errors import GalleryError
from edgeface.base.ids import is_person_id
from edgeface.gallery.curation import doubts_about, set_people
from edgeface.gallery.enrollment import Wish, check_wish, enroll
from edgeface.gallery.gate import Gate, Portrait, Refused, explain
from edgeface.gallery.likeness import (
    Bar,
    bar_for,
    find_lookalikes,
    find_strays,
    most_different,
)
from edgeface.gallery.people import find_people
from edgeface.gallery.person import MAX_TEMPLATES, Person
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.alignment import ALIGNMENTS
from edgeface.recognition.quality import GATES, Quality, QualityLimits
from edgeface.recognition.values import Alignment, Box, Embedding, Face, Image
from tests.support.gallery import (
    ALICE,
    BOB,
    CALIBRATION,
    KEY,
    SPACE,
    PaintedDetector,
    PaintedEmbedder,
    direction,
    landmarks_in,
    near,
    picture,
    portrait,
    put,
    write_photo,
)

LIMITS = QualityLimits(min_sharpness=0.0)
GATE = Gate(PaintedDetector(), PaintedEmbedder(), LIMITS)
BAR = Bar(same_person=0.3, lookalike=lambda _: 0.5)
QUALITY = Quality(100.0, 0.9, 0.9, 3.0, -2.0, 1.0, 0.8)
FACE = Face(Box(0, 0, 100, 100), landmarks_in(Box(0, 0, 100, 100)), 0.9)
NOW_S = 1_795_000_000.0


def shot(embedding: Embedding, source: str = "a.jpg") -> Portrait:
    return Portrait(source, FACE, QUALITY, embedding)


def test_a_good_photo_becomes_a_portrait(tmp_path: Path) -> None:
    examined = GATE.examine_file(write_photo(tmp_path / "a.png", portrait(2)))
    assert isinstance(examined, Portrait)
    np.testing.assert_allclose(examined.embedding, direction(2), atol=1e-6)
    assert examined.stored(NOW_S).created_s == NOW_S
    assert 0 <= examined.stored(NOW_S).quality <= 1


@pytest.mark.parametrize("alignment", ALIGNMENTS.values(), ids=ALIGNMENTS)
def test_a_photo_is_turned_to_what_the_embedder_wants(alignment: Alignment) -> None:
    sizes = []

    class Wanting(PaintedEmbedder):
        def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
            sizes.extend(crop.shape for crop in crops)
            return super().embed(crops)

    embedder = Wanting()
    embedder.alignment = alignment
    examined = Gate(PaintedDetector(), embedder, LIMITS).examine(portrait(2), "a.jpg")
    assert isinstance(examined, Portrait)
    assert sizes == [(alignment.size_px, alignment.size_px, 3)]
    same = GATE.examine(portrait(2), "a.jpg")
    assert isinstance(same, Portrait)
    assert examined.quality == same.quality


@pytest.mark.parametrize(
    ("boxes", "limits", "reason"),
    [
        pytest.param((), LIMITS, "no_face", id="no face"),
        pytest.param(((10, 10, 150, 150), (240, 200, 380, 350)), LIMITS, "several_faces", id="two"),
        pytest.param(
            ((180, 180, 212, 212),), replace(LIMITS, min_face_px=40.0), "too_small", id="s"
        ),
        pytest.param(((100, 100, 300, 300),), replace(LIMITS, min_score=0.95), "uncertain", id="u"),
        pytest.param(
            ((100, 100, 300, 300),), replace(LIMITS, min_sharpness=1.1), "blurred", id="blurred"
        ),
    ],
)
def test_a_photo_is_refused_with_its_fault(
    boxes: tuple[tuple[int, int, int, int], ...], limits: QualityLimits, reason: str
) -> None:
    gate = Gate(PaintedDetector(), PaintedEmbedder(), limits)
    refused = gate.examine(picture(400, 400, *boxes), "a.jpg")
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert refused.message


def test_an_unreadable_file_is_refused_without_naming_it_twice(tmp_path: Path) -> None:
    refused = GATE.examine_file(tmp_path / "none.jpg")
    assert isinstance(refused, Refused)
    assert refused.reason == "unreadable"
    assert refused.message == "cannot be read: No such file or directory"


@pytest.mark.parametrize("gate", GATES)
def test_every_quality_gate_is_explained(gate: str) -> None:
    text = explain(gate, QUALITY, LIMITS)
    assert "refused by the quality gate" not in text
    assert len(text) > 40


def test_a_picture_on_its_side_is_told_as_such() -> None:
    class OnlyWide(PaintedDetector):
        def detect(
            self,
            image_bgr: Image,
            scale: tuple[float, float] = (1.0, 1.0),
            *,
            doubtful: bool = False,
        ) -> list[Face]:
            return super().detect(image_bgr) if image_bgr.shape[1] > image_bgr.shape[0] else []

    image = picture(300, 400, (100, 100, 200, 200))
    refused = Gate(OnlyWide(), PaintedEmbedder(), LIMITS).examine(image, "a.jpg")
    assert isinstance(refused, Refused)
    assert refused.reason == "not_upright"


class Unsure:
    """Sees a face only when it is asked for doubtful ones too."""

    def __init__(self, score: float) -> None:
        self.score = score

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        if not doubtful:
            return []
        found = PaintedDetector().detect(image_bgr)
        return [replace(face, score=self.score, sure=False) for face in found]


def test_a_doubtful_face_below_the_configured_score_is_no_face() -> None:
    refused = Gate(Unsure(0.35), PaintedEmbedder(), LIMITS).examine(portrait(0), "a.jpg")
    assert isinstance(refused, Refused)
    assert refused.reason == "no_face"


def test_a_face_above_the_configured_score_is_taken_though_the_detector_doubts_it() -> None:
    taken = Gate(Unsure(0.55), PaintedEmbedder(), LIMITS).examine(portrait(0), "a.jpg")
    assert isinstance(taken, Portrait)


def test_a_face_without_usable_landmarks_is_no_face() -> None:
    class Confused:
        def detect(
            self,
            image_bgr: object,
            scale: tuple[float, float] = (1.0, 1.0),
            *,
            doubtful: bool = False,
        ) -> list[Face]:
            return [replace(FACE, landmarks=np.zeros((5, 2), np.float32))]

    refused = Gate(Confused(), PaintedEmbedder(), LIMITS).examine(portrait(0), "a.jpg")
    assert isinstance(refused, Refused)
    assert refused.reason == "no_face"


def test_several_photos_become_several_templates_of_a_new_person(store: GalleryStore) -> None:
    me = direction(1)
    wish = Wish(display_name="Grace", card="4711", valid_to_s=2e9)
    done = enroll(store, SPACE, [shot(me), shot(near(me, 0.8))], wish, BAR, NOW_S)
    assert is_person_id(done.person.person_id)
    assert (done.is_new, done.added, done.templates, done.warnings) == (True, 2, 2, ())
    person = store.person(done.person.person_id)
    assert person == done.person
    assert (person.display_name, person.card, person.valid_to_s) == ("Grace", "4711", 2e9)
    assert person.created_s == NOW_S
    assert store.spaces(person.person_id) == {SPACE: 2}


def test_photos_join_those_of_somebody_known_or_replace_them(store: GalleryStore) -> None:
    put(store, ALICE, 1, name="Alice")
    me = direction(1)
    done = enroll(store, SPACE, [shot(near(me, 0.7))], Wish(ALICE), BAR, NOW_S)
    assert (done.is_new, done.templates, done.warnings) == (False, 2, ())
    assert done.person.display_name == "Alice"
    done = enroll(store, SPACE, [shot(me)], Wish(ALICE, replace_templates=True), BAR, NOW_S)
    assert done.templates == 1
    assert "one photo only" in done.warnings[0]
    assert store.spaces(ALICE) == {SPACE: 1}


def test_somebody_elses_photo_is_left_out(store: GalleryStore) -> None:
    me = direction(1)
    shots = [shot(me, "a.jpg"), shot(near(me, 0.8), "b.jpg"), shot(direction(9), "c.jpg")]
    done = enroll(store, SPACE, shots, Wish(display_name="Grace"), BAR, NOW_S)
    assert (done.added, len(done.warnings)) == (2, 1)
    assert done.warnings[0].startswith("c.jpg does not look like the other photos")
    assert "left out" in done.warnings[0]
    before = store.templates(done.person.person_id, SPACE)
    with pytest.raises(GalleryError, match=r"d\.jpg does not look like .* --force"):
        enroll(store, SPACE, [shot(direction(8), "d.jpg")], Wish(done.person.person_id), BAR, NOW_S)
    assert len(store.templates(done.person.person_id, SPACE)) == len(before)


def test_pictures_of_two_people_enroll_nobody(store: GalleryStore) -> None:
    """Two against two: nobody can tell whose they should be."""
    one, other = direction(1), direction(2)
    shots = [shot(one, "a.jpg"), shot(other, "b.jpg")]
    more = [shot(near(one, 0.8), "c.jpg"), shot(near(other, 0.8, 8), "d.jpg")]
    for photos in (shots, shots + more):
        with pytest.raises(GalleryError, match="Several people"):
            enroll(store, SPACE, photos, Wish(display_name="Grace"), BAR, NOW_S)
    assert store.count() == 0
    forced = Wish(display_name="Grace", force=True)
    done = enroll(store, SPACE, shots, forced, BAR, NOW_S)
    assert (done.added, len(done.warnings)) == (2, 2)
    assert all("taken as forced" in warning for warning in done.warnings)


def test_somebody_who_is_there_already_is_not_enrolled_again(store: GalleryStore) -> None:
    put(store, ALICE, 1, name="Alice")
    put(store, BOB, 2)
    twin = shot(near(direction(1), 0.9))
    with pytest.raises(GalleryError, match=rf"looks like {ALICE} \(Alice\), score 0\.90") as error:
        enroll(store, SPACE, [twin], Wish(display_name="Alicia"), BAR, NOW_S)
    assert BOB not in str(error.value)
    assert store.count() == 2
    done = enroll(store, SPACE, [twin], Wish(display_name="Alicia", force=True), BAR, NOW_S)
    assert f"looks like {ALICE} (Alice), score 0.90" in done.warnings[0]
    assert store.count() == 3


def test_the_same_photograph_three_times_is_one_template(store: GalleryStore) -> None:
    me = direction(1)
    shots = [shot(me, "a.jpg"), shot(me, "b.jpg"), shot(near(me, 0.995), "c.jpg")]
    done = enroll(store, SPACE, shots, Wish(display_name="Grace"), BAR, NOW_S)
    assert (done.added, done.templates) == (1, 1)
    assert done.warnings[:2] == tuple(
        f"{name} shows what another picture shows: left out" for name in ("b.jpg", "c.jpg")
    )
    again = enroll(store, SPACE, [shot(me)], Wish(done.person.person_id), BAR, NOW_S)
    assert (again.added, again.templates) == (0, 1)


def test_of_forty_photographs_the_most_different_are_kept(store: GalleryStore) -> None:
    me = direction(1)
    shots = [shot(near(me, 0.8, seed), f"{seed}.jpg") for seed in range(100, 140)]
    done = enroll(store, SPACE, shots, Wish(display_name="Grace"), BAR, NOW_S)
    assert (done.added, done.templates) == (MAX_TEMPLATES, MAX_TEMPLATES)
    (warning,) = done.warnings
    assert warning.startswith("40 pictures are more than the 32 that a person may have")
    more = enroll(store, SPACE, [shot(near(me, 0.6, 7))], Wish(done.person.person_id), BAR, NOW_S)
    assert (more.added, more.templates) == (1, MAX_TEMPLATES)


def test_those_go_that_others_are_near_to() -> None:
    rows = np.stack([direction(1), direction(2), near(direction(2), 0.9), direction(3)])
    choice = most_different(rows, 0, 3)
    assert (choice.alike, len(choice.surplus)) == ((), 1)
    assert choice.surplus[0] in (1, 2)


def test_an_accent_is_one_letter_whichever_way_it_was_typed(store: GalleryStore) -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    done = enroll(store, SPACE, [shot(direction(1))], Wish(display_name=decomposed), BAR, NOW_S)
    assert done.person.display_name == composed
    assert find_people(store, [decomposed]) == find_people(store, [composed])
    assert "has the same name" in check_wish(store, Wish(display_name=decomposed))[0]


def test_nobody_is_enrolled_without_a_photo(store: GalleryStore) -> None:
    with pytest.raises(GalleryError, match="no usable photo"):
        enroll(store, SPACE, [], Wish(display_name="Grace"), BAR, NOW_S)
    assert store.count() == 0


def test_a_wish_is_checked_before_any_photo(store: GalleryStore) -> None:
    put(store, ALICE, 1, name="Alice")
    assert check_wish(store, Wish(display_name="Grace")) == ()
    assert check_wish(store, Wish(ALICE)) == ()
    assert "public on the broker" in check_wish(store, Wish(BOB, "Bob", new=True))[0]
    assert f"{ALICE} has the same name 'Alice'" in check_wish(store, Wish(None, "Alice"))[0]
    for wish, message in [
        (Wish(), "needs a name"),
        (Wish(BOB, new=True), "needs a name"),
        (Wish(BOB, "Bob"), "nobody has this id.*--new"),
        (Wish(ALICE, "Alice", new=True), "is Alice already"),
        (Wish("alice", "Alice"), "no person id"),
        (Wish(display_name="a\tb"), "printable"),
        (Wish(display_name="A", valid_from_s=2.0, valid_to_s=1.0), "ends before"),
    ]:
        with pytest.raises(GalleryError, match=message):
            check_wish(store, wish)


def test_a_card_that_somebody_else_has_is_refused(store: GalleryStore) -> None:
    wish = Wish(ALICE, "Alice", card="7", new=True)
    enroll(store, SPACE, [shot(direction(1))], wish, BAR, NOW_S)
    with pytest.raises(GalleryError, match=rf"card '7' belongs to {ALICE} \(Alice\); --force"):
        check_wish(store, Wish(None, "Bob", card="7"))
    assert "as well" in check_wish(store, Wish(None, "Bob", card="7", force=True))[0]
    assert check_wish(store, Wish(ALICE, card="7")) == ()


def test_the_cards_of_people_who_arrive_together_are_read_once(tmp_path: Path) -> None:
    reads: list[str] = []

    class Counting(GalleryStore):
        def person(self, person_id: str) -> Person | None:
            reads.append(person_id)
            return super().person(person_id)

    arrived = [f"p_{number:010d}" for number in range(50)]
    with Counting(tmp_path / "gallery.sqlite", KEY) as store:
        with store.change() as change:
            for number, person_id in enumerate(arrived):
                change.put_person(Person(person_id, "A", card=str(max(1, number))))
        doubts = doubts_about(store, SPACE, set(arrived), BAR)
        assert [doubt.split()[:2] for doubt in doubts] == [["card", "'1'"]] * 2
        assert len(reads) <= len(arrived)
        set_people(store, arrived, {"card": None}, force=False)
        reads.clear()
        set_people(store, arrived, {"card": "7"}, force=True)
        assert len(reads) <= 2 * len(arrived)


def test_the_bar_rises_with_the_gallery() -> None:
    bar = bar_for(CALIBRATION, 1e-3, 3)
    assert bar.lookalike(1) < bar.lookalike(100) < bar.lookalike(10_000)
    assert bar.same_person == CALIBRATION.threshold_for(1e-2).value


def test_what_is_rehearsed_is_seen_and_taken_back(store: GalleryStore) -> None:
    with store.rehearsal():
        enroll(store, SPACE, [shot(direction(1))], Wish(display_name="Grace"), BAR, NOW_S)
        with pytest.raises(GalleryError, match="the same person twice"):
            enroll(store, SPACE, [shot(direction(1))], Wish(display_name="Twin"), BAR, NOW_S)
        assert store.count() == 1
    assert store.count() == 0
    enroll(store, SPACE, [shot(direction(1))], Wish(display_name="Grace"), BAR, NOW_S)
    assert store.count() == 1


def test_of_two_photos_that_disagree_both_are_strays() -> None:
    both = np.stack([direction(1), direction(2)])
    nothing = np.zeros((0, 128), np.float32)
    assert [stray.number for stray in find_strays(both, nothing, 0.5)] == [0, 1]
    assert find_strays(both[:1], nothing, 0.5) == ()
    assert [stray.number for stray in find_strays(both, both[:1], 0.5)] == [1]


def test_lookalikes_come_nearest_first_with_their_best_template(store: GalleryStore) -> None:
    from edgeface.gallery.opening import build_index

    put(store, ALICE, 1, 2)
    put(store, BOB, 3)
    index = build_index(store, SPACE)
    face = np.stack([near(direction(2), 0.7, 50), near(direction(3), 0.8, 51)])
    alike = find_lookalikes(face, index, 0.5)
    assert [one.person_id for one in alike] == [BOB, ALICE]
    assert alike[1].score == pytest.approx(0.7, abs=0.02)
    assert [one.person_id for one in find_lookalikes(face, index, 0.5, (BOB,))] == [ALICE]
