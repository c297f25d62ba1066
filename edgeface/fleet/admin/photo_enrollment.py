"""Enroll people into the master gallery: from photographs, a tree of them, or other samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgeface.base.errors import GalleryError
from edgeface.base.ids import new_person_id
from edgeface.fleet.admin.master import Master
from edgeface.gallery.enrollment import Bar, Enrollment, Sample, Wish, enroll
from edgeface.gallery.gate import Gate, Portrait, Refused
from edgeface.gallery.people import names_in

PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class Examined:
    """What became of one person's photos."""

    name: str
    portraits: tuple[Portrait, ...]
    refused: tuple[Refused, ...]
    enrollment: Enrollment | None
    """None when nothing was stored."""
    skipped: str | None = None
    """Why the person was not looked at at all."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for everybody who is enrolled in one go."""

    space: str
    bar: Bar
    now_s: float
    """UTC epoch seconds."""
    dry_run: bool = False
    """Only look whether it could be stored."""


def enroll_photos(
    master: Master, gate: Gate, photos: Sequence[Path], wish: Wish, terms: Terms
) -> Examined:
    """Examine photos and store what passes as one person's templates.

    Raises GalleryError when a person would have too many templates.
    """
    portraits: list[Portrait] = []
    refused: list[Refused] = []
    for photo in photos:
        found = gate.examine_file(photo)
        if isinstance(found, Refused):
            refused.append(found)
        else:
            portraits.append(found)
    enrollment = None
    if portraits:
        enrollment = enroll_samples(master, portraits, wish, terms)
    return Examined(wish.display_name or "", tuple(portraits), tuple(refused), enrollment)


def enroll_samples(
    master: Master, samples: Sequence[Sample], wish: Wish, terms: Terms
) -> Enrollment:
    """Store what passed a gate as one person's templates.

    Raises GalleryError when a person would have too many templates.
    """
    space, bar, now_s = terms.space, terms.bar, terms.now_s
    if terms.dry_run:
        return enroll(master.store, space, samples, wish, bar, now_s, dry_run=True)
    person_id = wish.person_id or new_person_id(lambda taken: taken in master.store)
    with master.touching([person_id]) as store:
        return enroll(store, space, samples, replace(wish, person_id=person_id), bar, now_s)


def enroll_tree(master: Master, gate: Gate, tree: Path, terms: Terms) -> Iterator[Examined]:
    """Enroll one new person for each folder in `tree`, by the order of names; the folder's name
    becomes the display name.

    Somebody of that name who has templates in this space is skipped, so that an interrupted run can
    be repeated. A person who cannot be stored is told of in `skipped`; the others go on. Raises
    GalleryError when there is nothing to enroll.
    """
    names = names_in(master.store)
    for folder in people_in(tree):
        name = folder.name
        if len(names.get(name, ())) > 1:
            yield Examined(name, (), (), None, f"{len(names[name])} people have this name")
            continue
        person_id = next(iter(names.get(name, ())), None)
        if person_id is not None and master.store.templates(person_id, terms.space):
            yield Examined(name, (), (), None, f"is enrolled already as {person_id}")
            continue
        wish = Wish(person_id=person_id, display_name=name)
        try:
            yield enroll_photos(master, gate, photos_in(folder), wish, terms)
        except GalleryError as error:
            yield Examined(name, (), (), None, str(error))


def people_in(tree: Path) -> list[Path]:
    """The folders with pictures in them. Raises GalleryError when there are none."""
    try:
        folders = sorted(path for path in tree.iterdir() if path.is_dir())
    except OSError as error:
        raise GalleryError(f"{tree}: cannot be read: {error.strerror}") from error
    found = [folder for folder in folders if photos_in(folder)]
    if not found:
        raise GalleryError(
            f"{tree}: no folder with pictures in it; one folder for each person is expected"
        )
    return found


def photos_in(folder: Path) -> list[Path]:
    """The pictures of one person, by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file()
    )
