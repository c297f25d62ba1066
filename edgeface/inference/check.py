"""Everything `edgeface models check` looks at in one package, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeface.base.errors import ModelError
from edgeface.inference.description import COMPILED_FILE, MODEL_FILE
from edgeface.inference.edgetpu_rules import (
    OperatorCount,
    audit_compiled,
    audit_model,
    count_operators,
)
from edgeface.inference.flatbuffer import TensorFacts, read_model
from edgeface.inference.golden import check_golden
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import ModelPackage, load_package
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
    operators: tuple[OperatorCount, ...] = ()
    inputs: tuple[TensorFacts, ...] = ()
    outputs: tuple[TensorFacts, ...] = ()
    parameters: int = 0
    parameter_bytes: int = 0
    size_bytes: int = 0
    golden: str | None = None
    """The numbers of the golden run."""


def check_package(folder: Path, runtime: Runtime) -> PackageReport:
    """Load, audit and run one package on the CPU.

    Faults of the package are in the report. Raises RuntimeMissingError without ai-edge-litert,
    whose schema reads the file.
    """
    try:
        package = load_package(folder)
        model = read_model(package.read(MODEL_FILE))
    except ModelError as error:
        return PackageReport(folder, tuple(str(error).splitlines()))
    faults = [f"{MODEL_FILE}: {fault}" for fault in audit_model(model)]
    golden = None
    try:
        if package.compiled:
            compiled = read_model(package.read(COMPILED_FILE))
            faults += [f"{COMPILED_FILE}: {fault}" for fault in audit_compiled(compiled, model)]
        if package.description.task == "face-embedding":
            # Raises where there is no calibration, or one that cannot be read.
            _ = package.calibration
    except ModelError as error:
        faults.append(str(error))
    try:
        result = check_golden(package, open_on_cpu(package, runtime))
        golden = result.measured
        if result.fault is not None:
            faults.append(result.fault)
    except ModelError as error:
        faults.append(str(error))
    return PackageReport(
        folder=folder,
        faults=tuple(faults),
        package=package,
        operators=count_operators(model),
        inputs=tuple(model.tensors[index] for index in model.inputs),
        outputs=tuple(model.tensors[index] for index in model.outputs),
        parameters=model.parameters,
        parameter_bytes=model.parameter_bytes,
        size_bytes=model.size_bytes,
        golden=golden,
    )


def check_together(reports: Sequence[PackageReport]) -> tuple[str, ...]:
    """Faults that only show over all packages: their parameters must fit one Edge TPU."""
    total = sum(report.parameter_bytes for report in reports)
    if total <= PARAMETER_LIMIT_BYTES:
        return ()
    limit = PARAMETER_LIMIT_BYTES / 1e6
    return (f"{total / 1e6:.2f} MB of parameters together; {limit:.2f} MB fit the Edge TPU",)
