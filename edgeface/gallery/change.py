"""What may be done within one transaction of the gallery."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from edgeface.base.errors import GalleryError
from edgeface.gallery.cipher import RowCipher
from edgeface.gallery.person import (
    MAX_TEMPLATES,
    Person,
    StoredTemplate,
    encode_person,
    encode_templates,
)


class Change:
    """Made by `GalleryStore.change()`; unusable after its block has ended."""

    def __init__(self, connection: sqlite3.Connection, cipher: RowCipher) -> None:
        self._connection = connection
        self._cipher = cipher
        self._touched = False
        self._position: tuple[int, int] | None = None
        self.erased = False
        """Whether anything was deleted or overwritten."""

    def put_person(self, person: Person) -> None:
        """Insert the person, or overwrite what is stored except the templates."""
        known = self._knows(person.person_id)
        body = self._cipher.seal(encode_person(person), "people", person.person_id)
        self._connection.execute(
            "INSERT INTO people VALUES (?, ?)"
            " ON CONFLICT (person_id) DO UPDATE SET body = excluded.body",
            (person.person_id, body),
        )
        self._note(erased=known)

    def put_templates(
        self, person_id: str, space: str, templates: Iterable[StoredTemplate]
    ) -> None:
        """Make these the person's templates in `space`, in place of what is there; none deletes.

        Raises GalleryError for an unknown person or too many templates.
        """
        items = list(templates)
        if len(items) > MAX_TEMPLATES:
            raise GalleryError(
                f"{person_id}: {len(items)} templates, but at most {MAX_TEMPLATES} in one space"
            )
        if not self._knows(person_id):
            raise GalleryError(f"{person_id}: no such person in the gallery")
        number = self._space_number(space)
        gone = self._connection.execute(
            "DELETE FROM templates WHERE person_id = ? AND space = ?", (person_id, number)
        ).rowcount
        if items:
            body = self._cipher.seal(encode_templates(items), "templates", person_id, space)
            self._connection.execute(
                "INSERT INTO templates VALUES (?, ?, ?, ?)", (person_id, number, len(items), body)
            )
        self._note(erased=gone > 0)

    def remove(self, person_id: str) -> bool:
        """Delete the person and all templates in all spaces; False when there is no such person.

        Works on rows that do not open, and on an id that is none any more.
        """
        for statement in (
            "DELETE FROM templates WHERE person_id = ?",
            "DELETE FROM people WHERE person_id = ?",
        ):
            gone = self._connection.execute(statement, (person_id,)).rowcount
        if gone:
            self._note(erased=True)
        return gone > 0

    def set_position(self, epoch: int, revision: int) -> None:
        """Take over the epoch and revision of a fleet manifest instead of counting."""
        self._position = (epoch, revision)
        self._touched = True

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement on tables that belong to another room (`fleet...`); the rows changed."""
        return self._connection.execute(statement, parameters).rowcount

    def finish(self) -> None:
        """Count the change; called by the store before it commits."""
        if self._position is not None:
            self._connection.execute(
                "UPDATE position SET epoch = ?, revision = ?, changes = changes + 1",
                self._position,
            )
        elif self._touched:
            self._connection.execute(
                "UPDATE position SET revision = revision + 1, changes = changes + 1"
            )

    def _knows(self, person_id: str) -> bool:
        query = "SELECT 1 FROM people WHERE person_id = ?"
        return self._connection.execute(query, (person_id,)).fetchone() is not None

    def _note(self, *, erased: bool) -> None:
        self._touched = True
        self.erased = self.erased or erased

    def _space_number(self, space: str) -> int:
        self._connection.execute("INSERT OR IGNORE INTO spaces (space) VALUES (?)", (space,))
        row = self._connection.execute(
            "SELECT number FROM spaces WHERE space = ?", (space,)
        ).fetchone()
        return int(row[0])
