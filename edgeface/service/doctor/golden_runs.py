"""The models: each answers its golden input, where it is to run."""

from __future__ import annotations

from edgeface.base.errors import RuntimeMissingError
from edgeface.inference.golden import check_golden
from edgeface.inference.models import accelerator_trouble, open_models
from edgeface.service.doctor.finding import Finding, Patient


def models(patient: Patient) -> Finding:
    """The golden run of both models, each on the accelerator that it is to run on."""
    opened = open_models(patient.models)
    for model in opened[:2]:
        check_golden(model.package, model).require()
        model.close()
    state = opened[2]
    places: str = state.detector
    if state.embedder != state.detector:
        places = f"{state.detector} (detector) and {state.embedder} (embedder)"
    lines = [f"golden runs pass on {places}", f"{state.runtime}: {state.runtime_why}"]
    if state.reason is not None:
        lines.append(f"no accelerator: {state.reason}")
    if state.degraded:
        cure = "docs/coral.md, or set models.accelerator: cpu"
        return Finding("warn", "\n".join(lines), cure)
    return Finding("ok", "\n".join(lines))


def accelerator(patient: Patient) -> Finding:
    """The accelerator that is asked for, with each runtime, in a child process."""
    wanted = set(patient.models.accelerators)
    if wanted <= {"auto", "cpu"}:
        return Finding("ok", f"{' and '.join(sorted(wanted))}: none is required")
    if (trouble := accelerator_trouble(patient.models)) is not None:
        raise RuntimeMissingError(trouble)
    return Finding("ok", "answers")
