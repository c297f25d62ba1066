"""The daemon, whose workers can be made to raise.

`python -m tests.faults.injectable CONFIG FOLDER`. Everything is the daemon's own. A file
`raise-NAME` in FOLDER makes the worker NAME raise at its next sign of life, which takes it away.
`EDGEFACE_FAULTS_PROBE_S` shortens the pauses between two looks whether a lost accelerator is back.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from functools import partial
from pathlib import Path

from edgeface.service import recognizing, regaining
from edgeface.service.composition import Composition
from edgeface.service.daemon import run_to_the_end
from edgeface.service.worker import Pulse, WorkerSpec
from edgeface.settings.tree import Settings

PROBE_S = "EDGEFACE_FAULTS_PROBE_S"


class InjectedError(Exception):
    """What no worker expects."""


class InjectableComposition(Composition):
    """The daemon's composition; its workers look for a file at each beat."""

    def __init__(self, folder: Path, settings: Settings, **_: None) -> None:
        super().__init__(settings)
        self._injected = folder

    def specs(self) -> tuple[WorkerSpec, ...]:
        return tuple(self._injectable(spec) for spec in super().specs())

    def _injectable(self, spec: WorkerSpec) -> WorkerSpec:
        file = self._injected / f"raise-{spec.name}"

        def task(pulse: Pulse) -> None:
            beat = pulse.beat

            def beat_or_raise() -> None:
                beat()
                if file.exists():
                    file.unlink()
                    raise InjectedError("injected")

            pulse.beat = beat_or_raise  # type: ignore[method-assign]
            spec.task(pulse)

        return dataclasses.replace(spec, task=task)


def main(file: Path, folder: Path) -> int:
    """As `edgeface run`."""
    # As an accelerator that has run well for long: it is opened anew before it is given up.
    recognizing.ANEW_S = 0.0  # type: ignore[misc]
    if (probe_s := os.environ.get(PROBE_S)) is not None:
        regaining.RETRY_MIN_S = regaining.RETRY_MAX_S = float(probe_s)  # type: ignore[misc]
    return run_to_the_end(file, compose=partial(InjectableComposition, folder))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
