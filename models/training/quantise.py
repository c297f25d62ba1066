"""From a checkpoint to `model.tflite`: the averaged weights, quantised on representative views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training import faces, scenes
from models.training.embedder import Embedder, EmbedderShape
from models.training.export import export
from models.training.networks import Detector, DetectorShape
from models.training.pad_pool import load as load_pad_pool
from models.training.pad_pool import trained_rows
from models.training.pad_views import plain_view
from models.training.run import load_checkpoint
from models.training.scene_views import random_scene_view
from models.training.train_pad import load_pad
from models.training.views import random_view

Floats = NDArray[np.float32]


def as_seen(images: NDArray[np.uint8]) -> Floats:
    """BGR uint8 NHWC -> RGB float32 NHWC as (x - 127.5) / 128."""
    return ((images[..., ::-1].astype(np.float32) - 127.5) / 128).astype(np.float32)


def load_embedder(checkpoint: Path) -> Embedder:
    """The averaged network of a checkpoint, without batch norm, in eval mode.

    Raises FileNotFoundError when there is no checkpoint.
    """
    saved = load_checkpoint(checkpoint)
    if saved is None:
        raise FileNotFoundError(f"{checkpoint}: no checkpoint; run the train step first")
    model = Embedder(EmbedderShape(**saved["shape"]), normed=saved.get("normed", False))
    model.load_state_dict(saved["average"])
    return model.eval().fold()


def load_detector(checkpoint: Path) -> Detector:
    """The averaged network of a checkpoint, in eval mode. Raises FileNotFoundError without one."""
    saved = load_checkpoint(checkpoint)
    if saved is None:
        raise FileNotFoundError(f"{checkpoint}: no checkpoint; run the train step first")
    model = Detector(DetectorShape(**saved["shape"]))
    model.load_state_dict(saved["average"])
    return model.eval()


def embedder_samples(cache: Path, count: int = 64, seed: int = 5) -> Floats:
    """Half plain faces, half augmented ones, float32 `(count, 128, 128, 3)`.

    Few, because the converter takes the extremes of what it sees as an activation's range: with 500
    views the scores' error by quantisation is a seventh larger than with 64.
    """
    pool = faces.load(cache, in_memory=False)
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(pool), min(count, len(pool)), replace=False)
    views = [
        random_view(rng, np.asarray(pool.images[row]), float(i % 2), 0.0)
        for i, row in enumerate(rows)
    ]
    return as_seen(np.stack(views))


def detector_samples(cache: Path, shape: DetectorShape, count: int = 300, seed: int = 5) -> Floats:
    """Random training canvases, float32 `(count, h, w, 3)`."""
    photographs = scenes.Scenes(cache / scenes.SCENES, trained=True)
    pasted = scenes.Scenes(cache / scenes.PASTED)
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(photographs), min(count, len(photographs)), replace=False)
    views = [
        random_scene_view(rng, photographs, int(row), pasted, shape.width_px, shape.height_px)[0]
        for row in rows
    ]
    return as_seen(np.stack(views))


def pad_samples(cache: Path, count: int = 200, seed: int = 5) -> Floats:
    """Plain views of pictures of the pool that are trained on, float32 `(count, s, s, 3)`."""
    pool = load_pad_pool(cache)
    rows = np.flatnonzero(trained_rows(pool))
    chosen = np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False)
    return as_seen(np.stack([plain_view(pool.images[row]) for row in chosen]))


def quantise_embedder(checkpoint: Path, cache: Path, out: Path) -> float:
    """Write `out`; return the largest difference between torch and Keras, relative to the range."""
    return export(load_embedder(checkpoint), embedder_samples(cache), out)


def quantise_pad(checkpoint: Path, cache: Path, out: Path) -> float:
    """Write `out`; return the largest difference between torch and Keras, relative to the range."""
    return export(load_pad(checkpoint), pad_samples(cache), out)


def quantise_detector(checkpoint: Path, cache: Path, out: Path) -> float:
    """Write `out`; return the largest difference between torch and Keras, relative to the range."""
    model = load_detector(checkpoint)
    return export(model, detector_samples(cache, model.shape), out)
