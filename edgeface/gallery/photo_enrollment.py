"""Enroll people from photographs, a tree of them, or other samples: on a device or for a fleet."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from edgeface.base.errors import GalleryError, NamedFileError
from edgeface.base.ids import new_person_id
from edgeface.capture.picture_file import PICTURES
from edgeface.gallery.enrollment import Enrollment, Sample, Wish, enroll
from edgeface.gallery.gate import Examined as ExaminedPhoto
from edgeface.gallery.gate import Gate, Portrait, Refused
from edgeface.gallery.likeness import Bar
from edgeface.gallery.people import names_in
from edgeface.gallery.person import plain_text
from edgeface.gallery.store import GalleryStore

_DATED: Final = re.compile(r"(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)_UTC")
"""How the names of files begin that Instaloader has made (its default `--filename-pattern`)."""


class Roster(Protocol):
    """Whose gallery people are enrolled into: `OwnRoster` on a device, the master of a fleet."""

    @property
    def store(self) -> GalleryStore:
        """Where they are kept."""

    def touching(self, people: Iterable[str], /) -> AbstractContextManager[GalleryStore]:
        """The store, for a change to these people."""


@dataclass(frozen=True, slots=True)
class OwnRoster:
    """A device's own gallery, which keeps no account of changes."""

    store: GalleryStore

    def touching(self, _: Iterable[str], /) -> AbstractContextManager[GalleryStore]:
        """The store as it is."""
        return nullcontext(self.store)


@dataclass(frozen=True, slots=True)
class Period:
    """When pictures were published that are dated by their names, such as
    `2024-05-01_12-00-00_UTC_1.jpg`: UTC epoch seconds, `since_s` within and `until_s` not."""

    since_s: float = -math.inf
    until_s: float = math.inf

    def refusal(self, photo: Path) -> Refused | None:
        """Why a picture is not of the period; None when it is, or when every picture is."""
        if math.isinf(self.since_s) and math.isinf(self.until_s):
            return None
        dated = _DATED.match(photo.name)
        try:
            text = f"{dated[1] if dated else ''}+0000"
            taken = datetime.strptime(text, "%Y-%m-%d_%H-%M-%S%z")
        except ValueError:
            message = "has no date in its name, such as 2024-05-01_12-00-00_UTC.jpg"
            return Refused(str(photo), "undated", message)
        at_s = taken.timestamp()
        if self.since_s <= at_s < self.until_s:
            return None
        which = "before --since" if at_s < self.since_s else "after --until"
        return Refused(str(photo), "other_time", f"is of {taken:%Y-%m-%d}, {which}")


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
    period: Period = Period()
    """Pictures of other times are refused."""


def examine_photo(gate: Gate, photo: Path, period: Period) -> ExaminedPhoto:
    """Examine one picture, if it is of the period."""
    if photo.is_dir():
        text = "a folder; --folder DIR takes one with a folder for each person in it"
        return Refused(str(photo), "unreadable", text)
    return period.refusal(photo) or gate.examine_file(photo)


def enroll_photos(
    roster: Roster, gate: Gate, photos: Sequence[Path], wish: Wish, terms: Terms
) -> Examined:
    """Examine photos and store what passes as one person's templates. Raises as `enroll`."""
    portraits: list[Portrait] = []
    refused: list[Refused] = []
    for photo in photos:
        found = examine_photo(gate, photo, terms.period)
        if isinstance(found, Refused):
            refused.append(found)
        else:
            portraits.append(found)
    enrollment = None
    if portraits:
        enrollment = enroll_samples(roster, portraits, wish, terms)
    return Examined(wish.display_name or "", tuple(portraits), tuple(refused), enrollment)


def enroll_samples(
    roster: Roster, samples: Sequence[Sample], wish: Wish, terms: Terms
) -> Enrollment:
    """Store what passed a gate as one person's templates. Raises as `enroll`."""
    person_id = wish.person_id or new_person_id(lambda taken: taken in roster.store)
    named = replace(wish, person_id=person_id)
    with roster.touching([person_id]) as store:
        return enroll(store, terms.space, samples, named, terms.bar, terms.now_s)


def enroll_tree(roster: Roster, gate: Gate, tree: Path, terms: Terms) -> Iterator[Examined]:
    """Enroll one new person for each folder in `tree`, by the order of names; the folder's name
    becomes the display name.

    Somebody of that name who has templates in this space is skipped, so that an interrupted run can
    be repeated. A person who cannot be stored is told of in `failed`; the others go on. Raises
    NamedFileError when there is nothing to enroll.
    """
    names = names_in(roster.store)
    for folder in people_in(tree):
        name = plain_text(folder.name)
        if len(names.get(name, ())) > 1:
            yield Examined(name, (), (), None, failed=f"{len(names[name])} people have this name")
            continue
        person_id = next(iter(names.get(name, ())), None)
        if person_id is not None and roster.store.templates(person_id, terms.space):
            yield Examined(name, (), (), None, f"is enrolled already as {person_id}")
            continue
        wish = Wish(person_id=person_id, display_name=name, force=terms.force)
        try:
            done = enroll_photos(roster, gate, photos_in(folder), wish, terms)
        except (GalleryError, NamedFileError) as error:
            yield Examined(name, (), (), None, failed=str(error))
            continue
        if done.enrollment is None:
            photos = photos_in(folder)
            why = "no usable photo" if photos else "no picture in the folder"
            done = replace(done, failed=why)
        yield done


def people_in(tree: Path) -> list[Path]:
    """The folders, one a person. Raises NamedFileError when none has a picture in it."""
    folders = [path for path in _entries(tree) if path.is_dir()]
    if not any(photos_in(folder) for folder in folders):
        raise NamedFileError(
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
        raise NamedFileError(f"{folder}: cannot be read: {error.strerror}") from error


def _is_photo(path: Path) -> bool:
    named = path.suffix.lower() in PICTURES and not path.name.startswith(".")
    return named and path.is_file()
