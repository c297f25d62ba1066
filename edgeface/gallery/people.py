"""People by their names and cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgeface.base.errors import GalleryError, GalleryLookupError
from edgeface.gallery.person import Person, plain_text
from edgeface.gallery.store import GalleryStore


def names_in(store: GalleryStore, *, damaged: bool = False) -> dict[str, list[str]]:
    """Display name -> ids of those who have it. `damaged`: who cannot be read has none; else that
    is a GalleryError."""
    names: dict[str, list[str]] = {}
    for person_id in store.ids():
        person = readable(store, person_id) if damaged else store.person(person_id)
        if person is not None and person.display_name is not None:
            names.setdefault(person.display_name, []).append(person_id)
    return names


def find_people(
    store: GalleryStore, names: Sequence[str], *, where: str = "the gallery", damaged: bool = False
) -> list[str]:
    """Ids for ids or whole display names; raises GalleryLookupError for the first that fits
    nobody or several. `damaged`: see `names_in`."""
    by_name = names_in(store, damaged=damaged) if any(name not in store for name in names) else {}
    found: list[str] = []
    for name in names:
        people = [name] if name in store else by_name.get(plain_text(name), [])
        if not people:
            raise GalleryLookupError(f"{name}: no such person in {where}")
        if len(people) > 1:
            raise GalleryLookupError(
                f"{name}: {len(people)} people have this name: {', '.join(people)}"
            )
        found += [person_id for person_id in people if person_id not in found]
    return found


def cards_in(store: GalleryStore) -> dict[str, list[Person]]:
    """Card -> those who have it; who cannot be read has none."""
    cards: dict[str, list[Person]] = {}
    for person_id in store.ids():
        person = readable(store, person_id)
        if person is not None and person.card is not None:
            cards.setdefault(person.card, []).append(person)
    return cards


def check_card(
    person: Person, cards: Mapping[str, Sequence[Person]], *, force: bool
) -> tuple[str, ...]:
    """Whether somebody else has the person's card, by `cards_in` the gallery: then a GalleryError,
    or a warning when it is forced. A door that asks for card and face asks for one person."""
    if person.card is None:
        return ()
    for other in cards.get(person.card, ()):
        if other.person_id != person.person_id:
            text = (
                f"card {person.card!r} belongs to {other.person_id} "
                f"({other.display_name or 'nameless'})"
            )
            if not force:
                raise GalleryError(f"{text}; --force gives it to both")
            return (f"{text} as well",)
    return ()


def readable(store: GalleryStore, person_id: str) -> Person | None:
    """The person; None also where the stored data are damaged."""
    try:
        return store.person(person_id)
    except GalleryError:
        return None
