"""Injects each fault by itself, then every two that can be at once, and takes the times."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import yaml

from edgeface.base.errors import EdgefaceError
from edgeface.contract.topics import Topics
from edgeface.mqtt.caller import Caller
from edgeface.mqtt.localbroker import LocalBroker, tethered
from edgeface.mqtt.options import ConnectionOptions
from tests.faults.door_camera import DoorCamera
from tests.faults.hearing import Hearing, Said
from tests.faults.injectable import PROBE_S
from tests.faults.injected import APART, Fault, all_faults
from tests.faults.watching import Subscriber
from tests.support.edgetpu import build_edgetpu
from tests.support.packages import (
    detector_model,
    embedder_model,
    write_detector,
    write_embedder,
)
from tests.support.stepped_clock import SteppedClock

ROOT = Path(__file__).resolve().parents[2]
TOPICS = Topics("hq", "door-1")
READY_S = 60.0
TOLD_S = 20.0
"""So long a fault may remain untold before it is given up."""
GOES_ON_S = 10.0
RECOVERY_S = 150.0
RESTART_S = 5.0
"""As `RestartSec` of the unit."""
PAIR_PROBE_S = 2.0
GOLDEN_EVERY_S = 2.0
STOP_S = 30.0


@dataclass
class Cell:
    """What came of one fault, or of two at once."""

    faults: tuple[Fault, ...]
    told_s: dict[str, float] = field(default_factory=dict)
    """By the fault's name: from its beginning to what names it."""
    went_on: str = ""
    """What was seen to go on meanwhile."""
    recovered_s: float | None = None
    """From the end of the last fault."""
    troubles: list[str] = field(default_factory=list)
    first: str = ""
    """What went wrong at a first attempt, if this is the second."""

    @property
    def name(self) -> str:
        return " + ".join(fault.name for fault in self.faults)


class Device:
    """The daemon, started again by whoever looks after it when it ends by itself."""

    def __init__(self, config: Path, folder: Path, environment: dict[str, str]) -> None:
        self.environment = environment
        self._config = config
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0

    @property
    def ended(self) -> int | None:
        """The exit code of one that has ended by itself."""
        return None if self._process is None else self._process.poll()

    @property
    def log(self) -> str:
        """Of the present life."""
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self._folder / f"log-{self._number}"

    def start(self) -> None:
        self._number += 1
        command = [sys.executable, "-m", "tests.faults.injectable"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                tethered([*command, str(self._config), str(self._folder)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self.environment},
            )

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None


class OneByOne:
    """Used as a context: a broker, a camera, a device, and who listens."""

    def __init__(self, folder: Path, disk: Path | None, say: Callable[[str], None] = print) -> None:
        """`disk` is a small file system of its own for the device's state; None: none is filled."""
        self._folder = folder
        self._say = say
        self._stack = contextlib.ExitStack()
        self._state = (disk or folder) / "state"
        self._disk = disk
        self._read = 0
        """How much of the device's log is older than the last fault."""

    def __enter__(self) -> Self:
        stack, folder = self._stack, self._folder
        broker = stack.enter_context(LocalBroker(folder / "broker", persistence=True))
        camera = DoorCamera()
        stack.callback(camera.close)
        compiles = shutil.which("cc") is not None
        accelerator = folder / "accelerator" if compiles else None
        clock = SteppedClock(folder) if compiles else None
        self._hearing = Hearing(TOPICS)
        stack.enter_context(
            Subscriber(broker.port, "witness", f"{TOPICS.base}/#", self._hearing.take, lasting=True)
        )
        config = self._configure(camera.url, broker.port, accelerator)
        self._device = Device(config, folder, {} if clock is None else clock.environment)
        stack.callback(self._device.stop)
        self._port = broker.port
        self.faults = all_faults(
            folder,
            self._state,
            camera,
            broker,
            accelerator=accelerator,
            clock=clock,
            disk=self._disk,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def singles(self, names: Sequence[str] = ()) -> list[Cell]:
        """Each fault by itself; only those of these names, if any are given."""
        self._anew()
        return [self._tried((fault,)) for fault in self._chosen(names)]

    def pairs(self, names: Sequence[str] = ()) -> list[Cell]:
        """Every two that can be at once."""
        # An accelerator that is lost is looked for every 15 s at first, and then ever more rarely.
        self._device.environment[PROBE_S] = str(PAIR_PROBE_S)
        self._anew()
        chosen = [fault for fault in self._chosen(names) if not fault.alone]
        return [
            self._tried(both)
            for both in itertools.combinations(chosen, 2)
            if both[0].kind != both[1].kind and {fault.name for fault in both} != APART
        ]

    def _chosen(self, names: Sequence[str]) -> list[Fault]:
        return [fault for fault in self.faults if not names or fault.name in names]

    def _tried(self, faults: tuple[Fault, ...]) -> Cell:
        """Once more where something went wrong: the machine may have been busy."""
        cell = self._injected(faults)
        if not cell.troubles:
            return cell
        again = self._injected(faults)
        again.first = cell.troubles[0].split(" [log:")[0]
        return again

    def _injected(self, faults: tuple[Fault, ...]) -> Cell:
        cell = Cell(faults)
        if any(fault.anew for fault in faults) or (
            len(faults) == 1 and faults[0].kind == "accelerator"
        ):  # the pauses grow with each loss
            self._anew()
        try:
            self._inject(cell)
        except AssertionError as error:
            cell.troubles.append(str(error))
        if cell.troubles:
            cell.troubles[0] += f" [log: {self._device.log[-600:]}]"
            self._anew()
        times = ", ".join(f"{name} told after {s:.1f} s" for name, s in cell.told_s.items())
        back = (
            "not recovered" if cell.recovered_s is None else f"well after {cell.recovered_s:.1f} s"
        )
        trouble = f"; WRONG: {cell.troubles}" if cell.troubles else ""
        self._say(f"{cell.name}: {times}; {cell.went_on}; {back}{trouble}")
        return cell

    def _inject(self, cell: Cell) -> None:
        broker = next((fault for fault in cell.faults if fault.kind == "broker"), None)
        others = [fault for fault in cell.faults if fault is not broker]
        others.sort(key=lambda fault: not fault.starts)
        began: dict[str, float] = {}
        with contextlib.ExitStack() as healing:
            if broker is not None:
                began[broker.name] = self._begin(broker, healing)
            for fault in others:
                session = self._hearing.now.session
                began[fault.name] = self._begin(fault, healing)
                if fault.starts and fault is not others[-1]:
                    self._note_told(cell, fault, began[fault.name])
                    # What keeps a camera from being opened the first time ends the process.
                    self._wait_up(session, began[fault.name], "ready", "degraded")
            if broker is not None:
                self._note_told(cell, broker, began[broker.name])
                if (
                    others
                ):  # 5 s that nobody can hear, then it has to be told on the broker's return
                    time.sleep(max(0.0, began[others[-1].name] + 5.0 - time.monotonic()))
                    broker.end()
                    began = dict.fromkeys(began, time.monotonic())
            for fault in others:
                if fault.name not in cell.told_s:
                    self._note_told(cell, fault, began[fault.name])
            self._note_going_on(cell)
            self._end(cell, [fault for fault in cell.faults if fault is not broker or not others])
            healing.pop_all()
        self._note_recovery(cell, time.monotonic())

    def _begin(self, fault: Fault, healing: contextlib.ExitStack) -> float:
        """When it began."""
        if fault.starts:
            self._device.stop()
        self._read = 0 if fault.starts else len(self._device.log)
        fault.begin()
        healing.callback(fault.end)
        began_s = time.monotonic()
        if fault.starts:
            self._device.start()
        return began_s

    def _end(self, cell: Cell, faults: Sequence[Fault]) -> None:
        for fault in faults:
            fault.end()
        ended = self._device.ended
        if ended is None:
            return
        if not any(fault.starts for fault in faults):
            cell.troubles.append(f"it ended with {ended}")
        time.sleep(RESTART_S)
        self._device.start()

    def _note_told(self, cell: Cell, fault: Fault, began_s: float) -> None:
        if fault.told_by == "log":
            at_s = self._logged(fault, began_s + TOLD_S)
        else:
            at_s = self._hearing.wait(lambda said: said.names(fault.words), began_s, TOLD_S)
        if at_s is None:
            standing = self._hearing.now.lines
            cell.troubles.append(f"{fault.name} was never told; there stands {standing}")
        else:
            cell.told_s[fault.name] = at_s - began_s

    def _logged(self, fault: Fault, until_s: float) -> float | None:
        """When the log names it; one with which the device is started ends that as well."""
        while (now_s := time.monotonic()) < until_s:
            ended = not fault.starts or self._device.ended is not None
            if ended and re.search(fault.words, self._device.log[self._read :]):
                return now_s
            time.sleep(0.05)
        return None

    def _note_going_on(self, cell: Cell) -> None:
        """Recognition where no fault stands in its way, and else an answer to a command."""
        kinds = {fault.kind for fault in cell.faults}
        if kinds == {"broker"} or self._device.ended is not None:
            cell.went_on = "counted afterwards" if kinds == {"broker"} else "nothing"
        elif not any(fault.blinds for fault in cell.faults):
            if self._hearing.wait_event(time.monotonic(), GOES_ON_S) is None:
                cell.troubles.append("no event came meanwhile")
            cell.went_on = "events"
        else:
            if not self._answers():
                cell.troubles.append("no answer to ping meanwhile")
            cell.went_on = "commands"

    def _answers(self) -> bool:
        options = ConnectionOptions("127.0.0.1", self._port, "")
        try:
            with Caller(options, TOPICS, "faults") as caller:
                caller.call("ping", {}, GOES_ON_S)
        except EdgefaceError as error:
            self._say(f"ping: {error}")
            return False
        return True

    def _note_recovery(self, cell: Cell, since_s: float) -> None:
        def is_well(said: Said) -> bool:
            named = any(said.names(f.words) for f in cell.faults if f.told_by == "state")
            return said.lifecycle == "ready" and not named

        well_s = self._hearing.wait(is_well, since_s, RECOVERY_S)
        event_s = self._hearing.wait_event(since_s, RECOVERY_S)
        if well_s is None or event_s is None:
            cell.troubles.append(f"not well again: {self._hearing.now}")
            return
        cell.recovered_s = max(well_s, event_s) - since_s
        if not self._hearing.wait_whole(GOES_ON_S):
            cell.troubles.append(f"{self._hearing.missing()} events are not on the log")

    def _anew(self) -> None:
        """Another life, ready."""
        self._device.stop()
        began_s = time.monotonic()
        session = self._hearing.now.session
        self._device.start()
        self._wait_up(session, began_s, "ready")

    def _wait_up(self, before: str, since_s: float, *lifecycles: str) -> None:
        """Until the next session after `before` is that."""
        up_s = self._hearing.wait(
            lambda said: said.lifecycle in lifecycles and said.session != before,
            since_s,
            READY_S,
        )
        assert up_s is not None, (self._hearing.now, self._device.log)

    def _configure(self, camera: str, port: int, accelerator: Path | None) -> Path:
        folder = self._folder
        write_detector(folder / "detector", compiled=detector_model(compiled=True))
        write_embedder(folder / "embedder", compiled=embedder_model(compiled=True))
        models: dict[str, object] = {
            "detector": str(folder / "detector"),
            "embedder": str(folder / "embedder"),
            "golden_every_s": GOLDEN_EVERY_S,
        }
        if accelerator is not None:
            models |= {
                "delegate": build_edgetpu(folder, "TOLD"),
                "delegate_options": {"fault_file": str(accelerator)},
            }
        content = {
            "site": TOPICS.site,
            "device": TOPICS.device,
            "state_dir": str(self._state),
            "camera": {"source": "stream", "url": camera, "frozen_s": 4},
            "mqtt": {"host": "127.0.0.1", "port": port},
            "models": models,
            "quality": {"min_sharpness": 0, "min_exposure": 0},
            "log": {"format": "text"},
            "service": {"restart_budget": 1000},
        }
        file = folder / "edgeface.yaml"
        file.write_text(yaml.safe_dump(content))
        self._state.mkdir(mode=0o700, parents=True)
        return file
