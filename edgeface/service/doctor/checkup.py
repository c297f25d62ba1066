"""All checks of the doctor, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Final

from edgeface.base.errors import EdgefaceError
from edgeface.service.doctor.finding import Finding, Look, NotTriedError, Patient


def _in(module: str) -> Look:
    """The check `name` of `module`, given as MODULE.NAME. Imported when it is made: a library that
    is missing or does not load is a finding of that check alone."""
    place, _, name = module.partition(".")

    def look(patient: Patient) -> Finding:
        made: Look = getattr(import_module(f"edgeface.service.doctor.{place}"), name)
        return made(patient)

    return look


CHECKS: Final[Mapping[str, Look]] = {
    "python": _in("host.python"),
    "versions": _in("known_pairs.versions"),
    "temperature": _in("host.temperature"),
    "power": _in("host.power"),
    "root": _in("storage.root"),
    "disk": _in("storage.disk"),
    "state": _in("storage.state"),
    "keys": _in("access.keys"),
    "devices": _in("access.devices"),
    "models": _in("golden_runs.models"),
    "accelerator": _in("golden_runs.accelerator"),
    "gallery": _in("gallery_state.gallery"),
    "camera": _in("camera_look.camera"),
    "broker": _in("broker_side.broker"),
    "clock": _in("unit_clock.clock"),
}

AS_DAEMON: Final = "run as the daemon's user: sudo -u edgeface edgeface doctor"
CURES: Final[Mapping[str, str]] = {
    "state": "set state_dir to a folder",
    "models": (
        "edgeface models list says what each package is for, edgeface models check every fault of "
        "one; docs/models.md"
    ),
    "accelerator": "docs/coral.md says which board, library and runtime go together",
    "gallery": "put a backup of the state folder back, or enroll again; a fleet's comes by itself",
    "camera": (
        "connect it, or set another camera.source (config/examples has USB cameras, RTSP, files)\n"
        "where the daemon has it: systemctl stop edgeface, or --skip camera"
    ),
    "broker": "start it, or set mqtt.host, mqtt.port, mqtt.tls and the user; docs/security.md",
}
"""What to do where a check fails and its error alone does not say it."""
INSTALL: Final = "install edgeface anew in an environment of its own: systemd/install.md"


def examine(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Make one check after another; its name and what it found."""
    for name, look in CHECKS.items():
        if name in patient.left_out:
            yield name, Finding("not_tried", "left out")
            continue
        try:
            found = look(patient)
        except NotTriedError as error:
            found = Finding("not_tried", str(error))
        except PermissionError as error:
            found = Finding("fail", f"{error.filename}: {error.strerror}", AS_DAEMON)
        except (EdgefaceError, OSError) as error:
            found = Finding("fail", str(error))
        except (ImportError, AttributeError) as error:  # of a library built for another one
            found = Finding("fail", f"a library does not load: {error}", INSTALL)
        if found.verdict in ("warn", "fail") and not found.cure:
            found = replace(found, cure=CURES.get(name, "see what it says"))
        yield name, found
