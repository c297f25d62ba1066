"""Pictures under a folder or in a zip file, read without unpacking."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final, Self

from edgeface.base.errors import EvaluationError, PictureError
from edgeface.capture.picture_file import (
    MAX_FILE_BYTES,
    PICTURES,
    READABLE,
    decode_picture,
    read_picture,
)
from edgeface.recognition.values import Image


class PictureRoot:
    """Read access to the pictures of a data set, by name with `/`.

    A zip whose members all lie in one top folder is read with or without that folder's name. A
    name that ends in `.jpg` also finds the same picture as `.jpeg` or `.png`. Below `Path()` any
    path is a name.
    """

    def __init__(self, path: Path) -> None:
        """Raises EvaluationError if `path` is neither a folder nor a zip file."""
        self.path: Final = path
        self._zip: zipfile.ZipFile | None = None
        self._members: frozenset[str] = frozenset()
        self._top = ""
        if path.is_dir():
            return
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise EvaluationError(f"{path}: neither a folder nor a zip file") from error
        self._members = frozenset(self._zip.namelist())
        tops = {PurePosixPath(name).parts[0] for name in self._members if not name.endswith("/")}
        if len(tops) == 1:
            self._top = tops.pop() + "/"

    def read(self, name: str) -> Image:
        """BGR uint8 `(h, w, 3)`.

        Raises PictureError if there is no such picture or it cannot be decoded.
        """
        for candidate in spellings(name):
            if self._zip is None:
                if (self.path / candidate).exists():
                    return read_picture(self.path / candidate)
                continue
            for member in (candidate, self._top + candidate):
                if member in self._members:
                    return decode_picture(self._unpacked(member), f"{self.path}: {member}")
        if self.path == Path():
            raise PictureError(f"{name}: no such file")
        folder = PurePosixPath(name).parent.as_posix()
        lacking = "" if folder == "." or self._has_folder(folder) else f", and no folder {folder}"
        raise PictureError(f"{self.path}: has no picture {name}{lacking}")

    def names(self, containing: str = "") -> list[str]:
        """Names of all pictures, sorted; only those with `containing` in them."""
        if self._zip is None:
            files = (file for file in self.path.rglob("*") if file.is_file())
            found = [file.relative_to(self.path).as_posix() for file in files]
        else:
            found = list(self._members)
        return sorted(n for n in found if n.lower().endswith(PICTURES) and containing in n)

    def plain_name(self, name: str) -> str:
        """The name without the one top folder of a zip, if it has one."""
        return name.removeprefix(self._top)

    def stamp(self, name: str) -> str:
        """Changes with the content of one of `names`: size and time of a file, size and CRC-32 of a
        member of a zip."""
        if self._zip is not None:
            member = self._zip.getinfo(name)
            return f"{member.file_size}-{member.CRC:08x}"
        status = (self.path / name).stat()
        return f"{status.st_size}-{status.st_mtime_ns}"

    def by_person(self, containing: str = "") -> dict[str, list[str]]:
        """The pictures in each folder at the top, and below it: one folder a person."""
        found: dict[str, list[str]] = {}
        for name in self.names(containing):
            parts = PurePosixPath(self.plain_name(name)).parts
            if len(parts) > 1:
                found.setdefault(parts[0], []).append(name)
        return found

    def close(self) -> None:
        """Release the zip file; safe to call twice."""
        if self._zip is not None:
            self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _has_folder(self, name: str) -> bool:
        if self._zip is None:
            return (self.path / name).is_dir()
        starts = (f"{name}/", f"{self._top}{name}/")
        return any(member.startswith(starts) for member in self._members)

    def _unpacked(self, member: str) -> bytes:
        assert self._zip is not None
        try:
            with self._zip.open(member) as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            # RuntimeError: it is encrypted, or packed in a way that zipfile does not know.
            raise PictureError(f"{self.path}: {member}: cannot be unpacked: {error}") from error
        if len(content) > MAX_FILE_BYTES:
            raise PictureError(f"{self.path}: {member}: larger than {MAX_FILE_BYTES >> 20} MiB")
        return content


def spellings(name: str) -> list[str]:
    """A picture's name, and the same with the other endings of `READABLE`."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in READABLE:
        return [name]
    return [name, *(str(path.with_suffix(s)) for s in READABLE if s != path.suffix)]
