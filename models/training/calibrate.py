"""Store the calibration of an embedder in its package: `evaluate calibration`, written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edgeface.evaluation.calibration_run import calibrate as measure
from edgeface.evaluation.opener import Opener
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import read_protocol
from edgeface.inference.package_files import write_calibration

FIT_FOLDS: Final = range(1, 6)
CHECK_FOLDS: Final = range(6, 11)


def calibrate(folder: Path, detector: Path, pairs: Sequence[Path], root: Path) -> dict[str, Any]:
    """Fit on all cross-person pairs of folds 1 to 5, check on 6 to 10, write `folder/model.yaml`.

    Raises EvaluationError on a protocol that cannot be used, ModelError on a package.
    """
    opener = Opener()
    report = measure(
        PictureRoot(root),
        [read_protocol(path) for path in pairs],
        opener.detector(str(detector)),
        opener.embedder(str(folder)),
        fit_folds=FIT_FOLDS,
        check_folds=CHECK_FOLDS,
    )
    write_calibration(folder, report["calibration"], report["identification"])
    return report


def table(report: Mapping[str, Any]) -> str:
    """Markdown rows for a model card."""
    rows = [
        "| FMR asked for | threshold | delivered on folds 6 to 10 | 95 % interval | errors |",
        "| --- | --- | --- | --- | --- |",
    ]
    for check in report["checks"]:
        mark = " (extrapolated)" if check["extrapolated"] else ""
        low, high = check["interval_95"]
        rows.append(
            f"| {check['fmr']:.0e} | {check['threshold']:.3f}{mark} | {check['delivered']:.2e} "
            f"| {low:.1e} to {high:.1e} | {check['errors']} |"
        )
    return "\n".join(rows)
