"""What several verbs have in common: options, and the way of those that measure."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeface.base.ending import leaving
from edgeface.base.errors import CameraError, EvaluationError, SettingsError, StateError
from edgeface.base.files import drafted, try_file
from edgeface.settings.loading import DEFAULT_FILE

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def add_config(parser: argparse.ArgumentParser) -> None:
    """`-c FILE`, the daemon's configuration."""
    parser.add_argument(
        "-c", "--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"{DEFAULT_FILE}"
    )


def add_people(parser: argparse.ArgumentParser) -> None:
    """`-c FILE` or `--gallery DIR`: whom a face is looked up among."""
    people = parser.add_mutually_exclusive_group()
    people.add_argument(
        "-c",
        "--config",
        type=Path,
        default=DEFAULT_FILE,
        metavar="FILE",
        help=f"the daemon's gallery, models and rules; default: {DEFAULT_FILE}",
    )
    people.add_argument(
        "--gallery",
        metavar="DIR",
        help="a folder with one folder for each person, enrolled in memory for this once",
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """`--detector` and `--embedder`, for what is measured on pictures."""
    parser.add_argument(
        "--detector",
        default="face_detector",
        metavar="PKG",
        help="model package, or yunet:FILE.onnx as a reference (default: the one that ships)",
    )
    parser.add_argument(
        "--embedder", default="facenet", metavar="PKG", help="model package (default: shipped)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def add_kind(
    kinds: Any,
    name: str,
    text: str,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    *,
    aliases: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """A kind of measurement: `measure` makes what `--json` prints, `show` says it in words."""
    kind: argparse.ArgumentParser = kinds.add_parser(
        name, help=text, description=text, aliases=aliases
    )
    kind.set_defaults(run=run_measurement, measure=measure, show=show)
    return kind


def run_measurement(args: argparse.Namespace) -> int:
    """Measure and print; the measurement's `status`, or 0."""
    with leaving():  # what it has started and written goes with it
        measured: dict[str, Any] = args.measure(args)
    if args.json:
        print(json.dumps(measured))
    else:
        args.show(measured)
    status: int = measured.get("status", 0)
    return status


@contextmanager
def given_files() -> Iterator[None]:
    """Frames come from files of the command line here: what is wrong with one is no camera's fault.
    Raises EvaluationError for a CameraError."""
    try:
        yield
    except CameraError as error:
        raise EvaluationError(str(error)) from error


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is a number of things."""

    def count(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value

    return count


def between(least: float, most: float = math.inf) -> Callable[[str], float]:
    """The type of an argument that is a measure; neither NaN nor infinite."""

    def measure(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is not a number") from None
        if not least <= value <= most or math.isinf(value):
            bounds = f"at least {least:g}" if math.isinf(most) else f"from {least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"{text} is not {bounds}")
        return value

    return measure


def output_file(text: str) -> Path:
    """The type of an argument that names a file to be written, looked at before the work."""
    path = Path(text)
    try:
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{path} is a folder, not a file to write")
        if path.exists() and not path.is_file():
            return path  # a device or a pipe is written to, not replaced
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"{path.parent} is not a folder")
        try_file(path)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def output_named(*suffixes: str) -> Callable[[str], Path]:
    """The type of an argument that names a file of this kind to be written: a table in the place of
    a photograph, or a page in that of a list, would be the loss of it."""

    def named(text: str) -> Path:
        path = output_file(text)
        if path.suffix.lower() not in suffixes and (path.is_file() or not path.exists()):
            raise argparse.ArgumentTypeError(
                f"{path}: a name that ends in {' or '.join(suffixes)} is taken"
            )
        return path

    return named


def output_picture(text: str) -> Path:
    """The type of an argument that names a picture to be written."""
    path = output_file(text)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{path}: a name that ends in .png or .jpg is taken")
    return path


def not_over(output: Path | None, inputs: Iterable[str | Path]) -> None:
    """Raise SettingsError where `output` is one of `inputs`, which would be lost."""
    if output is None or not output.is_file():
        return
    for path in map(Path, inputs):
        if path.exists() and output.samefile(path):
            raise SettingsError(f"{output}: is looked at itself; write to another name")


def output_folder(text: str | Path) -> Path:
    """The type of an argument that names a folder in which files will be made."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is not a folder")
    try:
        try_file(path / "output")
    except OSError as error:
        text = f"{path}: nothing can be written there: {error.strerror}"
        raise argparse.ArgumentTypeError(text) from error
    return path


def write_private(path: Path, content: bytes) -> None:
    """A file that its owner alone may read; also where there is one that others may read until now,
    where a link points to, and to a device or pipe. Raises StateError."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        with drafted(Path(os.path.realpath(path)), replace=True) as file:
            file.write(content)
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror}") from error
