"""Fit the impostor score distribution on one half of a protocol's people, check it on the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgeface.evaluation.calibration import (
    CalibrationFit,
    Delivered,
    check_calibration,
    fit_calibration,
)
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import read_protocol
from edgeface.evaluation.stills import Progress, embed_pictures
from edgeface.evaluation.verification import impostors_of
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.package import DESCRIPTION_FILE
from models.training.package import open_folder, write_description

FITTED_FOLDS = range(1, 6)
CHECKED_FOLDS = range(6, 11)
FMRS = (1e-3, 1e-4, 1e-5)


@dataclass(frozen=True)
class Calibrated:
    """A fit and what its thresholds deliver on people it has not seen."""

    fit: CalibrationFit
    checked: list[Delivered]

    def table(self) -> str:
        """Markdown rows for a model card."""
        rows = [
            "| FMR asked for | threshold | delivered on folds 6 to 10 | 95 % interval | errors |",
            "| --- | --- | --- | --- | --- |",
        ]
        for d in self.checked:
            mark = " (extrapolated)" if d.extrapolated else ""
            rows.append(
                f"| {d.fmr:.0e} | {d.threshold:.3f}{mark} | {d.delivered:.2e} "
                f"| {d.low:.1e} to {d.high:.1e} | {d.errors} |"
            )
        return "\n".join(rows)


def calibrate(folder: Path, detector: Path, pairs: Path, root: Path) -> Calibrated:
    """Fit on all cross-person pairs of folds 1 to 5 and store it in `folder/model.yaml`.

    Raises EvaluationError on a protocol that cannot be used, ModelError on a package.
    """
    finder, embedder = open_folder(detector), open_folder(folder)
    assert isinstance(finder, Detector)
    assert isinstance(embedder, Embedder)
    protocol = read_protocol(pairs)
    pictures = PictureRoot(root)
    impostors = {}
    for name, folds in (("fitted", FITTED_FOLDS), ("checked", CHECKED_FOLDS)):
        part = protocol.part(folds)
        progress = Progress(name, len(part.pictures))
        embedded = embed_pictures(pictures, part.pictures, finder, embedder, progress)
        impostors[name] = impostors_of(part, embedded)
    fit = fit_calibration(impostors["fitted"])
    path = folder / DESCRIPTION_FILE
    description: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    description["calibration"] = rounded(fit.calibration.to_mapping())
    write_description(folder, description)
    return Calibrated(fit, check_calibration(fit.calibration, impostors["checked"], FMRS))


def rounded(value: Any) -> Any:
    """The same mapping with floats of seven significant digits: more would only look exact."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value
