"""The models: each answers its golden input, where it is to run."""

from __future__ import annotations

from edgeface.base.errors import ModelError, RuntimeMissingError
from edgeface.inference.golden import check_golden
from edgeface.inference.models import AcceleratorState, accelerator_trouble, open_models
from edgeface.service.checked_models import open_attack_detector
from edgeface.service.doctor.finding import Finding, Patient, together
from edgeface.settings.models import ModelsSettings
from edgeface.settings.recognition import PadSettings


def models(patient: Patient) -> Finding:
    """The golden runs of the models: each where it is to run, and where that is an accelerator on
    the CPU as well, which stands in for one that is lost."""
    return together([_recognizing(patient), _attack_detector(patient)])


def _attack_detector(patient: Patient) -> Finding:
    pad = PadSettings() if patient.settings is None else patient.settings.pad
    try:
        found = open_attack_detector(pad, patient.models.runtime)
    except ModelError as error:
        if pad.refusing:
            raise
        cure = (
            "name a package for attack-detection as pad.model (edgeface models list; the one that "
            "ships is pad), or set pad.model: null"
        )
        return Finding("warn", f"liveness is not assessed: {error}", cure)
    if found is None:
        return Finding("ok", "pad.model is null: liveness is not assessed")
    description = found.package.description
    return Finding("ok", f"golden run passes of {description.name} {description.version}")


def _recognizing(patient: Patient) -> Finding:
    state = _run(patient.models)
    places: str = state.detector
    if state.embedder != state.detector:
        places = f"{state.detector} (detector) and {state.embedder} (embedder)"
    if state.in_use != "cpu":
        _run(patient.models.on("cpu"))
        places += ", and on the CPU"
    lines = [f"golden runs pass on {places}", f"{state.runtime}: {state.runtime_why}"]
    if state.reason is not None:
        lines.append(f"no accelerator: {state.reason}")
    if state.degraded:
        cure = "docs/coral.md, or set models.accelerator: cpu"
        return Finding("warn", "\n".join(lines), cure)
    return Finding("ok", "\n".join(lines))


def _run(settings: ModelsSettings) -> AcceleratorState:
    """Raises ModelError or RuntimeMissingError, which say where it was."""
    detector, embedder, state = open_models(settings)
    try:
        for model, place in ((detector, state.detector), (embedder, state.embedder)):
            fault = check_golden(model.package, model).fault
            if fault is not None:
                raise ModelError(f"on {place}: {fault}")
    finally:
        detector.close()
        embedder.close()
    return state


def accelerator(patient: Patient) -> Finding:
    """The accelerator that is asked for, with each runtime, in a child process."""
    wanted = set(patient.models.accelerators)
    if wanted <= {"auto", "cpu"}:
        return Finding("ok", f"{' and '.join(sorted(wanted))}: none is required")
    if (trouble := accelerator_trouble(patient.models)) is not None:
        raise RuntimeMissingError(trouble)
    return Finding("ok", "answers")
