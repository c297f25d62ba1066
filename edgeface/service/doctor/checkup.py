"""All checks of the doctor, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from edgeface.base.errors import EdgefaceError
from edgeface.service.doctor import access, broker_side, host, parts, storage
from edgeface.service.doctor.finding import Finding, Look, NotTriedError, Patient

CHECKS: Final[Mapping[str, Look]] = {
    "python": host.python,
    "temperature": host.temperature,
    "power": host.power,
    "root": storage.root,
    "disk": storage.disk,
    "state": storage.state,
    "keys": access.keys,
    "devices": access.devices,
    "models": parts.models,
    "accelerator": parts.accelerator,
    "gallery": parts.gallery,
    "camera": parts.camera,
    "broker": broker_side.broker,
    "clock": broker_side.clock,
}

CURES: Final[Mapping[str, str]] = {
    "state": "run as the daemon's user: sudo -u edgeface edgeface doctor",
    "models": "edgeface models check names every fault of a package; docs/models.md",
    "accelerator": "docs/coral.md says which board, library and runtime go together",
    "gallery": "put a backup of the state folder back, or enroll again; a fleet's comes by itself",
    "camera": "connect it; where the daemon has it: systemctl stop edgeface, or --skip camera",
    "broker": "start it, or set mqtt.host, mqtt.port, mqtt.tls and the user; docs/security.md",
}
"""What to do where a check fails and its error alone does not say it."""


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
        except (EdgefaceError, OSError, ImportError) as error:
            found = Finding("fail", str(error))
        if found.verdict in ("warn", "fail") and not found.cure:
            found = replace(found, cure=CURES.get(name, "see what it says"))
        yield name, found
