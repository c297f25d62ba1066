"""Look for what this machine lacks: every part is tried for real, and each fault says what to do.

A camera and an Edge TPU serve one process at a time, so stop the daemon before, or leave the camera
out with --skip camera. So does a certificate: for a moment the check of the broker takes the
connection from a daemon that runs (--skip broker). Exit code 0: nothing is missing, 1: something
is, 2: bad configuration.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgeface.base.errors import EdgefaceError, RuntimeMissingError, StateError
from edgeface.base.files import folder_trouble
from edgeface.cli.common import add_config
from edgeface.settings.loading import load_settings
from edgeface.settings.tree import Settings

if TYPE_CHECKING:
    from edgeface.recognition.values import Image

Check = Callable[[Settings], str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface doctor`."""
    add_config(parser)
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        choices=list(CHECKS),
        help="leave a check out, the camera while the daemon runs, say",
    )


def run(args: argparse.Namespace) -> int:
    """Print one line a check; return 0 when nothing is wrong, 1 otherwise.

    Raises SettingsError when the configuration cannot be used: nothing else can be tried then.
    """
    settings = load_settings(args.config)
    _tell("ok", "config", str(args.config))
    faults = 0
    for name, check in CHECKS.items():
        if name in args.skip:
            _tell("--", name, "left out")
            continue
        try:
            _tell("ok", name, check(settings))
        except (EdgefaceError, OSError) as error:
            faults += 1
            _tell("NO", name, str(error))
    print(f"{faults} of {len(CHECKS)} checks failed" if faults else "nothing is missing")
    return 1 if faults else 0


def _tell(mark: str, name: str, text: str) -> None:
    first, *rest = text.splitlines() or [""]
    print(f"{mark}  {name:<12} {first}")
    for line in rest:
        print(f"    {'':<12} {line}")


def _python(_: Settings) -> str:
    return f"{platform.python_version()}, {platform.machine()}, {platform.system()}"


def _state(settings: Settings) -> str:
    folder = settings.state_dir
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StateError(
            f"{nearest}: cannot be written to by this user; run as the daemon's user, "
            f"sudo -u edgeface edgeface doctor for instance"
        )
    if folder.exists() and (trouble := folder_trouble(folder)) is not None:
        raise StateError(trouble)
    return str(folder) if folder.exists() else f"{folder} (made at the first start)"


def _models(settings: Settings) -> str:
    from edgeface.inference.golden import check_golden
    from edgeface.inference.models import open_models

    opened = open_models(settings.models)
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
    return "\n".join(lines)


def _accelerator(settings: Settings) -> str:
    from edgeface.inference.models import accelerator_trouble

    wanted = set(settings.models.accelerators)
    if wanted <= {"auto", "cpu"}:
        return f"{' and '.join(sorted(wanted))}: none is required"
    if (trouble := accelerator_trouble(settings.models)) is not None:
        raise RuntimeMissingError(trouble)
    return "answers"


def _gallery(settings: Settings) -> str:
    from edgeface.base.counting import people
    from edgeface.gallery.opening import open_gallery

    if not settings.gallery_file.exists():
        return "empty: nobody is enrolled yet, so nobody is recognized"
    with open_gallery(settings) as store:
        count = store.count()
    return people(count)


def _camera(settings: Settings) -> str:
    from edgeface.capture.factory import make_backend

    with make_backend(settings.camera) as source:
        frame = source.read(settings.camera.stall_timeout_s)
    height, width = frame.image.shape[:2]
    text = f"{settings.camera.source} {source.name} gives {width}x{height}"
    turn = _turn_of(settings, frame.image)
    return f"{text}\n{settings.camera.turn_hint(turn)}" if turn else text


def _turn_of(settings: Settings, image: Image) -> int:
    """Degrees clockwise after which alone a face is found in the picture."""
    from edgeface.inference.models import open_models
    from edgeface.recognition.turning import best_turn

    try:
        detector = open_models(settings.models)[0]
    except EdgefaceError:  # which the check of the models tells
        return 0
    return best_turn(detector, image) or 0


def _broker(settings: Settings) -> str:
    from edgeface.mqtt.connection import Connection
    from edgeface.mqtt.options import ConnectionOptions

    mqtt = settings.mqtt
    options = ConnectionOptions.from_settings(
        mqtt, f"edgeface-doctor-{os.getpid()}", settings.decision.validity_s
    )
    connection = Connection(options)
    connection.open()
    connection.abort()
    return f"{mqtt.host}:{mqtt.port} answers{', with TLS' if mqtt.uses_tls else ''}"


def _clock(_: Settings) -> str:
    from edgeface.base.clock import Clock

    if (trouble := Clock().sync_trouble()) is not None:
        raise StateError(f"{trouble}\ndoors refuse live events meanwhile")
    return "synchronized"


CHECKS: dict[str, Check] = {
    check.__name__.removeprefix("_"): check
    for check in (_python, _state, _models, _accelerator, _gallery, _camera, _broker, _clock)
}
