"""Pictures under a folder or in a zip file, read without unpacking."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import Self, cast

import cv2
import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.recognition.values import Image

SUFFIXES = (".jpg", ".jpeg", ".png")


class PictureRoot:
    """Read access to the pictures of a data set, by name with `/`.

    A zip whose members all lie in one top folder is read with or without that folder's name. A
    name that ends in `.jpg` also finds the same picture as `.jpeg` or `.png`.
    """

    def __init__(self, path: Path) -> None:
        """Raises EvaluationError if `path` is neither a folder nor a zip file."""
        self._path = path
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

        Raises EvaluationError if there is no such picture or it cannot be decoded.
        """
        data = np.frombuffer(self._bytes(name), dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if image is None:
            where = f"{self._path}: {name}" if self._zip is not None else str(self._path / name)
            raise EvaluationError(f"{where}: not a picture that can be decoded")
        return cast(Image, image)

    def names(self, containing: str = "") -> list[str]:
        """Names of all pictures, sorted; only those with `containing` in them."""
        if self._zip is None:
            files = (file for file in self._path.rglob("*") if file.is_file())
            found = [file.relative_to(self._path).as_posix() for file in files]
        else:
            found = list(self._members)
        return sorted(n for n in found if n.lower().endswith(SUFFIXES) and containing in n)

    def close(self) -> None:
        """Release the zip file; safe to call twice."""
        if self._zip is not None:
            self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _bytes(self, name: str) -> bytes:
        for candidate in _spellings(name):
            if self._zip is None:
                file = self._path / candidate
                if file.is_file():
                    try:
                        return file.read_bytes()
                    except OSError as error:
                        raise EvaluationError(
                            f"{file}: cannot be read: {error.strerror}"
                        ) from error
                continue
            for member in (candidate, self._top + candidate):
                if member in self._members:
                    return self._zip.read(member)
        raise EvaluationError(f"{self._path}: has no picture {name}")


def _spellings(name: str) -> list[str]:
    path = PurePosixPath(name)
    if path.suffix.lower() not in SUFFIXES:
        return [name]
    return [name, *(str(path.with_suffix(s)) for s in SUFFIXES if s != path.suffix)]
