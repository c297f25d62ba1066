"""The clocks of a device: boot time for ordering, UTC for people, and a manual one.

Frames are stamped on CLOCK_BOOTTIME, which never steps, and mapped to UTC when they are read, so
that a later correction of the system clock moves no frame that was already handed over.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

NS: Final = 1_000_000_000
"""Nanoseconds in a second."""

STEP_NS: Final = NS
"""A clock that is only slewed moves by less between two looks (500 ppm, adjtimex(2))."""
ACCEPT_S: Final = 3600.0
"""A time that has held for so long is taken for the right one."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_STA_UNSYNC: Final = 0x40
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 256
"""More than `struct timex` takes on any Linux (208 on 64 bit)."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One instant on both clocks."""

    boottime_ns: int
    """CLOCK_BOOTTIME."""
    captured_at: datetime
    """UTC, microsecond resolution."""


class Clock:
    """Time and waiting by the clocks of the kernel (Linux); a descendant may supply both."""

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME: since boot, suspended time included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC: since boot, suspended time left out."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """CLOCK_REALTIME, since 1970-01-01T00:00Z by the system clock; may step."""
        return time.time_ns()

    def sleep(self, duration_s: float) -> None:
        """Wait; a negative or zero duration returns at once."""
        if duration_s > 0:
            time.sleep(duration_s)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or the time is over; True when it is set."""
        return event.wait(max(0.0, timeout_s))

    def boot_id(self) -> str:
        """The kernel's random id of this boot: boot times of two boots cannot be compared."""
        return _read_boot_id()

    def synced(self) -> bool:
        """Whether UTC is surely disciplined by a time source (NTP, GPS)."""
        return self.sync_trouble() is None

    def sync_trouble(self) -> str | None:
        """Why UTC cannot be relied on, in words; None while it is disciplined by a time source.

        By adjtimex(2), which changes nothing here. A sandbox may forbid even the question."""
        buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
        if state == -1:
            return (
                "the kernel cannot be asked whether its clock is synchronized: "
                f"{os.strerror(ctypes.get_errno())}; let the service call adjtimex and "
                "clock_adjtime (SystemCallFilter= of its unit, or what its container allows)"
            )
        # `struct timex` begins with `unsigned int modes` and has `int status` after four longs.
        status_at = 5 * ctypes.sizeof(ctypes.c_long)
        status = ctypes.c_int.from_buffer(buffer, status_at).value
        if state == _TIME_ERROR or status & _STA_UNSYNC:
            return "the kernel's clock is not synchronized; see timedatectl"
        return None


class ManualClock(Clock):
    """A clock that moves only when told to, or when somebody waits on it.

    Waiting moves it by the whole duration and returns at once, so that a paced source driven by
    it runs as fast as it is read, on virtual time. Safe to share between threads.
    """

    def __init__(
        self,
        *,
        boottime_ns: int = 1_000 * NS,
        utc_ns: int = 1_800_000_000 * NS,
        suspended_ns: int = 0,
        boot_id: str = "manual-boot",
    ) -> None:
        self.utc_offset_ns = utc_ns - boottime_ns
        """From boot time to UTC; another one is a step of the system clock."""
        self.disciplined = True
        """Whether the virtual time source is there."""
        self._lock = threading.Lock()
        self._boottime_ns = boottime_ns
        self._suspended_ns = suspended_ns
        self._boot_id = boot_id

    def boottime_ns(self) -> int:
        """The virtual CLOCK_BOOTTIME."""
        return self._boottime_ns

    def monotonic_ns(self) -> int:
        """Boot time less `suspended_ns`."""
        return self._boottime_ns - self._suspended_ns

    def utc_ns(self) -> int:
        """The virtual system clock."""
        return self._boottime_ns + self.utc_offset_ns

    def sleep(self, duration_s: float) -> None:
        """Move all clocks on; a negative duration moves nothing."""
        with self._lock:
            self._boottime_ns += max(0, round(duration_s * NS))

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """True at once when the event is set; else move on by the whole timeout."""
        if event.is_set():
            return True
        self.sleep(timeout_s)
        return event.is_set()

    def boot_id(self) -> str:
        """As given."""
        return self._boot_id

    def sync_trouble(self) -> str | None:
        """As `disciplined` says."""
        return None if self.disciplined else "the virtual time source is not there"


class StepWatch:
    """Notices that the system clock was set while it counted as synchronized, by CLOCK_BOOTTIME,
    which never steps. Not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ns = clock.utc_ns() - clock.boottime_ns()
        self._synced = clock.synced()
        self._stepped_ns = 0
        self._since_ns = 0

    def trouble(self) -> str | None:
        """Look at the clocks, a few times a second: by how much it was set, in words. None when it
        was not, was set back, or has stood so for an hour; and where it was set right: what an
        unsynchronized clock is set to is a correction."""
        now_ns = self._clock.boottime_ns()
        before_ns, self._offset_ns = self._offset_ns, self._clock.utc_ns() - now_ns
        believed, self._synced = self._synced, self._clock.synced()
        moved_ns = self._offset_ns - before_ns
        if abs(moved_ns) >= STEP_NS:
            self._stepped_ns = self._stepped_ns + moved_ns if believed else 0
            self._since_ns = now_ns
        if abs(self._stepped_ns) < STEP_NS or now_ns - self._since_ns >= ACCEPT_S * NS:
            self._stepped_ns = 0
            return None
        by = timedelta(seconds=round(abs(self._stepped_ns) / NS))
        return (
            f"the system clock was set {'back' if self._stepped_ns < 0 else 'forward'} by {by} "
            "though it counted as synchronized: one of the two times is wrong; see timedatectl and "
            "the time source"
        )


def stamp_at(clock: Clock, boottime_ns: int) -> Stamp:
    """The stamp of an instant on CLOCK_BOOTTIME, mapped to UTC by the two clocks as they are now.

    An instant after now is taken for now: no frame comes from the future.
    """
    now_ns = clock.boottime_ns()
    utc_ns = clock.utc_ns()
    at_ns = min(boottime_ns, now_ns)
    utc_us = (utc_ns - (now_ns - at_ns)) // 1_000
    return Stamp(boottime_ns=at_ns, captured_at=_EPOCH + timedelta(microseconds=utc_us))


def stamp_now(clock: Clock) -> Stamp:
    """The stamp of this moment."""
    return stamp_at(clock, clock.boottime_ns())


def boottime_of_sensor(clock: Clock, sensor_ns: int) -> int:
    """CLOCK_BOOTTIME in ns of a sensor's stamp, whichever of the two clocks it was taken on.

    libcamera documents `SensorTimestamp` as CLOCK_BOOTTIME, the kernel's camera drivers stamp
    CLOCK_MONOTONIC; both are the same until the device has been suspended. A stamp that lies
    after now on CLOCK_MONOTONIC can only be boot time; any other is taken as monotonic, which is
    wrong by at most the suspended time and then too late by less than the frame's age.
    """
    monotonic_now_ns = clock.monotonic_ns()
    boottime_now_ns = clock.boottime_ns()
    if sensor_ns > monotonic_now_ns:
        return min(sensor_ns, boottime_now_ns)
    return sensor_ns + (boottime_now_ns - monotonic_now_ns)


def utc_now(clock: Clock) -> datetime:
    """UTC, cut to the millisecond, the resolution of the contract."""
    return _EPOCH + timedelta(milliseconds=clock.utc_ns() // 1_000_000)


@functools.cache
def _read_boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()
