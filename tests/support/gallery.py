"""People, templates and small stand-ins for the models, for tests around the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.gallery.person import Person, StoredTemplate
from edgeface.gallery.store import GalleryStore
from edgeface.inference.named_shares import NamedShares
from edgeface.recognition.alignment import ARCFACE
from edgeface.recognition.templates import encode_template
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import Box, Embedding, Face, Image
from tests.support.packages import NAMED

SPACE = "5" * 64
OTHER_SPACE = "6" * 64
KEY = bytes(range(32))
ALICE, BOB, CAROL = "p_a11ce00000", "p_b0b0000000", "p_car0100000"

CALIBRATION = Calibration(
    scores=(0.0, 0.1, 0.2),
    survival=(0.5, 0.1, 0.01),
    tail_start=0.2,
    tail_rate=0.01,
    tail_shape=0.0,
    tail_scale=0.03,
    smallest_fmr=1e-6,
)


def direction(number: int, dimensions: int = 128) -> Embedding:
    """A unit vector of its own for each number; two of them are nearly orthogonal."""
    vector = np.random.default_rng(number).standard_normal(dimensions)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def near(embedding: Embedding, cosine: float, number: int = 999) -> Embedding:
    """A unit vector at exactly this cosine to `embedding`."""
    aside = direction(number)
    aside = aside - embedding * float(aside @ embedding)
    aside /= np.linalg.norm(aside)
    return np.asarray(cosine * embedding + np.sqrt(1 - cosine**2) * aside, np.float32)


def stored(embedding: Embedding) -> StoredTemplate:
    return StoredTemplate(encode_template(embedding), quality=0.75, created_s=1_700_000_000.0)


def put(store: GalleryStore, person_id: str, *numbers: int, name: str | None = None) -> None:
    """One person with the templates `direction(number)`."""
    with store.change() as change:
        change.put_person(Person(person_id, name, created_s=1_700_000_000.0))
        change.put_templates(person_id, SPACE, [stored(direction(n)) for n in numbers])


def paint(image: Image, box: tuple[int, int, int, int], identity: int = 0, look: int = 0) -> None:
    """Draw what `PaintedDetector` and `PaintedEmbedder` take for the face of `identity` (0 to 5):
    texture that is greener than red, and the bluer the higher the identity. `look` (0 or 1) tells
    two pictures of one person apart."""
    left, top, right, bottom = box
    noise = np.random.default_rng(7).integers(20, 110, (bottom - top, right - left), np.int16)
    patch = np.stack([noise + 20 * identity + 6 * look, noise + 100, noise], axis=2)
    image[top:bottom, left:right] = np.clip(patch, 0, 255).astype(np.uint8)


def picture(width: int, height: int, *faces: tuple[int, int, int, int]) -> Image:
    """Gray, with painted faces of identity 0."""
    image = np.full((height, width, 3), 127, np.uint8)
    for box in faces:
        paint(image, box)
    return image


def portrait(identity: int, size: int = 400, look: int = 0) -> Image:
    """A painted face in the middle."""
    image = np.full((size, size, 3), 127, np.uint8)
    paint(image, (size // 4, size // 4, size - size // 4, size - size // 4), identity, look)
    return image


class PaintedDetector:
    """Finds painted faces, and like a real detector for doors none that is tiny or fills all."""

    def __init__(self, smallest: float = 0.08, largest: float = 0.7) -> None:
        self.smallest, self.largest = smallest, largest
        self.sizes: list[tuple[int, int]] = []
        """Width and height of every picture it was shown."""

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        height, width = image_bgr.shape[:2]
        self.sizes.append((width, height))
        channels = image_bgr.astype(np.int16)
        mask = ((channels[..., 1] - channels[..., 2]) > 60).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        faces = []
        for left, top, w, h, area in stats[1:count].tolist():
            share = max(w / width, h / height)
            if area > 50 and self.smallest <= share <= self.largest:
                box = Box(left, top, left + w, top + h)
                faces.append(Face(box, landmarks_in(box), score=0.9))
        return faces


def landmarks_in(box: Box) -> NDArray[np.float32]:
    """A frontal face's landmarks in the box."""
    size = np.array([box.width, box.height], np.float32) / 112
    return np.asarray(
        ARCFACE.template * size + np.array([box.left, box.top], np.float32), np.float32
    )


class PaintedEmbedder:
    """Reads the identity off a painted face."""

    space_id = SPACE
    package = SimpleNamespace(
        space_id=SPACE,
        calibration=CALIBRATION,
        identification=NamedShares.model_validate(NAMED),
        name="painted",
    )

    alignment = ARCFACE

    def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        return np.stack([self._read(crop) for crop in crops])

    @staticmethod
    def _read(crop: Image) -> Embedding:
        middle = crop[40:90, 40:80].astype(np.float32)
        identity, rest = divmod(float(np.mean(middle[..., 2] - middle[..., 0])) + 3, 20)
        me = direction(int(identity))
        return near(me, 0.8) if rest > 6 else me


def write_photo(path: Path, image: Image) -> Path:
    assert cv2.imwrite(str(path), image)
    return path
