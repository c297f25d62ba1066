"""The teacher's inner feature maps of every training face: what the student's maps should hold.

A hint at inner layers (FitNets, Romero et al. 2015) says far more about a picture than its
embedding alone: 49 and 196 places with 128 numbers each. The maps are made once, of the plain face
and of its mirror image; a random view of the face reads them where its own cells lie.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgeface.recognition.alignment import ARCFACE, RETAIL, similarity
from models.training.faces import FACE_PX, MARGIN_PX

TEACHER_PX = 128
CHANNELS = 128
STEPS_PER_DEVIATION = 24.0  # int8 codes; five standard deviations are kept


@dataclass(frozen=True)
class Level:
    """One map: `node` names the teacher's layer, a cell every `stride` pixels of either input."""

    node: str
    stride: int

    @property
    def cells(self) -> int:
        """Cells along one side of the teacher's map."""
        return TEACHER_PX // self.stride


# The outputs of the teacher's stages at strides 8 and 16 (face-reidentification-retail-0095).
LEVELS = (Level("605", 8), Level("652", 16))


def stored(cache: Path, level: Level) -> Path:
    """The file of one level."""
    return cache / f"guide_{level.stride}.npy"


@functools.cache
def teacher_to_face() -> NDArray[np.float64]:
    """The 2x3 map from pixels of the teacher's crop to pixels of a stored 120 px face."""
    landmarks = ARCFACE.template + np.float32(MARGIN_PX)
    return np.asarray(similarity(RETAIL.template, target=landmarks), np.float64)


def prepare(cache: Path, teacher: Path, batch: int = 64) -> None:
    """Write `guide_<stride>.npy`, int8 `(n, 2, cells, cells, 128)`: the face and its mirror image.

    `teacher` is the OpenVINO IR file; needs the `openvino` package. Raises FileNotFoundError
    without a prepared pool in `cache`, ValueError when the teacher lacks one of `LEVELS`.
    """
    import openvino

    images = np.load(cache / "images.npy", mmap_mode="r")
    core = openvino.Core()
    network = core.read_model(teacher)
    nodes = {node.get_friendly_name(): node for node in network.get_ordered_ops()}
    missing = [level.node for level in LEVELS if level.node not in nodes]
    if missing:
        raise ValueError(f"{teacher}: has no layer {missing[0]}; it is not the teacher of the pool")
    network.add_outputs([nodes[level.node].output(0) for level in LEVELS])
    network.reshape([batch, 3, TEACHER_PX, TEACHER_PX])
    compiled = core.compile_model(network, "CPU")
    matrix = teacher_to_face()

    def maps(rows: NDArray[np.intp], mirrored: bool) -> list[NDArray[np.float32]]:
        faces = np.zeros((batch, 3, TEACHER_PX, TEACHER_PX), np.float32)
        for place, row in enumerate(rows):
            face = images[row][:, ::-1] if mirrored else images[row]
            crop = cv2.warpAffine(
                np.ascontiguousarray(face),
                matrix,
                (TEACHER_PX, TEACHER_PX),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            faces[place] = crop.transpose(2, 0, 1)
        given = compiled(faces)
        return [given[i + 1][: len(rows)].transpose(0, 2, 3, 1) for i in range(len(LEVELS))]

    count = len(images)
    sample = np.random.default_rng(0).permutation(count)[:512]
    seen = [maps(sample[s : s + batch], False) for s in range(0, len(sample), batch)]
    levels = [np.concatenate(part) for part in zip(*seen, strict=True)]
    means = [level.mean(axis=(0, 1, 2)) for level in levels]
    spreads = [level.std(axis=(0, 1, 2)) for level in levels]
    stores = [
        np.lib.format.open_memmap(
            stored(cache, level),
            "w+",
            np.int8,
            (count, 2, level.cells, level.cells, CHANNELS),
        )
        for level in LEVELS
    ]
    for start in range(0, count, batch):
        rows = np.arange(start, min(start + batch, count))
        for mirrored in (False, True):
            for i, level in enumerate(maps(rows, mirrored)):
                codes = np.rint((level - means[i]) / spreads[i] * STEPS_PER_DEVIATION)
                stores[i][rows, int(mirrored)] = np.clip(codes, -127, 127)
    for store in stores:
        store.flush()


def places(
    view: NDArray[np.floating[Any]], cells: int, level: Level
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where a student's cells lie on the teacher's map, and which of them lie on it at all.

    `view` is the 2x3 map from the student's pixels to the stored face, as `random_similarity`
    draws it; if it mirrors, the places are on the map of the mirror image. Returns float32
    `(cells, cells, 2)` in [-1, 1] for `grid_sample` with aligned corners, and bool
    `(cells, cells)`. Both networks' cell i of stride s has its centre at pixel s * i.
    """
    x, y = np.meshgrid(*[np.arange(cells) * float(level.stride)] * 2)
    face = view @ np.stack([x.ravel(), y.ravel(), np.ones(cells * cells)])
    if mirrors(view):
        face[0] = FACE_PX - 1 - face[0]
    back = teacher_to_face()
    crop = np.linalg.solve(back[:, :2], face - back[:, 2:]) / level.stride
    inside = ((crop > -0.5) & (crop < level.cells - 0.5)).all(axis=0)
    scaled = (crop * 2 / (level.cells - 1) - 1).T.reshape(cells, cells, 2)
    return scaled.astype(np.float32), inside.reshape(cells, cells)


def mirrors(view: NDArray[np.floating[Any]]) -> bool:
    """Whether a 2x3 map turns left into right."""
    return bool(np.linalg.det(view[:, :2]) < 0)


@dataclass(frozen=True)
class Guide:
    """One level of a batch: `maps` float32 `(n, 128, c, c)` of unit variance.

    `inside`, float32 `(n, 1, c, c)`, is 0 where a cell lies outside of what the teacher saw.
    """

    maps: Tensor
    inside: Tensor

    def distance(self, given: Tensor) -> Tensor:
        """Mean squared distance of `given` `(n, 128, c, c)` over the cells that lie inside."""
        squares = (given.float() - self.maps).square() * self.inside
        return squares.sum() / (self.inside.sum() * CHANNELS)


class Guides:
    """The stored maps of a prepared pool."""

    def __init__(self, cache: Path) -> None:
        """Raises FileNotFoundError when `prepare` has not made them."""
        self._stores = [np.load(stored(cache, level), mmap_mode="r") for level in LEVELS]

    @staticmethod
    def made(cache: Path) -> bool:
        """Whether `cache` has them."""
        return all(stored(cache, level).exists() for level in LEVELS)

    def of(
        self, rows: Sequence[int], views: Sequence[NDArray[np.floating[Any]]], size_px: int
    ) -> tuple[Guide, ...]:
        """What each level's student cells should hold for `views` of the faces in `rows`."""
        sides = [int(mirrors(view)) for view in views]
        found = []
        for level, store in zip(LEVELS, self._stores, strict=True):
            cells = size_px // level.stride
            where, inside = zip(*[places(view, cells, level) for view in views], strict=True)
            codes = np.stack([store[row, side] for row, side in zip(rows, sides, strict=True)])
            maps = torch.from_numpy(codes).permute(0, 3, 1, 2).float() / STEPS_PER_DEVIATION
            sampled = functional.grid_sample(
                maps, torch.from_numpy(np.stack(where)), padding_mode="border", align_corners=True
            )
            found.append(Guide(sampled, torch.from_numpy(np.stack(inside))[:, None].float()))
        return tuple(found)
