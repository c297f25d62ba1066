"""Enroll people into the master gallery: from photographs, a tree of them, or other samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgeface.base.errors import GalleryError
from edgeface.base.ids import new_person_id
from edgeface.fleet.admin.master import Master
from edgeface.gallery.enrollment import Enrollment, Sample, Wish, enroll
from edgeface.gallery.gate import Gate, Portrait, Refused
from edgeface.gallery.likeness import Bar
from edgeface.gallery.people import names_in
from edgeface.gallery.person import plain_text

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
    """Why the person did not have to be looked at."""
    failed: str | None = None
    """Why the person could not be enrolled."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for everybody who is enrolled in one go."""

    space: str
    bar: Bar
    now_s: float
    """UTC epoch seconds."""
    force: bool = False
    """What looks odd is taken, with a warning."""


def enroll_photos(
    master: Master, gate: Gate, photos: Sequence[Path], wish: Wish, terms: Terms
) -> Examined:
    """Examine photos and store what passes as one person's templates. Raises as `enroll`."""
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
    """Store what passed a gate as one person's templates. Raises as `enroll`."""
    person_id = wish.person_id or new_person_id(lambda taken: taken in master.store)
    named = replace(wish, person_id=person_id)
    with master.touching([person_id]) as store:
        return enroll(store, terms.space, samples, named, terms.bar, terms.now_s)


def enroll_tree(master: Master, gate: Gate, tree: Path, terms: Terms) -> Iterator[Examined]:
    """Enroll one new person for each folder in `tree`, by the order of names; the folder's name
    becomes the display name.

    Somebody of that name who has templates in this space is skipped, so that an interrupted run can
    be repeated. A person who cannot be stored is told of in `failed`; the others go on. Raises
    GalleryError when there is nothing to enroll.
    """
    names = names_in(master.store)
    for folder in people_in(tree):
        name = plain_text(folder.name)
        if len(names.get(name, ())) > 1:
            yield Examined(name, (), (), None, failed=f"{len(names[name])} people have this name")
            continue
        person_id = next(iter(names.get(name, ())), None)
        if person_id is not None and master.store.templates(person_id, terms.space):
            yield Examined(name, (), (), None, f"is enrolled already as {person_id}")
            continue
        wish = Wish(person_id=person_id, display_name=name, force=terms.force)
        try:
            done = enroll_photos(master, gate, photos_in(folder), wish, terms)
        except GalleryError as error:
            yield Examined(name, (), (), None, failed=str(error))
            continue
        if done.enrollment is None:
            photos = photos_in(folder)
            why = "no usable photo" if photos else "no picture in the folder"
            done = replace(done, failed=why)
        yield done


def people_in(tree: Path) -> list[Path]:
    """The folders, one a person. Raises GalleryError when none has a picture in it."""
    folders = [path for path in _entries(tree) if path.is_dir()]
    if not any(photos_in(folder) for folder in folders):
        raise GalleryError(
            f"{tree}: no folder with pictures in it; one folder for each person is expected"
        )
    return folders


def photos_in(folder: Path) -> list[Path]:
    """The pictures of one person, by name."""
    return [path for path in _entries(folder) if _is_photo(path)]


def unused_in(tree: Path) -> list[Refused]:
    """What lies in the tree and is nobody's picture, with why it is not looked at."""
    unused = []
    for path in _entries(tree):
        if not path.is_dir():
            unused.append(Refused(str(path), "unused", "lies in no person's folder"))
            continue
        for inner in _entries(path):
            if inner.is_dir():
                why = "a folder in a person's folder is not looked into"
            elif not _is_photo(inner):
                why = "no picture by its name"
            else:
                continue
            unused.append(Refused(str(inner), "unused", why))
    return unused


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise GalleryError(f"{folder}: cannot be read: {error.strerror}") from error


def _is_photo(path: Path) -> bool:
    named = path.suffix.lower() in PICTURES and not path.name.startswith(".")
    return named and path.is_file()
