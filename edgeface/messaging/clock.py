"""The clock of a device: boot time, UTC, which boot it is, whether the kernel trusts its UTC."""

from __future__ import annotations

import ctypes
import functools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from edgeface.capture import clock as capture_clock

NS: Final = 1_000_000_000
"""Nanoseconds in a second."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_STA_UNSYNC: Final = 0x40
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 256
"""More than `struct timex` takes on any Linux (208 on 64 bit)."""


class Clock(capture_clock.Clock, Protocol):
    """Time as the outbox and the publisher need it."""

    def boot_id(self) -> str:
        """Names this boot: boot times of two boots cannot be compared."""

    def synced(self) -> bool:
        """Whether UTC is disciplined by a time source (NTP, GPS)."""


class KernelClock(capture_clock.SystemClock):
    """The clocks of the kernel (Linux)."""

    def boot_id(self) -> str:
        """The kernel's random id of this boot."""
        return _read_boot_id()

    def synced(self) -> bool:
        """adjtimex(2) without changing anything; False where it cannot be asked."""
        return _kernel_synced()


class ManualClock(capture_clock.ManualClock):
    """A clock for tests and simulations that moves only when told to."""

    def __init__(
        self,
        *,
        boottime_ns: int = 1_000 * NS,
        utc_ns: int = 1_800_000_000 * NS,
        boot_id: str = "manual-boot",
        synced: bool = True,
    ) -> None:
        super().__init__(boottime_ns=boottime_ns, utc_ns=utc_ns)
        self._boot_id = boot_id
        self._synced = synced

    def boot_id(self) -> str:
        """As given."""
        return self._boot_id

    def synced(self) -> bool:
        """As given, or as last set."""
        return self._synced

    def set_synced(self, synced: bool) -> None:
        """Let the virtual time source come or go."""
        self._synced = synced


def utc_now(clock: capture_clock.Clock) -> datetime:
    """UTC, cut to the millisecond, the resolution of the contract."""
    return _EPOCH + timedelta(milliseconds=clock.utc_ns() // 1_000_000)


@functools.cache
def _read_boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()


def _kernel_synced() -> bool:
    """`struct timex` begins with `unsigned int modes` and has `int status` after four longs."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = libc.adjtimex(buffer)
    if state in {-1, _TIME_ERROR}:
        return False
    status_at = 5 * ctypes.sizeof(ctypes.c_long)
    status = ctypes.c_int.from_buffer(buffer, status_at).value
    return not status & _STA_UNSYNC
