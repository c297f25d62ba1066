"""The picture of a verification report. Needs matplotlib, which the extra `eval` brings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeface.base.errors import RuntimeMissingError
from edgeface.evaluation.rates import NOT_FOUND, Scores
from edgeface.evaluation.verification_report import VerificationReport


def operating_curve(genuine: Scores, impostor: Scores) -> tuple[Scores, Scores]:
    """FAR and TAR at every threshold that a genuine score makes, both ascending, `(n,)`."""
    thresholds = np.unique(genuine[genuine > NOT_FOUND])[::-1]
    genuine, impostor = np.sort(genuine), np.sort(impostor)
    tar = 1.0 - np.searchsorted(genuine, thresholds, side="left") / len(genuine)
    far = 1.0 - np.searchsorted(impostor, thresholds, side="left") / len(impostor)
    return far.astype(np.float32), tar.astype(np.float32)


def plot_verification(report: VerificationReport, path: Path, title: str) -> None:
    """Write a PNG: TAR over FAR with intervals, and both score distributions.

    Raises RuntimeMissingError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeMissingError(
            "--plot needs matplotlib: install edgeface with the extra 'eval'"
        ) from error
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    curve, histogram = figure.subplots(1, 2)
    far, tar = operating_curve(report.genuine.scores, report.impostor.scores)
    curve.semilogx(np.maximum(far, 0.5 / len(report.impostor)), tar, color="tab:blue")
    for point in report.tar:
        if point.rate is not None and point.interval_95 is not None:
            low, high = point.interval_95
            error_bar = [[max(point.rate - low, 0)], [max(high - point.rate, 0)]]
            curve.errorbar(point.far, point.rate, error_bar, color="tab:red", marker="o", capsize=4)
    curve.set(xlabel="false accept rate", ylabel="true accept rate", title=title)
    curve.grid(visible=True, which="both", alpha=0.3)
    bins = np.linspace(-0.5, 1.0, 121)
    for name, scores in (("same person", report.genuine), ("two people", report.impostor)):
        seen = scores.scores[scores.scores > NOT_FOUND]
        histogram.hist(seen, bins=bins, density=True, alpha=0.6, label=name)
    histogram.axvline(report.eer.threshold, color="black", linestyle=":", label="equal error")
    histogram.set(xlabel="cosine", ylabel="density")
    histogram.legend()
    figure.savefig(path, dpi=120)
