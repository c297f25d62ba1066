"""The trained float weights as they are committed: half precision, so that training can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeface.base.errors import ModelError
from models.training.embedder import Embedder, EmbedderShape
from models.training.networks import Detector, DetectorShape
from models.training.run import load_checkpoint, save_checkpoint
from models.training.train_pad import PadNetwork, PadShape

NETWORKS: dict[str, Callable[[dict[str, Any]], Embedder | Detector | PadNetwork]] = {
    "embedder": lambda shape: Embedder(EmbedderShape(**shape)),
    "detector": lambda shape: Detector(DetectorShape(**shape)),
    "pad": lambda shape: PadNetwork(PadShape(**shape)),
}
"""From its shape to the network."""
FOLDER = Path(__file__).resolve().parent / "weights"


def keep(network: str, out: Path) -> Path:
    """Write `weights/<network>.npz` from `out/<network>.pt`: averaged weights as float16.

    Raises FileNotFoundError when there is no checkpoint.
    """
    saved = load_checkpoint(out / f"{network}.pt")
    if saved is None:
        raise FileNotFoundError(f"{out / network}.pt: no checkpoint to keep")
    arrays = {
        f"weight:{name}": value.numpy().astype(
            np.float16 if value.is_floating_point() else np.int64
        )
        for name, value in saved["average"].items()
    }
    facts = {"shape": saved["shape"], "steps": saved["steps"]}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{network}.npz"
    np.savez_compressed(path, facts=np.array(json.dumps(facts)), **arrays)
    return path


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and the weights of a file of `keep`, or of one that holds an array a parameter.

    Raises FileNotFoundError without a file, ModelError when it is none of arrays.
    """
    try:
        stored = np.load(path)
    except ValueError as error:
        raise ModelError(f"{path}: not a file of weights (.npz)") from error
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ModelError(f"{path}: one array, not a file of weights (.npz)")
    facts: dict[str, Any] = json.loads(str(stored["facts"])) if "facts" in stored.files else {}
    weights = {
        name.removeprefix("weight:"): torch.from_numpy(
            stored[name].astype(np.float32) if stored[name].dtype == np.float16 else stored[name]
        )
        for name in stored.files
        if name != "facts"
    }
    return facts, weights


def restore(network: str, out: Path, files: Sequence[Path] = ()) -> Path:
    """Write `out/<network>.pt` from the committed weights, as the start of a new run; or from the
    mean of `files`, which blends runs that began with the same weights.

    Raises FileNotFoundError when a file is missing, FileExistsError rather than replace a run,
    ModelError when a file has not the weights of the network.
    """
    path = out / f"{network}.pt"
    if path.exists():
        raise FileExistsError(f"{path} exists; move it away first")
    model, parts = None, []
    for file in files or (FOLDER / f"{network}.npz",):
        facts, weights = read(file)
        shape = facts.get("shape", {}) if model is None else asdict(model.shape)
        model = NETWORKS[network](shape)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError(f"{file}: not the weights of such a network: {error}") from error
        parts.append(weights)
    assert model is not None
    mean = {
        name: torch.stack([part[name] for part in parts]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in parts[0].items()
    }
    save_checkpoint(
        path, model=mean, average=mean, updates=0, steps=0, seconds=0.0, shape=asdict(model.shape)
    )
    return path
