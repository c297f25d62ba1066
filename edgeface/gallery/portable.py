"""A gallery as one file: JSON lines with a checksum, encrypted or plain.

Line 1 is the header, then one line a person, then the trailer with the number of people and the
sha256 of all bytes before it. In an encrypted file the persons' lines are sealed, bound to this
export, and so is the checksum: no line can be changed, exchanged, added or left out.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import io
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from edgeface.base.errors import GalleryError, NamedFileError, StateError
from edgeface.base.files import drafted, opened
from edgeface.base.ids import check_person_id
from edgeface.gallery.cipher import DamagedRowError, RowCipher
from edgeface.gallery.person import (
    Person,
    StoredTemplate,
    make_template,
    person_from_mapping,
    person_to_mapping,
)
from edgeface.gallery.store import GalleryStore

FORMAT: Final = "edgeface-gallery"
VERSION: Final = 1
_MAX_LINE_BYTES: Final = 1 << 20
_NO_JSON: Final = "no JSON object"
_NO_EXPORT: Final = "not an export of an edgeface gallery, as `edgeface gallery export` writes it"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    people: int
    templates: int
    left_out: tuple[str, ...]
    """Ids of people without templates in the space."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was taken over."""

    added: int
    replaced: int
    templates: int


def export_gallery(
    store: GalleryStore, space: str, path: Path, key: bytes | None, now: datetime | None = None
) -> ExportReport:
    """Write everyone with templates in `space` to `path` (mode 0600, whole or not at all).

    Sealed under `key`, or plain without one. Raises StateError when it cannot be written and
    DamagedRowError when a stored row does not open: an export is complete or fails.
    """
    cipher = RowCipher(key)
    export = secrets.token_hex(16)
    people = templates = 0
    left_out: list[str] = []
    digest = hashlib.sha256()
    try:
        with drafted(path, replace=True) as file:

            def write(line: dict[str, Any]) -> None:
                content = _dump(line)
                digest.update(content)
                file.write(content)

            write(_header(space, export, now or datetime.now(UTC), encrypted=cipher.encrypts))
            for person_id in store.ids():
                person, items = store.person(person_id), store.templates(person_id, space)
                if person is None:
                    continue
                if not items:
                    left_out.append(person_id)
                    continue
                write(_seal_line(cipher, person_id, _body(person, items), space, export))
                people, templates = people + 1, templates + len(items)
            checksum = digest.hexdigest()
            trailer: dict[str, Any] = {"end": True, "people": people, "sha256": checksum}
            if cipher.encrypts:
                trailer["sealed"] = _text(cipher.seal(checksum.encode(), "export end", export))
            file.write(_dump(trailer))
    except OSError as error:
        if isinstance(error, StateError):
            raise
        raise StateError(f"{path}: cannot write the export: {error.strerror}") from error
    return ExportReport(people, templates, tuple(left_out))


def export_one(
    person: Person, templates: Sequence[StoredTemplate], space: str, now: datetime
) -> bytes:
    """A plain export of one person, in memory: what `import_gallery` reads from a file."""
    content = _dump(_header(space, secrets.token_hex(16), now, encrypted=False))
    content += _dump({"person_id": person.person_id, **_body(person, templates)})
    digest = hashlib.sha256(content).hexdigest()
    return content + _dump({"end": True, "people": 1, "sha256": digest})


def import_gallery(
    store: GalleryStore,
    space: str,
    path: Path,
    key: bytes | None,
    *,
    replace: bool = False,
    name: str | None = None,
    check: Callable[[set[str]], None] = lambda _: None,
) -> ImportReport:
    """Take over everyone in the file, or nobody.

    Refuses templates of another space, and people who are in the gallery already unless `replace`.
    `name` is the display name of the only person in the file; `check` looks at the store when it
    has them, is told their ids, and may refuse them (GalleryError). Raises GalleryError as
    `path:line: what is wrong`.
    """
    reading = _Reading(path, space, key)
    taken: set[str] = set()
    replaced = templates = 0
    try:
        with opened(path) as file, store.change() as change:
            with reading.located():
                for person, items in reading.people(file):
                    known = person.person_id in store
                    if known and not replace:
                        raise GalleryError(
                            f"{person.person_id} is in the gallery already (--replace overwrites "
                            "it)"
                        )
                    if name is not None:
                        person = dataclasses.replace(person, display_name=name)
                    change.put_person(person)
                    change.put_templates(person.person_id, space, items)
                    taken.add(person.person_id)
                    replaced, templates = replaced + known, templates + len(items)
            if name is not None and len(taken) != 1:
                raise GalleryError(
                    f"{path}: --name is for a file of one person, this one has {len(taken)}; "
                    "nothing was imported"
                )
            check(taken)
    except OSError as error:
        if isinstance(error, StateError):
            raise
        raise NamedFileError(f"{path}: cannot read the export: {error.strerror}") from error
    return ImportReport(len(taken) - replaced, replaced, templates)


def read_one(content: bytes, source: str, space: str) -> tuple[Person, tuple[StoredTemplate, ...]]:
    """What `export_one` wrote, from memory.

    Raises GalleryError as `source:line: what is wrong`, also for templates of another space.
    """
    reading = _Reading(Path(source), space, None)
    with reading.located():
        found = list(reading.people(io.BytesIO(content)))
    if len(found) != 1:
        raise GalleryError(f"{source}: {len(found)} people instead of one")
    return found[0]


class _Reading:
    """The reading of one file."""

    def __init__(self, path: Path, space: str, key: bytes | None) -> None:
        self._path, self._space, self._key = path, space, key
        self._line = 0
        self._export = ""
        self._cipher = RowCipher(None)
        self._seen: set[str] = set()

    @contextmanager
    def located(self) -> Iterator[None]:
        """Errors within name file and line."""
        try:
            yield
        except (GalleryError, OverflowError, RecursionError) as error:
            raise GalleryError(
                f"{self._path}:{self._line}: {error}; nothing was imported"
            ) from error

    def people(self, file: BinaryIO) -> Iterator[tuple[Person, tuple[StoredTemplate, ...]]]:
        """Everyone in it; what is wrong with the file as a whole may show only at its end."""
        digest = hashlib.sha256()
        ended = False
        while content := file.readline(_MAX_LINE_BYTES + 1):
            self._line += 1
            if ended:
                raise GalleryError("there is more after the end of the export")
            line = _parse(content, _NO_EXPORT if self._line == 1 else _NO_JSON)
            if self._line == 1:
                self._header(line)
            elif line.get("end") is True:
                self._trailer(line, digest.hexdigest())
                ended = True
            else:
                yield self._person(line)
            digest.update(content)
        if not ended:
            self._line += 1
            raise GalleryError("the file is cut off: its last line is missing")

    def _header(self, line: dict[str, Any]) -> None:
        if line.get("format") != FORMAT:
            raise GalleryError(_NO_EXPORT)
        if line.get("version") != VERSION:
            raise GalleryError(f"version {line.get('version')!r} of the format is not known")
        if line.get("space") != self._space:
            raise GalleryError(
                f"the templates are of another model (space {str(line.get('space'))[:12]}…, the "
                f"model in use has {self._space[:12]}…) and cannot be compared; enroll these "
                "people again from photographs"
            )
        if line.get("encrypted") is True:
            if self._key is None:
                raise GalleryError("the file is encrypted; name the key with --key-file")
            self._cipher = RowCipher(self._key)
        self._export = str(line.get("export"))

    def _person(self, line: dict[str, Any]) -> tuple[Person, tuple[StoredTemplate, ...]]:
        person_id = check_person_id(str(line.get("person_id")))
        if person_id in self._seen:
            raise GalleryError(f"{person_id} appears twice")
        self._seen.add(person_id)
        body = self._open_line(person_id, line)
        person = person_from_mapping(person_id, body)
        entries = body.get("templates")
        if not isinstance(entries, list) or not entries:
            raise GalleryError(f"{person_id} has no templates")
        return person, tuple(_from_json(entry) for entry in entries)

    def _open_line(self, person_id: str, line: dict[str, Any]) -> dict[str, Any]:
        if not self._cipher.encrypts:
            return line
        sealed = _bytes(line.get("sealed"), "sealed")
        try:
            plain = self._cipher.open(sealed, "export", person_id, self._space, self._export)
        except DamagedRowError:
            raise GalleryError("it was changed, or sealed under another key (--key-file)") from None
        return _parse(plain)

    def _trailer(self, line: dict[str, Any], checksum: str) -> None:
        if line.get("sha256") != checksum:
            raise GalleryError("the checksum does not fit: the file was changed or damaged")
        if line.get("people") != len(self._seen):
            raise GalleryError(f"{len(self._seen)} people instead of {line.get('people')!r}")
        if self._cipher.encrypts:
            sealed = _bytes(line.get("sealed"), "sealed")
            try:
                sealed_sum = self._cipher.open(sealed, "export end", self._export)
            except DamagedRowError:
                sealed_sum = b""
            if sealed_sum != checksum.encode():
                raise GalleryError("the sealed checksum does not fit: the file was changed")


def _header(space: str, export: str, now: datetime, *, encrypted: bool) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "space": space,
        "encrypted": encrypted,
        "export": export,
        "created": now.isoformat(timespec="seconds"),
    }


def _body(person: Person, templates: Sequence[StoredTemplate]) -> dict[str, Any]:
    return {**person_to_mapping(person), "templates": [_to_json(item) for item in templates]}


def _seal_line(
    cipher: RowCipher, person_id: str, body: dict[str, Any], space: str, export: str
) -> dict[str, Any]:
    if not cipher.encrypts:
        return {"person_id": person_id, **body}
    sealed = cipher.seal(_dump(body), "export", person_id, space, export)
    return {"person_id": person_id, "sealed": _text(sealed)}


def _parse(content: bytes, otherwise: str = _NO_JSON) -> dict[str, Any]:
    if len(content) > _MAX_LINE_BYTES:
        raise GalleryError(f"the line is longer than {_MAX_LINE_BYTES} bytes")
    try:
        line = json.loads(content)
    except ValueError as error:
        raise GalleryError(otherwise) from error
    if not isinstance(line, dict):
        raise GalleryError(otherwise)
    return line


def _to_json(item: StoredTemplate) -> dict[str, Any]:
    return {
        "codes": _text(item.template.codes.tobytes()),
        "scale": float(item.template.scale),
        "quality": item.quality,
        "created_s": item.created_s,
    }


def _from_json(entry: object) -> StoredTemplate:
    if not isinstance(entry, dict):
        raise GalleryError("a template is no JSON object")
    numbers = [entry.get(name) for name in ("scale", "quality", "created_s")]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise GalleryError("a template lacks one of the numbers scale, quality, created_s")
    codes = np.frombuffer(_bytes(entry.get("codes"), "codes"), dtype=np.int8)
    scale, quality, created_s = (float(n) for n in numbers if n is not None)
    return make_template(codes, scale, quality, created_s)


def _bytes(text: object, name: str) -> bytes:
    if not isinstance(text, str):
        raise GalleryError(f"{name} is missing")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise GalleryError(f"{name} is not base64") from None


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _dump(line: dict[str, Any]) -> bytes:
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"
