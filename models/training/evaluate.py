"""Accuracy of a float checkpoint, measured by the same instrument as the int8 package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgeface.evaluation.opener import Opener
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import read_protocol
from edgeface.evaluation.stills import embed_pictures
from edgeface.evaluation.verification_report import VerificationReport, report
from edgeface.recognition.alignment import RETAIL
from models.training.quantise import load_embedder


class FloatEmbedder:
    """A torch network in the place of `edgeface.inference.embedder.Embedder`."""

    alignment = RETAIL

    def __init__(self, checkpoint: Path) -> None:
        """Raises FileNotFoundError without a checkpoint."""
        self._model = load_embedder(checkpoint)

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """RGB uint8 `(128, 128, 3)` crops to float32 `(n, 128)` unit rows."""
        images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            rows = torch.nn.functional.normalize(self._model((images - 127.5) / 128))
        return np.asarray(rows.numpy(), np.float32)


def evaluate(checkpoint: Path, detector: str, pairs: Path, root: Path) -> VerificationReport:
    """A verification protocol with the float network behind the given detector."""
    protocol = read_protocol(pairs)
    pictures = embed_pictures(
        PictureRoot(root),
        protocol.pictures,
        Opener().detector(detector),
        FloatEmbedder(checkpoint),
    )
    return report(protocol, pictures)
