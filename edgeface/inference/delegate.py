"""An accelerator behind a TFLite delegate: the Edge TPU's, or another one's shared library.

A probe survives what a delegate may do to a process. Another kind of accelerator is a class with
`interpreter` and `probe` like `Delegate`'s.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from edgeface.inference import delegate_probe
from edgeface.inference.runtimes import PROBE_MODEL, RUNTIMES, Interpreter, Runtime

EDGETPU = "libedgetpu.so.1"
PROBE_TIMEOUT_S = 30.0
"""Loading takes about 3 s on a Pi 4; an accelerator that needs longer is of no use."""


class PunctualInterpreter:
    """An interpreter whose late answers are failures; all else is that of `inner`.

    A call that does not return at all cannot be ended from here: that is the supervisor's.
    """

    def __init__(self, inner: Interpreter, deadline_s: float) -> None:
        self._inner = inner
        self._deadline_s = deadline_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def invoke(self) -> None:
        """Run the model. Raises RuntimeError when it fails or took longer than the deadline."""
        began_s = time.monotonic()
        self._inner.invoke()
        spent_s = time.monotonic() - began_s
        if spent_s > self._deadline_s:
            raise RuntimeError(
                f"the answer took {spent_s:.2f} s, models.invoke_deadline_s is {self._deadline_s:g}"
            )


@dataclass(frozen=True, slots=True)
class Delegate:
    """One accelerator, reached through a runtime and the library of its delegate."""

    runtime: Runtime
    file: str = EDGETPU
    """The library, by a name that the loader finds or by its path."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What the library is given, as its maker names it."""
    deadline_s: float = 2.0
    """Of one invocation."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return "the Edge TPU" if self._is_edgetpu else self.file

    @property
    def _is_edgetpu(self) -> bool:
        return Path(self.file).name.startswith("libedgetpu")

    def interpreter(self, content: bytes, *, threads: int = 1) -> Interpreter:
        """An interpreter over a model, on the accelerator. Call it only after a good `probe`.

        Each has a delegate of its own; libedgetpu shares the device between those of one process,
        and keeps both models resident when they were compiled together. The accelerator is let go
        when the last is no longer referred to. Raises RuntimeMissingError or ModelError.
        """
        delegate = self.runtime.load_delegate(self.file, self.options)
        made = self.runtime.interpreter(content, threads=threads, delegates=[delegate])
        return cast(Interpreter, PunctualInterpreter(made, self.deadline_s))

    def probe(self, models: Sequence[Path] = (), timeout_s: float = PROBE_TIMEOUT_S) -> str | None:
        """Open the accelerator in a child process and run each of `models` once there.

        Without models the delegate alone is tried. Returns why the accelerator cannot be used, None
        when it can; never raises for what it does.
        """
        request = {
            "module": RUNTIMES[self.runtime.name],
            "library": self.file,
            "options": self.options,
            "models": [str(path.resolve()) for path in models],
            "fallback": base64.b64encode(PROBE_MODEL).decode(),
        }
        # -P keeps the folder of the script, with its module names, off the child's path.
        command = [sys.executable, "-P", str(delegate_probe.__file__), json.dumps(request)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            stage = _last_stage(_text(error.stdout))
            return f"{self.name} hung while {stage} (over {timeout_s:g} s)"
        except OSError as error:
            return f"{self.name} cannot be probed: {error}"
        return self.explain(done.returncode, _text(done.stdout), _text(done.stderr))

    def explain(self, returncode: int, stdout: str, stderr: str) -> str | None:
        """Why it cannot be used, by the end of a probe process; None when it can.

        `returncode` as subprocess gives it: the negative signal number when a signal ended it.
        """
        stage = _last_stage(stdout)
        last = _lines(stdout)[-1] if _lines(stdout) else {}
        if returncode == 0 and last.get("done") is True:
            return None
        if returncode in (-signal.SIGSEGV, -signal.SIGILL, -signal.SIGBUS):
            name = signal.Signals(-returncode).name
            return (
                f"crashed with {name} while {stage}: {self.file} and {self.runtime} do not "
                "match; it has to be one that was built for this runtime's TensorFlow"
            )
        if returncode == -signal.SIGABRT:
            return (
                f"{self.file} gave up (SIGABRT) while {stage}: a failing USB transfer, or "
                f"a library that does not match {self.runtime}; check cable and power"
            )
        kind, error = last.get("kind"), str(last.get("error") or "")
        if kind == "missing":
            cure = "; install libedgetpu1-std" if self._is_edgetpu else ""
            return f"{self.file} cannot be loaded ({error}){cure}"
        if kind == "refused":
            device = f"device '{self.options['device']}'" if "device" in self.options else "device"
            detail = f" ({error})" if error else ""
            allowed = "allowed (group plugdev)" if self._is_edgetpu else "allowed"
            return (
                f"{self.file} found no usable {device}{detail}; is it connected, {allowed} "
                "and not in use by another process?"
            )
        if kind == "failed":
            return f"{self.name} failed while {stage}: {error}"
        tail = stderr.strip().splitlines()[-1:] or ["no output"]
        return f"the probe of {self.name} ended with status {returncode} while {stage}: {tail[0]}"


def _text(output: bytes | None) -> str:
    return (output or b"").decode(errors="replace")


def _lines(stdout: str) -> list[dict[str, object]]:
    """The JSON objects among the lines; the library may print between them."""
    found = []
    for line in stdout.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _last_stage(stdout: str) -> str:
    stages = [str(line["stage"]) for line in _lines(stdout) if "stage" in line]
    return stages[-1] if stages else "starting"
