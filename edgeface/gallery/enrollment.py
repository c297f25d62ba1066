"""Enroll a person: store what passed the gate, and say what looks odd about it.

Odd is somebody else's photo, or somebody who is there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeface.base.counting import people
from edgeface.base.errors import GalleryError
from edgeface.base.ids import check_person_id, new_person_id
from edgeface.gallery.cipher import DamagedRowError
from edgeface.gallery.opening import build_index
from edgeface.gallery.people import readable
from edgeface.gallery.person import Person, StoredTemplate
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import Embedding


@dataclass(frozen=True, slots=True)
class Stray:
    """A picture that does not look like the others of the same person."""

    number: int
    """Its place among the pictures."""
    score: float
    """Its best cosine to any of the others."""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Somebody in the gallery who looks like the person to be enrolled."""

    person_id: str
    display_name: str | None
    score: float
    """The best cosine of any picture to any template."""


def find_strays(
    embeddings: NDArray[np.float32], known: NDArray[np.float32], minimum: float
) -> tuple[Stray, ...]:
    """Pictures whose cosine to every other one, and to what is known of the person, is below
    `minimum`.

    `embeddings` `(k, 128)` and `known` `(m, 128)` have unit rows. Of two pictures alone that do not
    agree both are named, as nobody can tell which is the wrong one.
    """
    everything = np.concatenate([embeddings, known])
    if len(everything) < 2:
        return ()
    scores = embeddings @ everything.T
    scores[np.arange(len(embeddings)), np.arange(len(embeddings))] = -np.inf
    best = scores.max(axis=1)
    return tuple(Stray(int(k), float(best[k])) for k in np.flatnonzero(best < minimum))


def find_lookalikes(
    embeddings: NDArray[np.float32],
    index: GalleryIndex,
    minimum: float,
    except_for: Sequence[str] = (),
) -> tuple[Lookalike, ...]:
    """People of the index with a template whose cosine to one of `embeddings` `(k, 128)` reaches
    `minimum`, nearest first."""
    if not len(index.matrix) or not len(embeddings):
        return ()
    per_template = index.matrix.cosines(embeddings).max(axis=0)
    per_person = np.full(len(index.people), -np.inf, dtype=np.float32)
    np.maximum.at(per_person, index.owners, per_template)
    order = np.argsort(-per_person, kind="stable")
    return tuple(
        Lookalike(index.people[p], index.display_names[p], float(per_person[p]))
        for p in order[per_person[order] >= minimum]
        if index.people[p] not in except_for
    )


SAME_PERSON_FMR: Final = 1e-2
"""Photos of one person should reach the score that one in a hundred pairs of strangers reaches: a
stranger's photo is then noticed 99 times in 100, and a good one is rarely suspected."""
_NAMED: Final = 3


class Sample(Protocol):
    """What passed the gate; `edgeface.gallery.gate.Portrait` is one."""

    @property
    def source(self) -> str:
        """For people: which picture."""

    @property
    def embedding(self) -> Embedding:
        """Float32 `(128,)`, unit norm."""

    def stored(self, created_s: float, /) -> StoredTemplate:
        """As kept in the gallery; `created_s` is UTC epoch seconds."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Who is to be enrolled. What is None stays as it is for somebody known, else has no bound."""

    person_id: str | None = None
    """None: a new person under a random id."""
    display_name: str | None = None
    valid_from_s: float | None = None
    """UTC epoch seconds."""
    valid_to_s: float | None = None
    """UTC epoch seconds."""
    card: str | None = None
    replace_templates: bool = False
    """The new templates take the place of those in this space instead of joining them."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The cosines at which an enrollment looks odd."""

    same_person: float
    """Photos of one person are expected to reach it."""
    lookalike: float
    """Somebody else in the gallery is not: what a door demands for an identification."""


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What was stored."""

    person: Person
    is_new: bool
    added: int
    """Templates stored now."""
    templates: int
    """Templates of the person in this space altogether."""
    warnings: tuple[str, ...]
    """Each one sentence for the person who enrolls."""


def bar_for(calibration: Calibration, target_fpir: float, max_looks: int, templates: int) -> Bar:
    """The bar in a gallery of `templates`, from the model's calibration and the decision rules."""
    return Bar(
        same_person=calibration.threshold_for(SAME_PERSON_FMR).value,
        lookalike=calibration.identification_threshold(
            target_fpir, max_looks, max(1, templates)
        ).value,
    )


def check_wish(store: GalleryStore, wish: Wish) -> tuple[str, ...]:
    """Look at what can be checked before any photo is examined; returns warnings.

    Raises GalleryError for an impossible id, name or window, and for a new person without a name.
    """
    warnings = []
    known = None
    if wish.person_id is not None:
        check_person_id(wish.person_id)
        try:
            known = store.person(wish.person_id)
        except DamagedRowError:
            raise GalleryError(
                f"{wish.person_id}: the stored data are damaged; remove the person first "
                f"(edgeface gallery remove {wish.person_id})"
            ) from None
        if known is None:
            warnings.append(
                f"{wish.person_id} was given by hand: ids are public on the broker, so it must say "
                "nothing about the person and be used for nothing else"
            )
    if known is None and wish.display_name is None:
        raise GalleryError("a new person needs a name (--name)")
    _person(wish, wish.person_id or new_person_id(), known, 0.0)
    for other_id in store.ids():
        # Damaged rows are told of by `gallery list` and `gallery audit`.
        other = readable(store, other_id) if other_id != wish.person_id else None
        if other is None:
            continue
        for field, mine, theirs in (
            ("name", wish.display_name, other.display_name),
            ("card", wish.card, other.card),
        ):
            if mine is not None and mine == theirs:
                warnings.append(
                    f"{other.person_id} has the same {field} {mine!r}; to add photos to somebody "
                    "known give the id with --id"
                )
    return tuple(warnings)


def enroll(
    store: GalleryStore,
    space: str,
    portraits: Sequence[Sample],
    wish: Wish,
    bar: Bar,
    now_s: float,
    *,
    dry_run: bool = False,
) -> Enrollment:
    """Store the portraits' templates in one transaction, which a `dry_run` takes back.

    Raises GalleryError when there are none, or more than a person may have.
    """
    if not portraits:
        raise GalleryError("no usable photo, so nobody was enrolled")
    warnings = list(_doubts(store, space, portraits, wish, bar))
    with suppress(_TakenBackError), store.change() as change:
        person_id = wish.person_id or new_person_id(lambda taken: taken in store)
        known = store.person(person_id)
        person = _person(wish, person_id, known, now_s)
        kept = () if wish.replace_templates else store.templates(person_id, space)
        templates = (*kept, *(portrait.stored(now_s) for portrait in portraits))
        if person != known:
            change.put_person(person)
        change.put_templates(person_id, space, templates)
        if dry_run:
            raise _TakenBackError
    if len(templates) == 1:
        warnings.append("one photo only: two or three, taken in different light, work better")
    return Enrollment(person, known is None, len(portraits), len(templates), tuple(warnings))


class _TakenBackError(Exception):
    """Rolls a rehearsed transaction back."""


def _doubts(
    store: GalleryStore, space: str, portraits: Sequence[Sample], wish: Wish, bar: Bar
) -> list[str]:
    embeddings = np.stack([portrait.embedding for portrait in portraits])
    index = build_index(store, space)
    own = index.templates_of(wish.person_id) if wish.person_id else np.zeros(0, np.int64)
    known = index.matrix[own] if not wish.replace_templates else index.matrix[:0]
    doubts = [
        f"{portraits[stray.number].source} does not look like the other photos of this person "
        f"(best score {stray.score:.2f}, expected {bar.same_person:.2f}); is it somebody else?"
        for stray in find_strays(embeddings, known, bar.same_person)
    ]
    mine = (wish.person_id,) if wish.person_id else ()
    alike = find_lookalikes(embeddings, index, bar.lookalike, mine)
    doubts += [
        f"looks like {one.person_id}"
        + (f" ({one.display_name})" if one.display_name else "")
        + f", score {one.score:.2f}: the same person twice? A door calls such a pair ambiguous"
        for one in alike[:_NAMED]
    ]
    if len(alike) > _NAMED:
        doubts.append(f"looks like {people(len(alike) - _NAMED)} more")
    return doubts


def _person(wish: Wish, person_id: str, known: Person | None, now_s: float) -> Person:
    person = known or Person(person_id, created_s=now_s)
    names = ("display_name", "valid_from_s", "valid_to_s", "card")
    chosen: dict[str, Any] = {name: getattr(wish, name) for name in names}
    changes = {name: value for name, value in chosen.items() if value is not None}
    return replace(person, **changes)
