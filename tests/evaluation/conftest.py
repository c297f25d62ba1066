"""Pictures of "people" that the small whole models can tell apart."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.support.patterned_people import picture, png

PEOPLE = 8
PICTURES = 3


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of `PEOPLE` x `PICTURES` pictures `NN/frontal/N.png`; one has no face."""
    path = tmp_path_factory.mktemp("people") / "people.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for person in range(PEOPLE):
            for number in range(PICTURES):
                found = (person, number) != (PEOPLE - 1, PICTURES - 1)
                data = png(picture(person, number, face=found))
                archive.writestr(f"{person:02d}/frontal/{number}.png", data)
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds over the people: every same-person pair, and as many of neighbors."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    rows = ["fold,a,b,same"]
    for person in range(PEOPLE):
        fold, other = person % 2 + 1, (person + 2) % PEOPLE
        for a, b in ((0, 1), (0, 2), (1, 2)):
            name = f"{person:02d}/frontal/{a}.png"
            rows.append(f"{fold},{name},{person:02d}/frontal/{b}.png,1")
            rows.append(f"{fold},{name},{other:02d}/frontal/{b}.png,0")
    path.write_text("\n".join(rows) + "\n")
    return path
