"""Everything `edgeface models check` looks at in one package, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeface.base.errors import ModelError
from edgeface.inference.description import COMPILED_FILE, MODEL_FILE
from edgeface.inference.edgetpu_rules import audit_compiled, audit_model
from edgeface.inference.flatbuffer import GraphFacts, read_model
from edgeface.inference.golden import check_golden
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import DESCRIPTION_FILE, ModelPackage, load_package
from edgeface.inference.runtimes import Runtime

PARAMETER_LIMIT_BYTES = 6_500_000
"""Both models together must fit the Edge TPU's parameter cache beside its executables."""


@dataclass(frozen=True, slots=True)
class PackageReport:
    """What was found; `faults` are the reasons to refuse the package."""

    folder: Path
    faults: tuple[str, ...]
    package: ModelPackage | None = None
    """None when the package could not be loaded at all."""
    graph: GraphFacts | None = None
    """What is in `model.tflite`; there is one where there is a package."""
    compiled: GraphFacts | None = None
    """What is in `model_edgetpu.tflite`; None where there is none, or it cannot be read."""
    golden: str | None = None
    """The numbers of the golden run."""

    @property
    def parameter_bytes(self) -> int:
        """Of the weights and biases; 0 of a package that could not be loaded."""
        return 0 if self.graph is None else self.graph.parameter_bytes


def check_package(folder: Path, runtime: Runtime) -> PackageReport:
    """Load, audit and run one package on the CPU.

    Faults of the package are in the report. Raises RuntimeMissingError where there is no schema to
    read the file by (`read_model`).
    """
    try:
        package = load_package(folder)
        model = read_model(package.read(MODEL_FILE))
    except ModelError as error:
        return PackageReport(folder, tuple(str(error).splitlines()))
    faults = [f"{MODEL_FILE}: {fault}" for fault in audit_model(model)]
    golden = compiled = None
    try:
        if package.compiled:
            compiled = read_model(package.read(COMPILED_FILE))
            faults += [f"{COMPILED_FILE}: {fault}" for fault in audit_compiled(compiled, model)]
        if package.description.task == "face-embedding":
            # Raises where there is no calibration, or one that cannot be read.
            _ = package.calibration
        elif package.description.task == "attack-detection" and not package.calibrated:
            faults.append(f"{folder / DESCRIPTION_FILE}: calibration: missing, so no threshold")
    except ModelError as error:
        faults.append(str(error))
    try:
        result = check_golden(package, open_on_cpu(package, runtime))
        golden = result.measured
        if result.fault is not None:
            faults.append(result.fault)
    except ModelError as error:
        faults.append(str(error))
    return PackageReport(folder, tuple(faults), package, model, compiled, golden)


def check_together(reports: Sequence[PackageReport]) -> tuple[str, ...]:
    """Faults that only show over all packages: their parameters must fit one Edge TPU."""
    total = sum(report.parameter_bytes for report in reports)
    if total <= PARAMETER_LIMIT_BYTES:
        return ()
    limit = PARAMETER_LIMIT_BYTES / 1e6
    return (f"{total / 1e6:.2f} MB of parameters together; {limit:.2f} MB fit the Edge TPU",)
