"""Faults that are injected at a chosen moment, each with what the device has to say of it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgeface.mqtt.localbroker import LocalBroker
from tests.faults.door_camera import DoorCamera
from tests.support.stepped_clock import SteppedClock

DAY_S = 86_400
RAISE_S = 10.0
APART = {"gallery locked", "disk full at start"}
"""These cannot be at once: on a full disk the gallery is read without the file of the locks."""
_SHM_LOCKS = (120, 8)
"""Where SQLite's locks of a WAL lie in its shared-memory file, and how many there are: who recovers
a log holds all of them (https://www.sqlite.org/walformat.html, section 2.3)."""
WORKERS = (
    *("inference", "capture", "gallery", "publisher"),
    *("commands", "snapshots", "accelerator"),
)


@dataclass(frozen=True)
class Fault:
    """One fault: `begin` injects it, `end` takes it away."""

    name: str
    how: str
    """It is done, for the table."""
    words: str
    """A regular expression for what names it: a reason of the state, or an alert's detail."""
    kind: str
    """Two of one kind cannot be at once."""
    begin: Callable[[], None]
    end: Callable[[], None]
    blinds: bool = False
    """Nobody can be recognized meanwhile."""
    starts: bool = False
    """The device is started with it."""
    anew: bool = False
    """The device before it has to be a new one."""
    told_by: str = "state"
    """`state`, or `log`, where the state cannot be heard."""
    alone: bool = False
    """Not among the pairs."""


class Accelerator:
    """Tells the stand-in what to do; see `fake_edgetpu.c`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def do(self, what: str) -> Callable[[], None]:
        draft = self._file.with_suffix(".draft")

        def begin() -> None:
            draft.write_text(what)
            draft.rename(self._file)

        return begin

    def be_well(self) -> None:
        self._file.unlink()


class Ballast:
    """A file that takes all that is free on the device's disk."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ballast"

    def fill(self) -> None:
        with suppress(OSError), self._file.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        self._file.unlink()


class GalleryLock:
    """Holds every lock of the gallery's log, as a process that recovers it and does not end."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self._held: int | None = None

    def take(self) -> None:
        start, count = _SHM_LOCKS
        self._held = os.open(self._path, os.O_RDWR)
        fcntl.lockf(self._held, fcntl.LOCK_EX, count, start)

    def release(self) -> None:
        assert self._held is not None
        os.close(self._held)
        self._held = None


class OutboxLock:
    """Another process that has the outbox."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self._db: sqlite3.Connection | None = None

    def take(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("BEGIN EXCLUSIVE")

    def release(self) -> None:
        assert self._db is not None
        self._db.close()


def raised(folder: Path, worker: str) -> Callable[[], None]:
    """Makes it raise, and waits until it has."""
    file = folder / f"raise-{worker}"

    def begin() -> None:
        file.touch()
        end_s = time.monotonic() + RAISE_S
        while file.exists():
            assert time.monotonic() < end_s, f"worker {worker} gives no sign of life"
            time.sleep(0.005)

    return begin


def camera_faults(camera: DoorCamera) -> list[Fault]:
    """Of which there is one at a time."""
    return [
        Fault(f"camera {name}", how, words, "camera", begin, end, blinds=True)
        for name, how, words, begin, end in (
            (
                "unplugged",
                "the camera ends its connection and takes no other",
                "camera_stalled: .*(lost|opened)",
                camera.cut.set,
                camera.cut.clear,
            ),
            (
                "silent",
                "the connection stays, and nothing comes",
                "camera_stalled: ",
                camera.stalled.set,
                camera.stalled.clear,
            ),
            (
                "frozen",
                "the same picture again and again",
                "camera_frozen: ",
                camera.frozen.set,
                camera.frozen.clear,
            ),
            (
                "black",
                "dark pictures with noise",
                "camera_covered: ",
                camera.black.set,
                camera.black.clear,
            ),
        )
    ]


def accelerator_faults(file: Path) -> list[Fault]:
    """Of which there is one at a time."""
    accelerator = Accelerator(file)
    return [
        Fault(
            f"accelerator {name}",
            how,
            words,
            "accelerator",
            accelerator.do(what),
            accelerator.be_well,
            anew=what == "hangs",
        )
        for name, what, how, words in (
            (
                "gone",
                "gone",
                "it fails, and opens no more",
                "accelerator: .*(fail|no usable)",
            ),
            (
                "hanging",
                "hangs",
                "a call does not return",
                "accelerator: .*does not return",
            ),
            ("lying", "lies", "its answers are wrong", "accelerator: .*golden test"),
        )
    ]


def all_faults(
    folder: Path,
    state: Path,
    camera: DoorCamera,
    broker: LocalBroker,
    *,
    accelerator: Path | None,
    clock: SteppedClock | None,
    disk: Path | None,
) -> list[Fault]:
    """Those that can be injected here."""
    found = camera_faults(camera)
    if accelerator is not None:
        found += accelerator_faults(accelerator)
    found += [
        Fault(
            f"worker {name} raises",
            "an exception that nobody expects, at its next sign of life",
            f"worker {name} ",
            "worker",
            raised(folder, name),
            lambda: None,
            alone=name != "inference",
        )
        for name in WORKERS
    ]
    gallery = GalleryLock(state / "gallery.sqlite-shm")
    outbox = OutboxLock(state / "outbox.sqlite")
    found += [
        Fault(
            "gallery locked",
            "another process holds every lock of its log",
            "(worker gallery has been silent|gallery: .*locked)",
            "gallery",
            gallery.take,
            gallery.release,
        ),
        Fault(
            "outbox locked at start",
            "another process has it; the device ends, and is started again every 5 s",
            "outbox.sqlite: in use by another process",
            "start",
            outbox.take,
            outbox.release,
            starts=True,
            told_by="log",
            alone=True,
        ),
    ]
    if disk is not None:
        ballast = Ballast(disk)
        found += [
            Fault(
                f"disk full {when}",
                "a file takes all that is free",
                "(disk|outbox): .*full",
                "disk",
                ballast.fill,
                ballast.empty,
                starts=when == "at start",
            )
            for when in ("at start", "while running")
        ]
    found.append(
        Fault(
            "broker gone",
            "mosquitto is stopped",
            "no connection to the broker",
            "broker",
            broker.stop,
            broker.start,
            anew=True,  # the log leaves out what it has said a moment ago
            told_by="log",
        )
    )
    if clock is not None:
        found += [
            Fault(
                f"clock a day {where}",
                "CLOCK_REALTIME steps, and the kernel calls it synchronized",
                "clock_unsynced: ",
                "clock",
                lambda by_s=by_s: clock.step(by_s),  # type: ignore[misc]
                lambda: clock.step(0),
            )
            for where, by_s in (("forward", DAY_S), ("back", -DAY_S))
        ]
    return found
