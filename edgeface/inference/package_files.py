"""Writes what a model package consists of beside its model: `model.yaml` and the golden run."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from edgeface.base.errors import StateError
from edgeface.base.files import read_file, try_file, write_file
from edgeface.inference.description import GOLDEN_FILE, MODEL_FILE
from edgeface.inference.package import (
    DESCRIPTION_BYTES,
    DESCRIPTION_FILE,
    MODEL_BYTES,
    load_package,
)

_MODE: Final = 0o644
_WIDTH: Final = 100


def file_sha256(path: Path) -> str:
    """Of a file's content, hex. Raises OSError."""
    return hashlib.sha256(read_file(path, MODEL_BYTES)).hexdigest()


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write `model.yaml` with the sha256 of model and golden run as they are now. Raises StateError
    or OSError."""
    files = {name: file_sha256(folder / name) for name in (MODEL_FILE, GOLDEN_FILE)}
    _write(folder, {**description, "files": files})


def write_golden(folder: Path, **arrays: Any) -> None:
    """Write `golden.npz`: `input`, and what the model gives for it. Raises StateError."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_file(folder / GOLDEN_FILE, buffer.getvalue(), _MODE, replace=True)


def write_calibration(
    folder: Path, calibration: Mapping[str, Any], identification: Mapping[str, Any] | None = None
) -> None:
    """Put an embedder's calibration into its `model.yaml`, and what share of people is named with
    it; everything else stays as it is, but for comments. Raises ModelError for what is no package,
    StateError or OSError."""
    load_package(folder)
    text = read_file(folder / DESCRIPTION_FILE, DESCRIPTION_BYTES).decode()
    description: dict[str, Any] = yaml.safe_load(text)
    description["calibration"] = _rounded(calibration)
    description.pop("identification", None)
    if identification is not None:
        description["identification"] = _rounded(identification)
    _write(folder, description)
    load_package(folder)


def check_writable(folder: Path) -> None:
    """Make sure, before long work, that the `model.yaml` of a package can be written. Raises
    ModelError for what is no package, StateError."""
    load_package(folder)
    try:
        try_file(folder / DESCRIPTION_FILE)
    except OSError as error:
        raise StateError(f"{folder / DESCRIPTION_FILE}: cannot write: {error.strerror}") from error


def _write(folder: Path, description: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(description), sort_keys=False, width=_WIDTH, allow_unicode=True)
    write_file(folder / DESCRIPTION_FILE, text.encode(), _MODE, replace=True)


def _rounded(value: Any) -> Any:
    """The same with floats of seven significant digits: more would only look exact."""
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value
