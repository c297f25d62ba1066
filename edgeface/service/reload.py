"""SIGHUP: a new configuration, and the fleet's keys, taken only when all of it is good."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgeface.base.errors import EdgefaceError
from edgeface.service.board import TpuOrder
from edgeface.service.capturing import CameraTrial
from edgeface.service.checked_models import change, in_use, open_checked
from edgeface.service.commanding.reloads import Reloaded
from edgeface.service.composition import Composition
from edgeface.service.fleet_gallery import provision_of
from edgeface.service.logs import configure
from edgeface.service.worker import WorkerSpec
from edgeface.settings.camera import Camera
from edgeface.settings.loading import load_settings
from edgeface.settings.tree import Settings

RESTART_NEEDED: Final = ("site", "device", "state_dir", "identity", "mqtt", "outbox", "metrics")
"""Sections that the session with the broker, the files and the exporter are made from."""
RESTART_NEEDED_KEYS: Final = (("decision", "validity_s"), ("service", "stop_timeout_s"))
"""The same of sections that are taken otherwise: how long the connection waits for an answer, and
how long the outbox drains."""
RECOGNIZER_SECTIONS: Final = ("models", "detection", "quality", "tracking", "decision", "pad")
JOIN_S: Final = 5.0

_log = logging.getLogger(__name__)


def reload(
    composition: Composition, file: Path, *, ending: Callable[[], bool] = lambda: False
) -> Reloaded:
    """Read `file` again and take what has changed, or nothing of it when it has faults.

    Called by the main thread. A camera that cannot be opened is a fault, and the one before is
    opened again; the wait for it is over at once when the process is `ending`. What needs a restart
    of the process is named and left as it was. The files in the fleet's folder are read again as
    well, and are taken by the gallery's worker.
    """
    old = composition.board.settings
    try:
        new = in_use(load_settings(file))
        if _changed(old, new, ("models", "detection", "pad")):
            # Whether they can be used is found out before the recognizer is given up.
            open_checked(new, accelerator="cpu")
        provision = provision_of(old) if old.gallery.source == "fleet" else None
    except EdgefaceError as error:
        return _refused(*(str(error).splitlines() or [type(error).__name__]))
    camera_changed = bool(_changed(old, new, ("camera",)))
    # Until then no camera is opened: it is all as at the start.
    begun = composition.board.models is not None and composition.board.gallery is not None
    if camera_changed and begun:
        fault = _try_camera(composition, new.camera, ending)
        if fault is not None:
            return _refused(f"camera: {fault}; the camera before is used on")
    settings, left = _without_a_restart(old, new)
    if left:
        _log.warning("changed, but only a restart takes it: %s", ", ".join(left))
    composition.board.by_main.settings = settings
    composition.board.by_main.provision = provision
    configure(settings.log)
    composition.supervisor.limits = settings.service
    if _changed(old, settings, ("models",)):
        # Another accelerator may be meant: what was given up is tried again.
        composition.board.by_main.order = TpuOrder(None)
    if _changed(old, settings, RECOGNIZER_SECTIONS):
        _replace(composition, composition.recognizer())
    if camera_changed and not begun:
        _replace(composition, composition.capture())
    _log.info("reloaded %s", file)
    return Reloaded(needs_restart=left)


def change_embedder(composition: Composition) -> None:
    """Take the next embedder into use when the fleet's gallery has come to cover it. Called by the
    main thread."""
    board = composition.board
    offer = board.by_gallery.offer
    if offer is None or offer is board.by_main.taken:
        return
    board.by_main.taken = offer
    after = change(board.settings, offer.space)
    if after is not None:
        board.by_main.settings = after
        _replace(composition, composition.recognizer())


def _replace(composition: Composition, spec: WorkerSpec) -> None:
    if not composition.supervisor.restart(spec, JOIN_S):
        # It was told to stop and will be restarted by the supervisor's rules when it does.
        _log.error("worker %s does not stop", spec.name)


def _try_camera(composition: Composition, camera: Camera, ending: Callable[[], bool]) -> str | None:
    """Put `camera` into the place of the one in use; why that stays, or None.

    Both may be the same device: one is closed before the other is opened.
    """
    trial = CameraTrial(camera)
    if not composition.supervisor.restart(composition.capture(trial), JOIN_S):
        # Its successor finds the trial ended, and goes on with the camera before.
        trial.settle(f"the one before does not let go within {JOIN_S:g} s")
    return trial.wait(ending)


def _refused(*faults: str) -> Reloaded:
    for line in faults:
        _log.error("not reloaded: %s", line)
    return Reloaded(faults)


def _changed(old: Settings, new: Settings, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if getattr(old, name) != getattr(new, name))


def _without_a_restart(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """`new` with what needs a restart as it was, and what that is."""
    left = _changed(old, new, RESTART_NEEDED)
    kept = {name: getattr(old, name) for name in left}
    # This one key of the section is looked up at every frame.
    gallery = old.gallery.model_copy(update={"unsynced_clock": new.gallery.unsynced_clock})
    if gallery != new.gallery:
        left, kept["gallery"] = (*left, "gallery"), gallery
    for name, key in RESTART_NEEDED_KEYS:
        before, section = getattr(getattr(old, name), key), getattr(new, name)
        if getattr(section, key) != before:
            left = (*left, f"{name}.{key}")
            kept[name] = section.model_copy(update={key: before})
    return new.model_copy(update=kept), left
