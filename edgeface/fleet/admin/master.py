"""The master gallery: everyone on the administrator's machine, and what of it is published."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from edgeface.base.counting import people as counted_people
from edgeface.base.errors import GalleryError, StateError
from edgeface.base.files import PUBLIC, locked, write_file
from edgeface.fleet.admin.ledger import Ledger
from edgeface.fleet.admin.site import SITE_FILE, KeySet, SiteFolder, ensure_sealing_key, make_keys
from edgeface.fleet.protocol.payload import Payload, encode_payload, payload_of
from edgeface.fleet.protocol.record import MAX_SPACES
from edgeface.gallery.cipher import DamagedRowError
from edgeface.gallery.curation import set_people
from edgeface.gallery.database import GalleryCorruptError
from edgeface.gallery.key_file import load_key
from edgeface.gallery.person import Person
from edgeface.gallery.store import GalleryStore

WAY_OUT: Final = "bring back its newest copy into the site's folder, and publish nothing before"
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class PersonChange:
    """One person who is not published as the master has them."""

    kind: Literal["new", "changed", "removed"]
    person_id: str
    display_name: str | None
    """As the master has it now; None for somebody who was removed."""
    payload: Payload | None
    """What is to be published; None for a removal."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the next publish would do."""

    changes: tuple[PersonChange, ...]
    """By person id."""
    without_templates: tuple[str, ...]
    """Not published: nobody could recognize them."""
    unchanged: tuple[str, ...]
    """Touched, but as published."""


class Master:
    """The administrator's store of one site. Used by one thread; holds the site's lock."""

    def __init__(self, folder: SiteFolder) -> None:
        """Open it. Raises StateError (in use, missing, not readable) or GalleryError."""
        self.folder = folder
        self._rehearses = False
        with ExitStack() as stack:
            stack.enter_context(locked(folder.lock_file))
            key = load_key(folder.gallery_key, create=False)
            if not folder.gallery_file.is_file():
                raise StateError(
                    f"{folder.gallery_file}: missing; without it nobody knows who is to be on the "
                    f"devices; {WAY_OUT}"
                )
            stack.enter_context(_damage_told())
            self.store = stack.enter_context(GalleryStore(folder.gallery_file, key))
            self.ledger = stack.enter_context(Ledger(folder.ledger_file))
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def close(self) -> None:
        """Release files and lock."""
        self._open.close()

    @contextmanager
    def touching(self, people: Iterable[str]) -> Iterator[GalleryStore]:
        """The store, for a change to these people. They are noted first, so that a crash in between
        leaves at worst a needless look at the next publish."""
        if not self._rehearses:
            self.ledger.touch(people)
        yield self.store

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """What is done to the store within is taken back at the end, and noted nowhere."""
        self._rehearses = True
        try:
            with self.store.rehearsal():
                yield
        finally:
            self._rehearses = False

    def remove(self, people: Sequence[str]) -> None:
        """Erase people from the master; the next publish erases them everywhere."""
        with self.touching(people) as store, store.change() as change:
            for person_id in people:
                change.remove(person_id)

    def update(
        self, people: Sequence[str], changes: Mapping[str, Any], *, force: bool = False
    ) -> tuple[list[Person], list[str]]:
        """Change fields of people; see `set_people`."""
        with self.touching(people) as store:
            return set_people(store, people, changes, force=force)

    def forget_space(self, space: str) -> int:
        """Delete everybody's templates of a space; returns how many people had any."""
        store = self.store
        people = [person_id for person_id in store.ids() if space in store.spaces(person_id)]
        with self.touching(people), store.change() as change:
            for person_id in people:
                change.put_templates(person_id, space, ())
        return len(people)

    def draft(self) -> Draft:
        """What differs from what is published.

        Raises GalleryError for rows that do not open, for templates of more than two spaces, and as
        `check`.
        """
        self.check()
        changes: list[PersonChange] = []
        without: list[str] = []
        unchanged: list[str] = []
        for person_id in self.ledger.touched():
            published = self.ledger.content_of(person_id)
            payload = self.payload(person_id)
            if payload is not None and not payload.templates:
                without.append(person_id)
                payload = None
            elif published == (None if payload is None else content_digest(payload)):
                unchanged.append(person_id)
                continue
            if payload is not None:
                kind: Literal["new", "changed"] = "new" if published is None else "changed"
                changes.append(PersonChange(kind, person_id, payload.display_name, payload))
            elif published is not None:
                changes.append(PersonChange("removed", person_id, None, None))
        return Draft(tuple(changes), tuple(without), tuple(unchanged))

    def lost(self) -> frozenset[str]:
        """Who is published, and is not here though nobody has removed them."""
        return frozenset(self.ledger.published()) - self._there() - {*self.ledger.touched()}

    def check(self) -> None:
        """Raise GalleryError when this is not the gallery that was published from, but an older
        copy, say: it would erase who was enrolled since, and bring back who was removed since."""
        lost = self.lost()
        back = self._there() - {*self.ledger.published(), *self.ledger.touched()}
        if not lost and not back:
            return
        told = [f"{_some(lost)} published and not in it"] if lost else []
        told += [f"{_some(back)} in it and not published"] if back else []
        raise GalleryError(
            f"{self.store.path}: not the gallery that was published from, but an older copy, or "
            f"another: {'; '.join(told)}. Nothing was sent; {WAY_OUT}. If there is none: `edgeface "
            "fleet remove ID` for each of them who is to be on no device, `edgeface fleet enroll "
            "--id ID` for each other"
        )

    def _there(self) -> frozenset[str]:
        with self.store.reading() as connection:
            rows = connection.execute("SELECT DISTINCT person_id FROM templates")
            return frozenset(str(row[0]) for row in rows)

    def payload(self, person_id: str) -> Payload | None:
        """What is to be published of somebody; None when there is no such person."""
        try:
            person = self.store.person(person_id)
            if person is None:
                return None
            templates = {
                space: self.store.templates(person_id, space)
                for space in self.store.spaces(person_id)
            }
        except DamagedRowError as error:
            raise GalleryError(
                f"{error}; restore gallery.sqlite from a copy, or remove {person_id} and enroll "
                "the person again"
            ) from error
        if len(templates) > MAX_SPACES:
            raise GalleryError(
                f"{person_id}: templates of {len(templates)} models, at most {MAX_SPACES} can be "
                "published; drop one with `edgeface fleet spaces --forget SPACE`"
            )
        return payload_of(person, templates)


@contextmanager
def _damage_told() -> Iterator[None]:
    """Damage is met when the file is opened, or later when a page is read; the way out is one."""
    try:
        yield
    except GalleryCorruptError as error:
        raise GalleryCorruptError(f"{error}; {WAY_OUT}") from error


def _some(people: frozenset[str]) -> str:
    """`2 people (p_..., p_...) are`"""
    named = ", ".join(sorted(people)[:_NAMED]) + ", ..." * (len(people) > _NAMED)
    return f"{counted_people(len(people))} ({named}) {'is' if len(people) == 1 else 'are'}"


def content_digest(payload: Payload) -> bytes:
    """Tells whether somebody is published as the master has them."""
    return hashlib.sha256(encode_payload(payload)).digest()


def make_site(path: Path, site_yaml: bytes, passphrase: bytes) -> tuple[SiteFolder, KeySet]:
    """A new site: folder, settings, keys, empty gallery and ledger.

    `site_yaml` is the content of the settings file. Raises SettingsError, NamedFileError
    (passphrase) or StateError (there is a site already).
    """
    write_file(path / SITE_FILE, site_yaml, PUBLIC)
    try:
        folder = SiteFolder.open(path)
        keys = make_keys(folder.keys, passphrase)
        ensure_sealing_key(folder.sealing_key)
    except BaseException:
        (path / SITE_FILE).unlink()
        raise
    GalleryStore(folder.gallery_file, load_key(folder.gallery_key, create=True)).close()
    Ledger.create(folder.ledger_file, keys).close()
    return folder, keys
