"""A process of the demo: `python -m edgeface VERB`, its output kept and told line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from edgeface.base.errors import EdgefaceError
from edgeface.mqtt.localbroker import tethered
from edgeface.settings.places import PACKAGE

KILLED_S: Final = 5.0


class DemoError(EdgefaceError, RuntimeError):
    """Raised when the demo cannot go on; the message says what was waited for and what came."""


def environment() -> dict[str, str]:
    """This process's, with this very package found first, and output not held back."""
    paths = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
    }


def _begin(arguments: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    """`python -m edgeface ARGUMENTS` with this interpreter, ended by the kernel with the demo, in a
    group of its own, so that Ctrl-C reaches the demo alone."""
    return subprocess.Popen(
        tethered([sys.executable, "-m", "edgeface", *map(str, arguments)]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        process_group=0,
    )


def run_to_end(name: str, arguments: Sequence[str | Path], log: Path, timeout_s: float) -> str:
    """Run a verb; what it said. Raises DemoError with its last words when it fails."""
    with _begin(arguments) as process:
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"`edgeface {name}` did not end within {timeout_s:g} s") from error
        finally:
            process.kill()
    text = said.decode(errors="replace")
    log.write_text(text, encoding="utf-8")
    if process.returncode:
        raise DemoError(f"`edgeface {name}` ended with {process.returncode}:\n{tail(log)}")
    return text


class Child:
    """A long-lived process.

    `on_line(line)` and, once, `on_end(exit code)` are called from a thread and must only enqueue.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        on_line: Callable[[str], None],
        on_end: Callable[[int], None],
    ) -> None:
        self.log: Final = log
        self._on_line = on_line
        self._on_end = on_end
        self._process = _begin(arguments)
        output = self._process.stdout
        assert output is not None
        self._thread = threading.Thread(
            target=self._pump,
            args=(self._process.stdout,),
            name=f"read {arguments[0]}",
            daemon=True,
        )
        self._thread.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def stop(self, timeout_s: float) -> int:
        """SIGTERM, then SIGKILL; the exit code (negative for a signal). Safe to call twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._thread.join(KILLED_S)
        return code

    def _pump(self, output: IO[bytes]) -> None:
        with output, self.log.open("ab") as log:
            for line in output:
                log.write(line)
                log.flush()
                self._on_line(line.decode(errors="replace").rstrip("\n"))
        self._on_end(self._process.wait())


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, indented."""
    if not log.exists():
        return "  (it said nothing)"
    found = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "\n".join(f"  {line[:300]}" for line in found) or "  (it said nothing)"
