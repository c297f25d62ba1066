"""Random views for the presentation attack detector, and attacks made of live pictures."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training import pad_pool
from models.training.augment import Image, degrade, noise, relight
from models.training.pad_pool import PICTURE_PX

MADE = "pad_made.npy"
"""The file in the cache."""
MADE_COUNT = 4000
"""At most so many, and at most ten of a picture."""
INPUT_PX = 80
FACE = 1 / 2.7
"""Side of the face's box over the picture's."""

Matrix = NDArray[np.float64]


def random_view(rng: np.random.Generator, picture: Image, size_px: int = INPUT_PX) -> Image:
    """A new view, BGR uint8 `(size, size, 3)`: of an attack as of a live picture, so that what
    is done to it tells nothing."""
    picture = cropped_by_a_frame(rng, picture) if rng.random() < 0.4 else picture
    zoom = size_px / PICTURE_PX * math.exp(rng.normal(0, 0.07))
    roll = math.radians(rng.normal(0, 4))
    shift = rng.normal(0, 0.02, 2) * size_px
    turned = _about_middle(zoom, roll, size_px / 2 + shift)
    if rng.random() < 0.5:
        turned[:, 2] += turned[:, 0] * (PICTURE_PX - 1)
        turned[:, 0] *= -1
    view = np.asarray(
        cv2.warpAffine(
            picture, turned, (size_px, size_px), flags=cv2.INTER_AREA, borderMode=_border(rng)
        ),
        np.uint8,
    )
    for _ in range(int(rng.integers(0, 3))):
        view = relight(rng, view)
    if rng.random() < 0.6:
        view = degrade(rng, view)
    if rng.random() < 0.3:
        view = noise(rng, view)
    return view


def plain_view(picture: Image, size_px: int = INPUT_PX) -> Image:
    """What the daemon shows to the network, BGR uint8 `(size, size, 3)`."""
    shrunk = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def cropped_by_a_frame(rng: np.random.Generator, picture: Image) -> Image:
    """The picture as if its frame had ended nearer: the edge is repeated from there."""
    left, top, right, bottom = (
        int(PICTURE_PX * rng.uniform(0, 0.3)) if rng.random() < 0.4 else 0 for _ in range(4)
    )
    inner = picture[top : PICTURE_PX - bottom, left : PICTURE_PX - right]
    kind = cv2.BORDER_REPLICATE
    return np.asarray(cv2.copyMakeBorder(inner, top, bottom, left, right, kind), np.uint8)


def _border(rng: np.random.Generator) -> int:
    return cv2.BORDER_REPLICATE if rng.random() < 0.8 else cv2.BORDER_CONSTANT


def _about_middle(zoom: float, roll: float, target: NDArray[np.floating]) -> Matrix:
    """The 2x3 map that turns and scales about the picture's middle and puts that at `target`."""
    cos, sin = zoom * math.cos(roll), zoom * math.sin(roll)
    linear = np.array([[cos, -sin], [sin, cos]])
    middle = np.full(2, (PICTURE_PX - 1) / 2)
    return np.column_stack([linear, target - linear @ middle])


def attack(rng: np.random.Generator, picture: Image, room: Image) -> Image:
    """A live picture as a print or a screen that is held up in `room`, `(128, 128, 3)`.

    Shown is a rectangle about the face, recaptured: with the white edge of a print or the dark one
    of a device, bent or turned in space, fingers over its edge; or so near that no edge is seen.
    """
    screen = rng.random() < 0.55
    shown = on_a_screen(rng, picture) if screen else printed(rng, picture)
    if rng.random() < 0.2:
        return shown
    corners = _rectangle(rng)
    held, mask = _held(rng, shown, corners, screen)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.4, 1.0)))[..., None]
    scene = room_around(rng, room).astype(np.float32)
    if rng.random() < 0.5:
        # The thing takes light from what is behind it, or throws a shadow.
        shade = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(2, 6)))[..., None]
        scene *= 1 - shade * rng.uniform(0, 0.6)
    made = scene * (1 - mask) + held * mask
    if rng.random() < 0.5:
        made = _fingers(rng, made, corners, picture)
    return np.asarray(np.clip(made, 0, 255), np.uint8)


def prepare(cache: Path, seed: int = 1) -> None:
    """Write `cache/pad_made.npy`: attacks made of the detector's photographs that are trained on.

    Raises FileNotFoundError without the pool.
    """
    pool = pad_pool.load(cache)
    live = pool.images[pad_pool.trained_rows(pool) & pool.photographs]
    rng = np.random.default_rng(seed)
    pairs = rng.integers(len(live), size=(min(MADE_COUNT, 10 * len(live)), 2))
    np.save(cache / MADE, np.stack([attack(rng, live[one], live[other]) for one, other in pairs]))


def room_around(rng: np.random.Generator, room: Image) -> Image:
    """Another picture, enlarged about some point of it: what is behind and beside the attack."""
    zoom = rng.uniform(1.0, 2.2)
    spot = PICTURE_PX / 2 + rng.normal(0, 0.35, 2) * PICTURE_PX
    matrix = _about_middle(zoom, math.radians(rng.normal(0, 5)), spot)
    size = (PICTURE_PX, PICTURE_PX)
    seen = cv2.warpAffine(room, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    return relight(rng, np.asarray(seen, np.uint8))


def _rectangle(rng: np.random.Generator) -> Matrix:
    """Corners `(4, 2)` of what is held, clockwise from top left: about the face, askew."""
    half = FACE * PICTURE_PX / 2
    reach = half * (1 + np.abs(rng.normal(0.55, 0.55, 4)).clip(0.12, 2.2))
    left, top, right, bottom = (-reach[0], -reach[1], reach[2], reach[3])
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    turn = math.radians(rng.normal(0, 5))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    corners = corners @ rotation.T * np.exp(rng.normal(0, 0.04, (4, 2)))
    return np.asarray(corners + PICTURE_PX / 2, np.float64)


def _held(
    rng: np.random.Generator, shown: Image, corners: Matrix, screen: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The picture with the thing's own edge around what it shows, and where the thing is."""
    bend = rng.normal(0, 0.04) if not screen and rng.random() < 0.4 else 0.0
    outline = _bent(corners, bend)
    mask = np.zeros((PICTURE_PX, PICTURE_PX), np.float32)
    cv2.fillPoly(mask, [outline], 1.0)
    middle = corners.mean(axis=0)
    edge = rng.uniform(0.02, 0.25) if rng.random() < 0.75 else 0.0
    sides = np.ones(2)
    if screen and rng.random() < 0.5:
        sides[int(rng.integers(2))] = rng.uniform(0.7, 1)  # the bars of a film on a screen
    inner = _bent(middle + (corners - middle) * (1 - edge) * sides, bend)
    level = rng.uniform(0, 40) if screen and rng.random() < 0.8 else rng.uniform(190, 255)
    held = np.full((PICTURE_PX, PICTURE_PX, 3), level, np.float32) + rng.normal(0, 4, 3)
    area = np.zeros((PICTURE_PX, PICTURE_PX), np.float32)
    cv2.fillPoly(area, [inner], 1.0)
    # The face must stay whole, or it would not have been found.
    half = int(FACE * PICTURE_PX / 2 * 1.1)
    low, high = PICTURE_PX // 2 - half, PICTURE_PX // 2 + half
    area[low:high, low:high] = 1
    mask[low:high, low:high] = 1
    area = area[..., None]
    return (held * (1 - area) + shown * area).astype(np.float32), mask


def _bent(corners: Matrix, bend: float) -> NDArray[np.int32]:
    """The outline of a sheet: its upper and lower edge are arcs of that height in their lengths."""
    along = np.linspace(0, 1, 9)[:, None]
    arc = 4 * along * (1 - along) * bend
    down = corners[3] - corners[0]
    upper = corners[0] + (corners[1] - corners[0]) * along + arc * down
    lower = corners[2] + (corners[3] - corners[2]) * along + arc * down
    return np.round(np.concatenate([upper, lower])).astype(np.int32)


def _fingers(
    rng: np.random.Generator, made: NDArray[np.floating], corners: Matrix, picture: Image
) -> NDArray[np.floating]:
    """Finger-like ellipses of about the face's color over the left, right or lower edge."""
    middle = PICTURE_PX // 2
    face = picture[middle - 6 : middle + 6, middle - 6 : middle + 6].mean(axis=(0, 1))
    color = face * np.exp(rng.normal(0, 0.15)) + rng.normal(0, 6, 3)
    drawn = made.astype(np.float32)
    edges = ((0, 3, 0.0), (1, 2, 180.0), (3, 2, 270.0))
    for first, second, direction in edges:
        if rng.random() < 0.45:
            continue
        for place in rng.uniform(0.35, 1.0) + np.arange(int(rng.integers(1, 5))) * 0.12:
            at = corners[first] + (corners[second] - corners[first]) * min(float(place), 1.1)
            size = (int(rng.uniform(6, 16)), int(rng.uniform(3, 6)))
            tone = tuple((color * rng.uniform(0.8, 1.15)).clip(0, 255).tolist())
            spot = (round(float(at[0])), round(float(at[1])))
            turn = direction + rng.normal(0, 15)
            cv2.ellipse(drawn, spot, size, turn, 0, 360, tone, -1, cv2.LINE_AA)
    return drawn


def printed(rng: np.random.Generator, picture: Image) -> Image:
    """As a print shows it: black is gray, white is paper, colors are fewer; a dot screen, soft."""
    values = picture.astype(np.float32)
    gray = values.mean(axis=2, keepdims=True)
    values = gray + (values - gray) * rng.uniform(0.3, 1.0)
    black, white = rng.uniform(5, 70), rng.uniform(150, 255)
    values = black + values / 255 * (white - black)
    values *= np.exp(rng.normal(0, 0.08, 3))
    if rng.random() < 0.4:
        values *= 1 + _grating(rng, rng.uniform(0.02, 0.12))
    values += cv2.resize(
        rng.normal(0, rng.uniform(0, 5), (64, 64)).astype(np.float32), (PICTURE_PX, PICTURE_PX)
    )[..., None]
    return _recaptured(rng, values)


def on_a_screen(rng: np.random.Generator, picture: Image) -> Image:
    """As a screen shows it: harder contrast, a cold cast, moire and pixel grid, glare."""
    values = picture.astype(np.float32)
    gray = values.mean(axis=2, keepdims=True)
    values = gray + (values - gray) * rng.uniform(0.8, 1.6)
    middle = rng.uniform(70, 170)
    values = middle + (values - middle) * rng.uniform(0.8, 1.7) + rng.normal(0, 20)
    values *= np.exp(rng.normal((0.06, 0.0, -0.06), 0.08))
    if rng.random() < 0.5:
        depth = rng.uniform(0.03, 0.2)
        values *= 1 + np.concatenate([_grating(rng, depth) for _ in range(3)], axis=2)
    if rng.random() < 0.5:
        values += _glare(rng)
    return _recaptured(rng, values)


def _grating(rng: np.random.Generator, depth: float) -> NDArray[np.float32]:
    """Moire: a plane wave, bent a little, of 2 to 24 pixels a period."""
    y, x = np.mgrid[0:PICTURE_PX, 0:PICTURE_PX].astype(np.float32)
    turn, period = rng.uniform(0, math.pi), math.exp(rng.uniform(math.log(2), math.log(24)))
    along = x * math.cos(turn) + y * math.sin(turn)
    along += rng.normal(0, 2e-3) * (x - rng.uniform(0, PICTURE_PX)) ** 2
    wave = depth * np.sin(2 * math.pi * along / period + rng.uniform(0, 6.3))
    return np.asarray(wave[..., None], np.float32)


def _glare(rng: np.random.Generator) -> NDArray[np.float32]:
    """Light that the glass throws back: a soft bright quadrangle."""
    glare = np.zeros((PICTURE_PX, PICTURE_PX), np.float32)
    spot = rng.uniform(0, PICTURE_PX, 2)
    points = spot + rng.normal(0, 18, (4, 2))
    cv2.fillConvexPoly(glare, cv2.convexHull(points.astype(np.int32)), float(rng.uniform(30, 160)))
    return cv2.GaussianBlur(glare, (0, 0), float(rng.uniform(1, 8)))[..., None]


def _recaptured(rng: np.random.Generator, values: NDArray[np.floating]) -> Image:
    """Through a second lens and a second JPEG, and lit from one side."""
    slope = rng.normal(0, 0.15, 2)
    ramp = np.linspace(-1, 1, PICTURE_PX, dtype=np.float32)
    values = values * (1 + slope[0] * ramp[None, :, None] + slope[1] * ramp[:, None, None])
    image = np.asarray(np.clip(values, 0, 255), np.uint8)
    if rng.random() < 0.6:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
        image = np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), np.uint8
        )
    return image
