"""A model package: a folder whose files are used only while they are what `model.yaml` says."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.base.files import read_file
from edgeface.inference.description import (
    COMPILED_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    Description,
    EmbedderDescription,
    Preprocessing,
    parse_description,
)
from edgeface.inference.named_shares import NamedShares
from edgeface.recognition.thresholds import Calibration
from edgeface.settings.places import shipped_models

DESCRIPTION_FILE = "model.yaml"
MODEL_BYTES: Final = 128 << 20
"""A larger file is not for a device of this kind."""
DESCRIPTION_BYTES: Final = 1 << 20
_COMPILED_MARK = b"edgetpu-custom-op"


def space_id(model_sha256: str, preprocessing: Preprocessing, alignment: str) -> str:
    """Identity of an embedding space (templates of two spaces are never compared, docs/models.md).

    sha256, as hex, over the canonical JSON (sorted keys, no blanks) of the sha256 of
    `model.tflite`, the preprocessing and what the description calls `alignment_id`. A compiled
    `model_edgetpu.tflite` inherits it.
    """
    identity = {
        "alignment": alignment,
        "model": model_sha256,
        "preprocessing": preprocessing.canonical(),
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package whose files were all checked. Made by `load_package`."""

    folder: Path
    description: Description

    @property
    def name(self) -> str:
        """The model's name."""
        return self.description.name

    @property
    def sha256(self) -> str:
        """Of `model.tflite`, hex."""
        return self.description.files[MODEL_FILE]

    @property
    def compiled(self) -> bool:
        """Whether there is a file for the Edge TPU."""
        return COMPILED_FILE in self.description.files

    @property
    def space_id(self) -> str:
        """Id of the embedding space. Raises ModelError for another task."""
        return self._embedder("an embedding space").space_id

    @property
    def calibrated(self) -> bool:
        """Whether it has a calibration; a detector never has."""
        return getattr(self.description, "calibration", None) is not None

    @property
    def dimensions(self) -> int:
        """How many numbers an embedding has. Raises ModelError for another task."""
        return self._embedder("an embedding space").output.dimensions

    @property
    def calibration(self) -> Calibration:
        """What thresholds are read from. Raises ModelError where there is none, or a broken one."""
        table = self._embedder("a calibration").calibration
        source = self.folder / DESCRIPTION_FILE
        if table is None:
            raise ModelError(f"{source}: calibration: missing, so no threshold can be set")
        try:
            return Calibration.from_mapping(table)
        except ModelError as error:
            raise ModelError(f"{source}: {error}") from error

    @property
    def identification(self) -> NamedShares | None:
        """How many of a gallery were named; None where it was not measured. Raises ModelError for a
        detector."""
        return self._embedder("an identification table").identification

    def read(self, file: str) -> bytes:
        """Content of a listed file.

        Raises ModelError when it is missing, not listed, or differs from its sha256: the bytes that
        are used are the bytes that were checked.
        """
        path = self.folder / file
        expected = self.description.files.get(file)
        if expected is None:
            raise ModelError(f"{path}: not listed under files in {DESCRIPTION_FILE}")
        try:
            content = read_file(path, MODEL_BYTES)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
        actual = hashlib.sha256(content).hexdigest()
        if actual != expected:
            raise ModelError(
                f"{path}: differs from {DESCRIPTION_FILE}: sha256 {actual}, not {expected}"
            )
        return content

    def golden(self) -> dict[str, NDArray[Any]]:
        """The arrays of `golden.npz`. Raises ModelError when it is not a plain npz file."""
        content = self.read(GOLDEN_FILE)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ModelError(f"{self.folder / GOLDEN_FILE}: not an npz file: {error}") from error

    def _embedder(self, what: str) -> EmbedderDescription:
        if not isinstance(self.description, EmbedderDescription):
            raise ModelError(f"{self.folder}: {self.description.task} has not got {what}")
        return self.description


def load_package(path: Path | str) -> ModelPackage:
    """Read and check a model package.

    Raises ModelError naming file and field: no such folder, a `model.yaml` with faults, a file that
    is missing or differs from its sha256, an unlisted or uncompiled `model_edgetpu.tflite`, a space
    id that does not follow from the files.
    """
    folder = Path(path)
    source = folder / DESCRIPTION_FILE
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: no such model package (a folder with {DESCRIPTION_FILE}); a name alone is "
            "one of `edgeface models list`, a folder is written as a path: ./NAME"
        )
    try:
        text = read_file(source, DESCRIPTION_BYTES).decode("utf-8")
    except OSError as error:
        raise ModelError(f"{source}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{source}: cannot be read: {error}") from error
    package = ModelPackage(folder, parse_description(text, source))
    for file in package.description.files:
        package.read(file)
    if package.compiled and _COMPILED_MARK not in package.read(COMPILED_FILE):
        # Such a file would run on the CPU without a word, delegate or not.
        raise ModelError(f"{folder / COMPILED_FILE}: not compiled for the Edge TPU")
    if not package.compiled and (folder / COMPILED_FILE).exists():
        raise ModelError(f"{folder / COMPILED_FILE}: not listed under files in {source}")
    if isinstance(package.description, EmbedderDescription):
        description = package.description
        expected = space_id(package.sha256, description.input, description.alignment_id)
        if description.space_id != expected:
            raise ModelError(f"{source}: space_id: should be {expected}")
    return package


def packages_in(folder: Path) -> tuple[Path, ...]:
    """Package folders directly in `folder`, by name; `folder` itself when it is one."""
    if (folder / DESCRIPTION_FILE).is_file():
        return (folder,)
    return tuple(sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION_FILE}")))


def find_package(name: Path | str) -> Path:
    """The package folder that is meant: a path, or the bare name of a model that ships."""
    path = Path(name)
    if path.is_dir() or path.name != str(name):
        return path
    return shipped_models() / path
