"""Enroll a person: store what passed the gate, and refuse what looks odd unless it is forced.

Odd is somebody else's photo, somebody who is there already under another id, and a card that
somebody else has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeface.base.counting import people
from edgeface.base.errors import GalleryError
from edgeface.base.ids import check_person_id, new_person_id
from edgeface.gallery.cipher import DamagedRowError
from edgeface.gallery.likeness import (
    Bar,
    Choice,
    find_lookalikes,
    find_strays,
    most_different,
)
from edgeface.gallery.opening import build_index
from edgeface.gallery.people import cards_in, check_card, names_in
from edgeface.gallery.person import MAX_TEMPLATES, Person, StoredTemplate, plain_text
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.values import Embedding

_NAMED: Final = 3


class Sample(Protocol):
    """What passed the gate; `edgeface.gallery.gate.Portrait` is one."""

    @property
    def source(self) -> str:
        """For people: which picture."""

    @property
    def embedding(self) -> Embedding:
        """Float32 `(d,)`, unit norm."""

    def stored(self, created_s: float, /) -> StoredTemplate:
        """As kept in the gallery; `created_s` is UTC epoch seconds."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Who is to be enrolled. What is None stays as it is for somebody known, else has no bound."""

    person_id: str | None = None
    """Of somebody known; None: a new person under a random id."""
    display_name: str | None = None
    valid_from_s: float | None = None
    """UTC epoch seconds."""
    valid_to_s: float | None = None
    """UTC epoch seconds."""
    card: str | None = None
    replace_templates: bool = False
    """The new templates take the place of those in this space instead of joining them."""
    new: bool = False
    """The person is new, under an id that was given by hand."""
    force: bool = False
    """What looks odd is taken, with a warning."""


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
    """Each one sentence for the person who enrolls; also which pictures were left out."""


def check_wish(store: GalleryStore, wish: Wish) -> tuple[str, ...]:
    """Look at what can be checked before any photo is examined; returns warnings.

    Raises GalleryError for an impossible id, name or window, for an id that nobody has, for a new
    person without a name, and for a card that somebody else has.
    """
    warnings = []
    known = None
    if wish.person_id is not None:
        known = _known(store, wish.person_id, new=wish.new)
        if known is None:
            warnings.append(
                f"{wish.person_id} was given by hand: ids are public on the broker, so it must say "
                "nothing about the person and be used for nothing else"
            )
    if known is None and wish.display_name is None:
        raise GalleryError("a new person needs a name (--name)")
    person = _person(wish, wish.person_id or new_person_id(), known, 0.0)
    if wish.card is not None:
        warnings += check_card(person, cards_in(store), force=wish.force)
    if wish.display_name is not None:
        # Damaged rows are told of by `gallery list` and `gallery audit`.
        namesakes = names_in(store, damaged=True).get(plain_text(wish.display_name), [])
        warnings += [
            f"{other_id} has the same name {wish.display_name!r}; to add photos to somebody known "
            "give the id with --id"
            for other_id in namesakes
            if other_id != wish.person_id
        ]
    return tuple(warnings)


def _known(store: GalleryStore, person_id: str, *, new: bool) -> Person | None:
    check_person_id(person_id)
    try:
        known = store.person(person_id)
    except DamagedRowError:
        raise GalleryError(
            f"{person_id}: the stored data are damaged; remove the person first "
            f"(edgeface gallery remove {person_id})"
        ) from None
    if known is None and not new:
        raise GalleryError(
            f"{person_id}: nobody has this id; leave --id out for a new person, who gets a random "
            "one, or say --new if this one is meant"
        )
    if known is not None and new:
        raise GalleryError(
            f"{person_id} is {known.display_name or 'nameless'} already; leave --new out to add "
            "photos"
        )
    return known


def enroll(
    store: GalleryStore,
    space: str,
    portraits: Sequence[Sample],
    wish: Wish,
    bar: Bar,
    now_s: float,
) -> Enrollment:
    """Store the portraits' templates in one transaction: the most different ones, at most
    `MAX_TEMPLATES` with those known before, none that shows what another one shows.

    Raises GalleryError when there are none, and unless it is forced when they show several people
    or somebody who is in the gallery already.
    """
    if not portraits:
        raise GalleryError("no usable photo, so nobody was enrolled")
    with store.change() as change:
        index = build_index(store, space, len(portraits[0].embedding))
        own = index.templates_of(wish.person_id) if wish.person_id else np.zeros(0, np.int64)
        before = index.matrix[own] if not wish.replace_templates else index.matrix[:0]
        good, warnings = _without_strays(portraits, before, wish, bar)
        warnings += _lookalikes(good, index, wish, bar)
        rows = np.concatenate([before, np.stack([portrait.embedding for portrait in good])])
        choice = most_different(rows, len(before), MAX_TEMPLATES)
        sources = [portrait.source for portrait in good]
        warnings += _left_out(choice, [""] * len(before) + sources)
        person_id = wish.person_id or new_person_id(lambda taken: taken in store)
        known = store.person(person_id)
        person = _person(wish, person_id, known, now_s)
        if person != known:
            change.put_person(person)
        templates = store.templates(person_id, space) if len(before) else ()
        kept = [templates[row] for row in choice.kept if row < len(before)]
        added = [good[row - len(before)] for row in choice.kept if row >= len(before)]
        change.put_templates(
            person_id, space, (*kept, *(portrait.stored(now_s) for portrait in added))
        )
    if len(choice.kept) == 1:
        warnings.append("one photo only: two or three, taken in different light, work better")
    return Enrollment(person, known is None, len(added), len(choice.kept), tuple(warnings))


def _left_out(choice: Choice, sources: Sequence[str]) -> list[str]:
    """What is said of pictures that are not kept; `sources` are the names of all."""
    said = [f"{sources[row]} shows what another picture shows: left out" for row in choice.alike]
    if choice.surplus:
        said.append(
            f"{len(sources) - len(choice.alike)} pictures are more than the {MAX_TEMPLATES} that a "
            "person may have: the most different ones were kept"
        )
    return said


def _without_strays(
    portraits: Sequence[Sample], before: NDArray[np.float32], wish: Wish, bar: Bar
) -> tuple[list[Sample], list[str]]:
    """Those that show the person, and what is said of the others, which a forced wish keeps."""
    embeddings = np.stack([portrait.embedding for portrait in portraits])
    strays = find_strays(embeddings, before, bar.same_person)
    texts = [
        f"{portraits[stray.number].source} does not look like the other photos of this person "
        f"(best score {stray.score:z.2f}, expected {bar.same_person:.2f})"
        for stray in strays
    ]
    if wish.force:
        return list(portraits), [f"{text}; taken as forced" for text in texts]
    if len(strays) == len(portraits):
        raise GalleryError(
            "; ".join(texts) + ". Several people? Nobody was enrolled; --force takes them as one"
        )
    odd = {stray.number for stray in strays}
    good = [portrait for number, portrait in enumerate(portraits) if number not in odd]
    return good, [f"{text}: left out; is it somebody else? --force takes it" for text in texts]


def _lookalikes(
    portraits: Sequence[Sample], index: GalleryIndex, wish: Wish, bar: Bar
) -> list[str]:
    """What is said of somebody who is in the gallery under another id, when it is forced."""
    embeddings = np.stack([portrait.embedding for portrait in portraits])
    mine = (wish.person_id,) if wish.person_id else ()
    minimum = bar.lookalike(max(1, len(index.compared)))
    alike = find_lookalikes(embeddings, index, minimum, mine)
    texts = [
        f"looks like {one.person_id}"
        + (f" ({one.display_name})" if one.display_name else "")
        + f", score {one.score:.2f}"
        for one in alike[:_NAMED]
    ]
    if len(alike) > _NAMED:
        texts.append(f"looks like {people(len(alike) - _NAMED)} more")
    if texts and not wish.force:
        raise GalleryError(
            "; ".join(texts) + ": the same person twice? Nobody was enrolled; add photos to "
            "somebody known with --id, or --force for two people who look alike"
        )
    return [f"{text}: a door calls such a pair ambiguous" for text in texts]


def _person(wish: Wish, person_id: str, known: Person | None, now_s: float) -> Person:
    person = known or Person(person_id, created_s=now_s)
    names = ("display_name", "valid_from_s", "valid_to_s", "card")
    chosen: dict[str, Any] = {name: getattr(wish, name) for name in names}
    changes = {name: value for name, value in chosen.items() if value is not None}
    return replace(person, **changes)
