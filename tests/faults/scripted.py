"""The daemon with a script in the place of its models, as a process of its own.

`python -m tests.faults.scripted CONFIG LEDGER`. Everything but the worker that owns the models is
the daemon's own: composition, supervisor, camera (a folder of pictures), gallery, commands, outbox,
publisher, presence, signals. The worker takes the frames from the slot as the real one does and
says a recognition for each, which goes the real way. What the outbox says to have committed is
written to the ledger, line by line, before the publisher hears of it.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from edgeface.base.clock import NS
from edgeface.base.errors import ClosedError, FrameTimeoutError
from edgeface.contract.event import Sighting, Track
from edgeface.inference.models import AcceleratorState
from edgeface.outbox.rows import Row
from edgeface.recognition.frame import Frame
from edgeface.recognition.thresholds import Calibration
from edgeface.service.board import ModelFacts
from edgeface.service.composition import RECOGNIZER, Composition
from edgeface.service.daemon import run_to_the_end
from edgeface.service.worker import Pulse, WorkerSpec
from edgeface.settings.tree import Settings
from tests.support.messages import PERSON, sighting
from tests.support.packages import name_only

WAIT_S = 0.25
FACTS = ModelFacts(
    detector=name_only("a" * 64, "script", "c" * 64),
    embedder=name_only("b" * 64, "script", "c" * 64),
    calibration=Calibration((0.0, 0.1), (0.5, 0.1), 0.1, 0.1, 0.0, 0.05, 1e-6),
    accelerator=AcceleratorState("cpu", "cpu", False, None, "script"),
)
WHY = {
    "looks": 1,
    "near": [{"person_id": PERSON, "score": 0.71}, {"person_id": "p_0000000000", "score": 0.49}],
    "gates": {"too_small": 0, "blurred": 1, "turned_away": 0},
}


class ScriptedComposition(Composition):
    """The daemon's composition; one worker recites."""

    def __init__(self, ledger: Path, settings: Settings, **_: None) -> None:
        super().__init__(settings)
        self._ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        ledger.with_name("session").write_text(self.outbox.session)
        self._tell_publisher = self.outbox._committed
        self.outbox.when_committed(self._note)

    def recognizer(self) -> WorkerSpec:
        return WorkerSpec(RECOGNIZER, self._recite)

    def _note(self, row: Row) -> None:
        """One write(2) for each event: what it says survives SIGKILL. While the disk is full the
        outbox calls this for events in memory as well."""
        where = "disk" if self.outbox.status.unsaved == 0 else "memory"
        os.write(self._ledger, f"{row.session} {row.seq} {row.event_id} {where}\n".encode())
        self._tell_publisher(row)

    def _recite(self, pulse: Pulse) -> None:
        self.board.by_recognizer.models = FACTS
        while not pulse.stop.is_set():
            pulse.beat()
            try:
                frame = self.slot.get(WAIT_S)
            except FrameTimeoutError:
                continue
            except ClosedError:
                return
            self._decided(self._recognized(frame))

    def _recognized(self, frame: Frame) -> Sighting:
        age_ns = max(0, self.clock.boottime_ns() - frame.boottime_ns)
        return sighting(
            self.clock,
            captured_at=frame.captured_at,
            captured_boottime_ns=frame.boottime_ns,
            validity_s=self.board.settings.decision.validity_s,
            # The harness reads the same clock, whether or not the kernel trusts it.
            clock_synced=True,
            track=Track(frame.sequence, 4, 4, 410),
            accelerator="cpu",
            latency_ms=age_ns * 1000 // NS,
            why=WHY,
        )


def main(file: Path, ledger: Path) -> int:
    """As `edgeface run`."""
    return run_to_the_end(file, compose=partial(ScriptedComposition, ledger))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
