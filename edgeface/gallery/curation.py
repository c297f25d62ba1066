"""Look after people who are enrolled: doubt those who come from elsewhere, change them, make one of
two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeface.base.errors import GalleryError
from edgeface.gallery.audit import disagreeing_in, nearest_pairs
from edgeface.gallery.likeness import Bar, agreeing, most_different
from edgeface.gallery.opening import build_index
from edgeface.gallery.people import cards_in, check_card
from edgeface.gallery.person import MAX_TEMPLATES, Person, StoredTemplate
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.templates import decode_template

_NAMED = 3


def doubts_about(store: GalleryStore, space: str, arrived: set[str], bar: Bar) -> list[str]:
    """What looks odd about people who have arrived with their templates, each in one clause: two
    people under one id, one person under two, a card that somebody else has."""
    index = build_index(store, space)
    doubts = [
        f"the templates of {person_id} do not look like one person's"
        for person_id in disagreeing_in(index, bar.same_person)
        if person_id in arrived
    ]
    minimum = bar.lookalike(max(1, len(index.compared)))
    doubts += [
        f"{pair.first} looks like {pair.second}, score {pair.score:.2f}: the same person twice?"
        for pair in nearest_pairs(index, minimum)
        if pair.score >= minimum and arrived & {pair.first, pair.second}
    ]
    cards = cards_in(store)
    for person in (person for holders in cards.values() for person in holders):
        if person.person_id in arrived:
            doubts += check_card(person, cards, force=True)
    return doubts


def listed(doubts: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(doubts) - _NAMED
    return "; ".join(doubts[:_NAMED]) + (f"; {more} more like these" if more > 0 else "")


def set_people(
    store: GalleryStore, people: Sequence[str], changes: Mapping[str, Any], *, force: bool
) -> tuple[list[Person], list[str]]:
    """Change fields of `Person` for all of them or for nobody; returns them as stored now, and
    warnings.

    Raises GalleryError for somebody unknown, impossible values, and unless `force`d for a card that
    somebody else has.
    """
    changed: list[Person] = []
    warnings: list[str] = []
    with store.change() as change:
        for person_id in people:
            person = replace(_stored(store, person_id), **changes)
            change.put_person(person)
            changed.append(person)
        if "card" in changes:
            cards = cards_in(store)
            for person in changed:
                warnings += check_card(person, cards, force=force)
    return changed, warnings


@dataclass(frozen=True, slots=True)
class Merged:
    """Who has become one."""

    person: Person
    templates: int
    """In the space of the model in use."""
    left_out: int
    """Templates of that space that show what others show, or are more than a person may have."""


def merge(
    store: GalleryStore, keep: str, others: Sequence[str], space: str, bar: Bar, *, force: bool
) -> Merged:
    """Give `keep` the templates of `others`, and the name and the card that it lacks; erase them.

    Raises GalleryError when they do not look like one person in `space` unless `force`d, and for
    rows that do not open.
    """
    if keep in others:
        raise GalleryError(f"{keep} cannot be merged with itself")
    with store.change() as change:
        people = [_stored(store, person_id) for person_id in (keep, *others)]
        person = replace(
            people[0],
            display_name=_first(person.display_name for person in people),
            card=_first(person.card for person in people),
        )
        templates, left_out = 0, 0
        for used in sorted({used for one in people for used in store.spaces(one.person_id)}):
            items = [item for one in people for item in store.templates(one.person_id, used)]
            kept = _most_different(items)
            if used == space:
                rows = np.stack([decode_template(item.template) for item in items])
                if len(agreeing(rows, bar.same_person)) > 1 and not force:
                    raise GalleryError(
                        f"{keep} and {', '.join(others)} do not look like one person (expected "
                        f"{bar.same_person:.2f}); nothing was merged, --force does it all the same"
                    )
                templates, left_out = len(kept), len(items) - len(kept)
            change.put_templates(keep, used, kept)
        for other in others:
            change.remove(other)
        change.put_person(person)
    return Merged(person, templates, left_out)


def _most_different(items: Sequence[StoredTemplate]) -> list[StoredTemplate]:
    rows = np.stack([decode_template(item.template) for item in items])
    return [items[row] for row in most_different(rows, 0, MAX_TEMPLATES).kept]


def _stored(store: GalleryStore, person_id: str) -> Person:
    person = store.person(person_id)
    if person is None:
        raise GalleryError(f"{person_id}: no such person in the gallery")
    return person


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value is not None), None)
