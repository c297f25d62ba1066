"""Small whole models, and pictures of "people" that they can tell apart."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.packages import write_detector, write_embedder

PEOPLE = 8
PICTURES = 3


def picture(person: int, number: int, *, face: bool = True) -> NDArray[np.uint8]:
    """96x64 BGR. The person is a pattern in green; a red cell makes the small detector see it."""
    pattern = np.random.default_rng(person).integers(0, 256, (16, 24), np.uint8)
    noise = np.random.default_rng([person, number]).integers(-6, 7, (64, 96))
    image = np.full((64, 96, 3), 90, np.uint8)
    green = cv2.resize(pattern, (96, 64), interpolation=cv2.INTER_NEAREST).astype(np.int64)
    image[..., 1] = np.clip(green + noise, 0, 255)
    if face:
        image[24:32, 40:48] = (0, 0, 255)
    return image


def png(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture(scope="session")
def detector_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_detector(tmp_path_factory.mktemp("models") / "detector")


@pytest.fixture(scope="session")
def embedder_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedder(tmp_path_factory.mktemp("models") / "embedder")


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
    """Two folds over the people: every same-person pair, and as many of neighbours."""
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
