"""The parts of the daemon, each tried for real: models, accelerator, gallery, camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeface.base.counting import people
from edgeface.base.errors import EdgefaceError, RuntimeMissingError
from edgeface.capture.factory import make_backend
from edgeface.gallery.opening import open_gallery
from edgeface.inference.golden import check_golden
from edgeface.inference.models import accelerator_trouble, open_models
from edgeface.recognition.turning import best_turn
from edgeface.service.doctor.finding import Finding, Patient

if TYPE_CHECKING:
    from edgeface.recognition.values import Image
    from edgeface.settings.tree import Settings


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


def gallery(patient: Patient) -> Finding:
    """The gallery opens, and its file is whole."""
    settings = patient.configured
    if not settings.gallery_file.exists():
        return Finding("ok", "empty: nobody is enrolled yet, so nobody is recognized")
    with open_gallery(settings) as store:
        return Finding("ok", people(store.count()))


def camera(patient: Patient) -> Finding:
    """The camera gives a picture, which is upright."""
    settings = patient.configured
    with make_backend(settings.camera) as source:
        frame = source.read(settings.camera.stall_timeout_s)
    height, width = frame.image.shape[:2]
    text = f"{settings.camera.source} {source.name} gives {width}x{height}"
    turn = _turn_of(settings, frame.image)
    if turn:
        return Finding("warn", text, settings.camera.turn_hint(turn))
    return Finding("ok", text)


def _turn_of(settings: Settings, image: Image) -> int:
    """Degrees clockwise after which alone a face is found in the picture."""
    try:
        detector = open_models(settings.models)[0]
    except EdgefaceError:  # which the check of the models tells
        return 0
    return best_turn(detector, image) or 0
