"""The trained float weights as they are committed: half precision, so that training can go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeface.base.errors import ModelError
from models.training.embedder import EmbedderShape
from models.training.networks import DetectorShape
from models.training.run import load_checkpoint, save_checkpoint

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
    """The facts and the weights of a file of `keep`, or of one that holds an array a parameter."""
    stored = np.load(path)
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
    ModelError when the files are not of one network.
    """
    path = out / f"{network}.pt"
    if path.exists():
        raise FileExistsError(f"{path} exists; move it away first")
    read_files = [read(file) for file in files or (FOLDER / f"{network}.npz",)]
    facts, weights = read_files[0]
    for file, (_, other) in zip(files[1:], read_files[1:], strict=True):
        if {k: v.shape for k, v in other.items()} != {k: v.shape for k, v in weights.items()}:
            raise ModelError(f"{file}: the weights of another network than {files[0]}")
    if len(read_files) > 1:
        weights = {
            name: torch.stack([other[name] for _, other in read_files]).mean(0) for name in weights
        }
    shape = EmbedderShape() if network == "embedder" else DetectorShape()
    save_checkpoint(
        path,
        model=weights,
        average=weights,
        updates=0,
        steps=0,
        seconds=0.0,
        shape=facts.get("shape", asdict(shape)),
    )
    return path
