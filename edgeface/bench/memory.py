"""How much memory this process holds; Linux alone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def resident_now_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def resident_peak_mib() -> float:
    """The most that was resident since `forget_peak`; proc(5), `VmHWM`."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return float(status.partition("VmHWM:")[2].split()[0]) / 2**10


def forget_peak() -> None:
    """Let `resident_peak_mib` begin anew; where the kernel refuses it counts from the start."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
