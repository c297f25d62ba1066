"""The same frames through each system in turn, block by block, each in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from edgeface.base.errors import EvaluationError

OWN: Final = "edgeface"
BLOCK: Final = 5
"""Frames that a system takes before it is the next one's turn."""
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
VISITOR: Final = "visitor"
"""The name of the one who is enrolled and comes."""


@dataclass(frozen=True, slots=True)
class ShownFrames:
    """What all systems see."""

    frames: Path
    """uint8 `(n, h, w, 3)` BGR, an npy file."""
    visitor: tuple[bool, ...]
    """Of each frame, whether the enrolled one is in it."""
    fps: float


@dataclass(frozen=True, slots=True)
class PeerResult:
    """One system. Times are of what it does with a frame, decoded before."""

    name: str
    cpu_ms: float
    """Median processor time a frame, of all its threads."""
    wall_ms: float
    frames_per_s: float
    """From the mean wall time."""
    times_edgeface: float
    """Median over the blocks of its processor time in that of edgeface for the same frames."""
    frames_to_name: int | None
    """Until it first gave the visitor's name, counted from the first frame with the visitor; None:
    it never did."""
    ms_to_name: float | None
    """Wall time that it took for these frames."""
    right: int
    """Names given to the visitor: of a peer one a frame, of edgeface one a visit."""
    wrong: int
    """Names given where the visitor was not, or another one than theirs."""
    resident_mib: float


def compare(
    shown: ShownFrames,
    people: Sequence[tuple[str, Path]],
    systems: Mapping[str, Sequence[str]],
    options: Mapping[str, Any],
    *,
    each: Callable[[int], object] | None = None,
) -> list[PeerResult]:
    """Run the frames through the systems, `name -> command line`, of which one is edgeface.

    `people` are enrolled by every system, a picture each. `options` has `threads` and what a
    system needs. `each` is told how many frames are done. Raises EvaluationError when a system
    cannot be started, ends, or does not find the visitor's face in the picture.
    """
    count = len(shown.visitor)
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    resident: dict[str, float] = {}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(_Peer(name, command, int(options["threads"])))
            for name, command in systems.items()
        }
        begin = dict(options) | {"people": [(name, str(path)) for name, path in people]}
        for worker in workers.values():
            refused = worker.ask(begin)["refused"]
            if VISITOR in refused:
                raise EvaluationError(f"{worker.name} finds no face in the visitor's picture")
        for start in range(0, count, BLOCK):
            block = {"start": start, "stop": min(count, start + BLOCK)}
            for name, worker in workers.items():
                told = worker.ask({"frames": str(shown.frames), "fps": shown.fps} | block)
                taken[name] += told["frames"]
                resident[name] = told["resident_mib"]
            if each is not None:
                each(block["stop"])
    return [_result(name, shown, taken, resident[name]) for name in systems]


class _Peer:
    """A system's process and the line to it."""

    def __init__(self, name: str, command: Sequence[str], threads: int) -> None:
        self.name = name
        count = str(threads)
        limits = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count
        )
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | limits,
            )
        except OSError as error:
            raise EvaluationError(f"{command[0]}: cannot be started: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def ask(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. Raises EvaluationError when it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EvaluationError(
                f"{self.name} ended with status {self._process.wait()}; what it said is above"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def _result(
    name: str, shown: ShownFrames, taken: Mapping[str, list[dict[str, Any]]], resident_mib: float
) -> PeerResult:
    frames, own = taken[name], taken[OWN]
    wall_ms = [frame["wall_ms"] for frame in frames]
    shares = [
        sum(frame["cpu_ms"] for frame in frames[start : start + BLOCK])
        / sum(frame["cpu_ms"] for frame in own[start : start + BLOCK])
        for start in range(0, len(frames), BLOCK)
    ]
    right = wrong = 0
    first = None
    for number, (frame, visitor) in enumerate(zip(frames, shown.visitor, strict=True)):
        named = [one for one in frame["names"] if one is not None]
        hits = min(1, named.count(VISITOR)) if visitor else 0
        right, wrong = right + hits, wrong + len(named) - hits
        first = number if hits and first is None else first
    begins = shown.visitor.index(True)
    until = None if first is None else wall_ms[begins : first + 1]
    return PeerResult(
        name=name,
        cpu_ms=statistics.median(frame["cpu_ms"] for frame in frames),
        wall_ms=statistics.median(wall_ms),
        frames_per_s=1e3 * len(wall_ms) / sum(wall_ms),
        times_edgeface=statistics.median(shares),
        frames_to_name=None if until is None else len(until),
        ms_to_name=None if until is None else sum(until),
        right=right,
        wrong=wrong,
        resident_mib=resident_mib,
    )
