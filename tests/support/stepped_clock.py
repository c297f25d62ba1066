"""A system clock that can be stepped for one process alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class SteppedClock:
    """Makes a process, and its children, see another CLOCK_REALTIME than the machine's, with
    `environment`; needs a C compiler (`there`). One whose environment it is not sees nothing."""

    there = shutil.which("cc") is not None

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock-step"
        self._file.write_bytes(bytes(8))
        library = folder / "stepped_clock.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True
        )
        self.environment = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(self._file)}

    def step(self, by_s: int) -> None:
        """From now on it is so many seconds ahead, or behind."""
        with self._file.open("r+b", buffering=0) as file:
            file.write(by_s.to_bytes(8, "little", signed=True))
