"""One run: the daemon, a broker, who listens, the faults; then a quiet end, and the books."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml

from edgeface.base.clock import ManualClock
from edgeface.contract.topics import Topics
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.security.keys import SigningKey
from edgeface.service.time_floor import TimeFloor
from tests.faults.accounts import Books, Check, DoorBook
from tests.faults.inflicting import (
    FIRST_COMMIT_S,
    Fault,
    Flips,
    KillClock,
    broker_outages,
    full_disk,
    half_open,
)
from tests.faults.lives import Life, read_outbox
from tests.faults.watching import Door, LogWitness, Subscriber
from tests.support.fleet_site import FleetSite, new_site
from tests.support.proxy import StallingProxy

SITE, DEVICE = "hq", "door-1"
TICK_S = 0.02
REPORT_S = 15.0
SETTLE_S = 60.0
SETTLE_LIVES = 5
MAX_EVENTS = 30
"""Of the outbox: a long outage has to overflow it, so that there are gaps to announce."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to it, and how often."""

    kills: int = 200
    outages: int = 100
    stalls: int = 40
    door_stalls: int = 40
    full_disks: int = 25
    flips: int = 60
    fps: float = 30.0
    """Recognitions a second: one for each frame."""
    validity_s: float = 2.0
    seed: int = 1
    limit_s: float = 20 * 60.0


@dataclass
class Report:
    """What a run came to."""

    plan: Plan
    books: Books
    faults: list[Fault]
    kills: int = 0
    early_kills: int = 0
    full_disk_kills: int = 0
    flips: Flips | None = None
    took_s: float = 0.0
    troubles: list[str] = field(default_factory=list)
    """What went wrong with the daemon itself, in words."""

    def checks(self) -> list[Check]:
        """All that has to be zero."""
        short = [
            f"{name}: {done} of {wanted}"
            for name, done, wanted in (
                ("kills", self.kills, self.plan.kills),
                ("flips", self.flips.done.total() if self.flips else 0, self.plan.flips),
                *((fault.name, fault.done, fault.wanted) for fault in self.faults),
            )
            if done < wanted
        ]
        return [
            *self.books.judge(),
            Check(
                "the daemon ended, hung or failed by itself",
                len(self.troubles),
                self.troubles[0] if self.troubles else "",
            ),
            Check("faults of the plan that did not take place", len(short), "; ".join(short)),
        ]


class Harness:
    """Used once. Everything happens in the thread of `run`, but for the subscribers' ears."""

    def __init__(
        self, plan: Plan, folder: Path, disk: Path | None, say: Callable[[str], None] = print
    ) -> None:
        """`disk` is a small file system of its own for the daemon's state; None: none is filled."""
        self._plan = plan
        self._folder = folder
        self._disk = disk
        self._state = folder / "state" if disk is None else disk / "state"
        self._say = say
        self._number = 0
        self._damaged = False
        self._began_s = time.monotonic()

    def run(self) -> Report:
        """The whole run; faults first, then peace until the outbox is empty."""
        plan = self._plan
        with ExitStack() as stack:
            broker = stack.enter_context(
                LocalBroker(
                    self._folder / "broker",
                    persistence=True,
                    extra=["max_queued_messages 0", "max_queued_bytes 0"],
                )
            )
            device_link = stack.enter_context(StallingProxy(broker.port))
            door_link = stack.enter_context(StallingProxy(broker.port))
            config = self._configure(device_link.port)
            self._site = self._enroll(broker.port)
            key = SigningKey.load(self._state / "device.key").public
            topics = Topics(SITE, DEVICE)
            books = Books(doors=[DoorBook("door", False), DoorBook("far door", True)])
            self._witness = LogWitness(books, key)
            near, far = (Door(book, topics, key) for book in books.doors)
            for subscriber in (
                Subscriber(
                    broker.port, "witness", topics.event_log, self._witness.take, lasting=True
                ),
                Subscriber(broker.port, "door", topics.event, near.take, lasting=False),
                Subscriber(door_link.port, "far-door", topics.event, far.take, lasting=True),
            ):
                stack.enter_context(subscriber)
            rng = random.Random(plan.seed)
            faults = [
                broker_outages(broker, plan.outages, _child(rng)),
                half_open("device's link half-open", device_link, plan.stalls, _child(rng)),
                half_open("far door's link half-open", door_link, plan.door_stalls, _child(rng)),
            ]
            if self._disk is not None:
                faults.append(full_disk(self._disk, plan.full_disks, _child(rng)))
            report = Report(plan, books, faults)
            report.flips = Flips(self._state, plan.flips, plan.kills, _child(rng))
            self._inflict(report, config, KillClock(_child(rng)))
            for fault in faults:
                fault.stop(time.monotonic())
            self._settle(report, config)
        report.took_s = time.monotonic() - self._began_s
        return report

    def _inflict(self, report: Report, config: Path, clock: KillClock) -> None:
        """Lives and faults until there were enough of each, or the time is over."""
        plan, faults = self._plan, report.faults
        disk = faults[-1] if self._disk is not None else None
        life: Life | None = None
        reported_s = time.monotonic()
        while report.kills < plan.kills or not all(fault.finished for fault in faults):
            now_s = time.monotonic()
            if now_s - self._began_s > plan.limit_s:
                break
            if now_s - reported_s >= REPORT_S:
                reported_s = now_s
                self._progress(report)
            if life is None:
                life = self._start(config)
                clock.begin(now_s)
            progress = report.kills / plan.kills if plan.kills else 1.0
            for fault in faults:
                fault.tick(progress, now_s)
            ended, committed = life.ended, life.has_committed
            silent = not committed and now_s - life.started_s > FIRST_COMMIT_S
            if ended is not None or silent:
                what = "hung" if ended is None else f"ended with {ended}"
                report.troubles.append(f"{what}: {life.log[-1500:]}")
                self._bury(report, life)
                life = None
            elif report.kills < plan.kills and clock.due(has_committed=committed):
                report.full_disk_kills += disk is not None and disk.lasts
                self._bury(report, life)
                life = None
                report.kills += 1
                self._flip(report)
            time.sleep(TICK_S)
        report.early_kills = clock.early
        if life is not None:
            self._bury(report, life)

    def _settle(self, report: Report, config: Path) -> None:
        """Undisturbed lives with a clean end until nothing waits any more."""
        for _ in range(SETTLE_LIVES):
            life = self._start(config)
            end_s = time.monotonic() + SETTLE_S
            while time.monotonic() < end_s and not (
                self._caught_up(report.books, life) and self._follows()
            ):
                time.sleep(5 * TICK_S)
            code = life.stop()
            if code != 0:
                report.troubles.append(f"SIGTERM ended with {code}: {life.log[-1500:]}")
            self._bury(report, life)
            last = report.books.snapshots[-1] if report.books.snapshots else None
            if not self._follows():
                report.troubles.append("it has not the gallery of its fleet")
            if last is not None and not last.waiting and not last.unannounced:
                return
        report.troubles.append(f"the outbox is not empty after {SETTLE_LIVES} quiet lives")

    def _caught_up(self, books: Books, life: Life) -> bool:
        """Whether this life works, and all that was committed before it has arrived."""
        with self._witness.lock:
            return life.has_committed and not books.missing()

    def _start(self, config: Path) -> Life:
        self._number += 1
        return Life(config, self._folder / "lives" / f"{self._number:04d}")

    def _bury(self, report: Report, life: Life) -> None:
        """End a life if it has not ended, and enter what it leaves into the books."""
        if life.ended is None:
            life.kill()
        with self._witness.lock:
            report.books.ledger.update({(item.session, item.seq): item for item in life.entries()})
            self._take_snapshot(report.books, life.session)
        if "Traceback" in life.log:
            report.troubles.append(f"a traceback: {life.log[-1500:]}")

    def _take_snapshot(self, books: Books, session: str) -> None:
        """Of a damaged file nobody else can say what is in it before a life has written to it,
        whose session stands there then."""
        try:
            snapshot = read_outbox(self._state, self._folder / "copy")
        except (sqlite3.Error, ValueError, KeyError):
            if not self._damaged:
                raise
            return
        self._damaged = self._damaged and (snapshot is None or snapshot.session != session)
        if snapshot is not None and not self._damaged:
            books.snapshots.append(snapshot)

    def _flip(self, report: Report) -> None:
        """Damage a file, and note it if it is one of the outbox's."""
        assert report.flips is not None
        name = report.flips.after_kill(report.kills)
        if name is not None and name.startswith("outbox"):
            self._damaged = True
            with self._witness.lock:
                report.books.note_damage(in_log=name.endswith("-wal"))

    def _enroll(self, port: int) -> FleetSite:
        """The device is one of a fleet, and has three people and a remembered time."""
        site = new_site(self._folder / "site", port)
        site.add_device(DEVICE)
        site.put({1: [1], 2: [2], 3: [3]})
        site.publish()
        bundle = site.folder.bundles / DEVICE / "state"
        shutil.copytree(bundle, self._state, dirs_exist_ok=True)
        TimeFloor(self._state / "time", ManualClock(utc_ns=time.time_ns())).persist()
        return site

    def _follows(self) -> bool:
        """Whether the device says that it has the people of its fleet."""
        with self._site.fleet() as fleet:
            (judged,) = fleet.status()
        return judged.lag == 0 and judged.digest_agrees is True

    def _progress(self, report: Report) -> None:
        done = [f"{report.kills}/{self._plan.kills} kills"]
        done += [f"{fault.done}/{fault.wanted} {fault.name}" for fault in report.faults]
        self._say(f"[{time.monotonic() - self._began_s:4.0f} s] " + ", ".join(done))

    def _configure(self, port: int) -> Path:
        pictures = self._folder / "pictures"
        pictures.mkdir(parents=True)
        cv2.imwrite(str(pictures / "gray.png"), np.full((48, 64, 3), 90, np.uint8))
        file = self._folder / "edgeface.yaml"
        plan = self._plan
        content = {
            "site": SITE,
            "device": DEVICE,
            "state_dir": os.fspath(self._state),
            "camera": {"source": "images", "folder": str(pictures), "fps": plan.fps, "loop": True},
            "mqtt": {"host": "127.0.0.1", "port": port, "keepalive_s": 2},
            "decision": {"validity_s": plan.validity_s},
            "outbox": {"max_events": MAX_EVENTS},
            "log": {"format": "text"},
            "gallery": {"source": "fleet"},
        }
        file.write_text(yaml.safe_dump(content))
        self._state.mkdir(mode=0o700, parents=True)
        return file


def _child(rng: random.Random) -> random.Random:
    """A generator of its own for each fault, so that one does not shift another."""
    return random.Random(rng.getrandbits(64))
