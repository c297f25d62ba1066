"""The trained float weights as they are committed: half precision, so that training can go on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

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
    facts = {"shape": saved["shape"], "size": saved.get("size"), "steps": saved["steps"]}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{network}.npz"
    np.savez_compressed(path, facts=np.array(json.dumps(facts)), **arrays)
    return path


def restore(network: str, out: Path) -> Path:
    """Write `out/<network>.pt` from the committed weights, as the start of a new run.

    Raises FileNotFoundError when none were committed, FileExistsError rather than replace a run.
    """
    path = out / f"{network}.pt"
    if path.exists():
        raise FileExistsError(f"{path} exists; move it away first")
    stored = np.load(FOLDER / f"{network}.npz")
    facts = json.loads(str(stored["facts"]))
    weights = {
        name.removeprefix("weight:"): torch.from_numpy(
            stored[name].astype(np.float32) if stored[name].dtype == np.float16 else stored[name]
        )
        for name in stored.files
        if name.startswith("weight:")
    }
    save_checkpoint(
        path,
        model=weights,
        average=weights,
        updates=0,
        steps=0,
        seconds=0.0,
        size=facts["size"],
        shape=facts["shape"],
    )
    return path
