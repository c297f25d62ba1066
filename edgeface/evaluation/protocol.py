"""Verification protocols: pairs of pictures in folds, read from LFW's `pairs.txt` or a CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EvaluationError
from edgeface.base.files import TEXT_FILE_BYTES, read_file

CSV_HEADER = ("fold", "a", "b", "same")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures and whether they show one person."""

    fold: int
    a: str
    """Name of the picture under the protocol's root, with `/`."""
    b: str
    same: bool


@dataclass(frozen=True, slots=True)
class Protocol:
    """All pairs of a protocol with its unique pictures and the people they show."""

    pairs: tuple[Pair, ...]
    pictures: tuple[str, ...]
    """Every picture once, in order of first use."""
    people: tuple[str, ...]
    """Names of the subjects."""
    subject_of: tuple[int, ...]
    """For each picture the position of its subject in `people`."""
    identities_known: bool
    """False when subjects were only inferred from the pairs marked as the same person, so that
    two of them may still be one: then cross-person pairs cannot be made up beyond the protocol."""

    @property
    def a(self) -> NDArray[np.int32]:
        """int32 `(pairs,)`: the first picture of each pair as a position in `pictures`."""
        return self._positions([pair.a for pair in self.pairs])

    @property
    def b(self) -> NDArray[np.int32]:
        """int32 `(pairs,)`: the second picture of each pair."""
        return self._positions([pair.b for pair in self.pairs])

    @property
    def same(self) -> NDArray[np.bool_]:
        """bool `(pairs,)`."""
        return np.array([pair.same for pair in self.pairs], dtype=np.bool_)

    @property
    def folds(self) -> NDArray[np.int32]:
        """int32 `(pairs,)`."""
        return np.array([pair.fold for pair in self.pairs], dtype=np.int32)

    @property
    def subjects(self) -> NDArray[np.int32]:
        """int32 `(pictures,)`."""
        return np.array(self.subject_of, dtype=np.int32)

    def part(self, folds: Iterable[int]) -> Protocol:
        """The protocol restricted to these folds. Raises EvaluationError if nothing is left."""
        wanted = set(folds)
        kept = [pair for pair in self.pairs if pair.fold in wanted]
        if not kept:
            raise EvaluationError(f"no pair is in the folds {sorted(wanted)}")
        names = dict(zip(self.pictures, (self.people[i] for i in self.subject_of), strict=True))
        return _assemble(kept, names, known=self.identities_known)

    def _positions(self, names: Sequence[str]) -> NDArray[np.int32]:
        place = {name: index for index, name in enumerate(self.pictures)}
        return np.array([place[name] for name in names], dtype=np.int32)


def read_protocol(path: Path) -> Protocol:
    """Read LFW's `pairs.txt` (`name n1 n2` and `name1 n1 name2 n2`) or a CSV `fold,a,b,same`.

    LFW's form: the first line has the number of sets and of pairs of each kind in a set (or only
    the latter, as in `pairsDevTest.txt`: one set); picture n of `name` is
    `name/name_000n.jpg` (Huang et al., Labeled Faces in the Wild, 2007, README).

    In a CSV a person is the first folder of a picture's name. Where that contradicts a pair,
    persons are what the pairs marked `same` join.

    Raises EvaluationError naming the file and line.
    """
    try:
        text = read_file(path, TEXT_FILE_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path}: cannot be read: {error}") from error
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if tuple(part.strip() for part in first.split(",")) == CSV_HEADER:
        return _read_csv(path, lines)
    if first and all(part.isdigit() for part in first.split()):
        return _read_lfw(path, lines)
    raise EvaluationError(
        f"{path}: neither a CSV with the header {','.join(CSV_HEADER)} nor an LFW pairs file"
    )


def _read_csv(path: Path, lines: Sequence[str]) -> Protocol:
    pairs: list[Pair] = []
    reader = csv.DictReader(lines)
    for row in reader:
        where = f"{path}:{reader.line_num}"
        fold, a, b, same = (str(row.get(key) or "").strip() for key in CSV_HEADER)
        if not fold.isdigit() or same not in {"0", "1"} or not a or not b:
            raise EvaluationError(f"{where}: expected fold,a,b,same with same 0 or 1")
        pairs.append(Pair(int(fold), a, b, same == "1"))
    if not pairs:
        raise EvaluationError(f"{path}: has no pairs")
    by_folder = {name: name.split("/", 1)[0] for pair in pairs for name in (pair.a, pair.b)}
    nested = all("/" in name for name in by_folder)
    if nested and all((by_folder[pair.a] == by_folder[pair.b]) == pair.same for pair in pairs):
        return _assemble(pairs, by_folder, known=True)
    return _assemble(pairs, _joined(pairs), known=False)


def _read_lfw(path: Path, lines: Sequence[str]) -> Protocol:
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    header = [int(part) for part in rows[0][1]]
    if len(header) not in (1, 2) or min(header) < 1:
        raise EvaluationError(f"{path}:{rows[0][0]}: expected `sets pairs` or `pairs`")
    sets, per_kind = (1, header[0]) if len(header) == 1 else (header[0], header[1])
    if len(rows) - 1 != sets * per_kind * 2:
        raise EvaluationError(
            f"{path}: the first line promises {sets * per_kind * 2} pairs, {len(rows) - 1} follow"
        )
    pairs: list[Pair] = []
    people: dict[str, str] = {}
    for position, (number, parts) in enumerate(rows[1:]):
        fold, genuine = position // (2 * per_kind) + 1, position % (2 * per_kind) < per_kind
        try:
            if genuine:
                name, first, second = parts
                a, b = _lfw_picture(name, first), _lfw_picture(name, second)
                people[a] = people[b] = name
            else:
                name, first, other, second = parts
                a, b = _lfw_picture(name, first), _lfw_picture(other, second)
                people[a], people[b] = name, other
        except ValueError as error:
            form = "name n1 n2" if genuine else "name1 n1 name2 n2"
            raise EvaluationError(f"{path}:{number}: expected `{form}`") from error
        pairs.append(Pair(fold, a, b, genuine))
    return _assemble(pairs, people, known=True)


def _lfw_picture(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"


def _joined(pairs: Sequence[Pair]) -> dict[str, str]:
    """Persons as the connected groups of the pairs marked as the same."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for pair in pairs:
        a, b = root(pair.a), root(pair.b)
        if pair.same:
            parent[b] = a
    return {name: root(name) for name in list(parent)}


def _assemble(pairs: Sequence[Pair], person_of: dict[str, str], *, known: bool) -> Protocol:
    pictures = tuple(dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b)))
    people = tuple(dict.fromkeys(person_of[name] for name in pictures))
    place = {person: index for index, person in enumerate(people)}
    subjects = tuple(place[person_of[name]] for name in pictures)
    return Protocol(tuple(pairs), pictures, people, subjects, known)
