"""The Edge TPU: its delegate, and a probe that survives what the delegate may do to a process."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeface.base.errors import RuntimeMissingError
from edgeface.inference import edgetpu_probe
from edgeface.inference.runtimes import PROBE_MODEL, RUNTIMES, Interpreter, Runtime

LIBRARY = "libedgetpu.so.1"
PROBE_TIMEOUT_S = 30.0
"""Loading takes about 3 s on a Pi 4; a TPU that needs longer is of no use."""


@dataclass(frozen=True, slots=True)
class EdgeTpu:
    """One Edge TPU, reached through a runtime."""

    runtime: Runtime
    device: str = ""
    """"" for the first one, ":N", "usb", "usb:N", "pci" or "pci:N"."""
    delegate_library: str = LIBRARY

    @property
    def options(self) -> dict[str, str]:
        """What the delegate is given."""
        return {"device": self.device} if self.device else {}

    def interpreter(self, content: bytes, *, threads: int = 1) -> Interpreter:
        """An interpreter over a compiled model, on the TPU. Call it only after a good `probe`.

        Each has a delegate of its own; libedgetpu shares the device between those of one process,
        and keeps both models resident when they were compiled together. Raises RuntimeMissingError
        or ModelError.
        """
        delegate = self.runtime.load_delegate(self.delegate_library, self.options)
        return self.runtime.interpreter(content, threads=threads, delegates=[delegate])

    def probe(self, models: Sequence[Path] = (), timeout_s: float = PROBE_TIMEOUT_S) -> str | None:
        """Open the TPU in a child process and run each of `models` (compiled files) once there.

        Without models the delegate alone is tried. Returns why the TPU cannot be used, None when it
        can; never raises for what the TPU does.
        """
        request = {
            "module": RUNTIMES[self.runtime.name],
            "library": self.delegate_library,
            "options": self.options,
            "models": [str(path.resolve()) for path in models],
            "fallback": base64.b64encode(PROBE_MODEL).decode(),
        }
        # -P keeps the folder of the script, with its module names, off the child's path.
        command = [sys.executable, "-P", str(edgetpu_probe.__file__), json.dumps(request)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            stage = _last_stage(_text(error.stdout))
            return f"the Edge TPU hung while {stage} (over {timeout_s:g} s)"
        except OSError as error:
            return f"the Edge TPU cannot be probed: {error}"
        return explain(self, done.returncode, _text(done.stdout), _text(done.stderr))

    def require(self, models: Sequence[Path] = ()) -> None:
        """Raise RuntimeMissingError with the reason when the TPU cannot be used."""
        reason = self.probe(models)
        if reason is not None:
            raise RuntimeMissingError(reason)


def explain(tpu: EdgeTpu, returncode: int, stdout: str, stderr: str) -> str | None:
    """Why the TPU cannot be used, by the end of a probe process; None when it can.

    `returncode` as subprocess gives it: the negative signal number when a signal ended it.
    """
    stage = _last_stage(stdout)
    runtime = f"{tpu.runtime.name} {tpu.runtime.version}"
    device = f"device '{tpu.device}'" if tpu.device else "device"
    last = _lines(stdout)[-1] if _lines(stdout) else {}
    if returncode == 0 and last.get("done") is True:
        return None
    if returncode in (-signal.SIGSEGV, -signal.SIGILL, -signal.SIGBUS):
        name = signal.Signals(-returncode).name
        return (
            f"crashed with {name} while {stage}: {tpu.delegate_library} and {runtime} do not "
            "match; install a libedgetpu that was built for this runtime's TensorFlow"
        )
    if returncode == -signal.SIGABRT:
        return (
            f"{tpu.delegate_library} gave up (SIGABRT) while {stage}: a failing USB transfer, or "
            f"a library that does not match {runtime}; check cable and power"
        )
    kind, error = last.get("kind"), str(last.get("error") or "")
    if kind == "missing":
        return f"{tpu.delegate_library} cannot be loaded ({error}); install libedgetpu1-std"
    if kind == "refused":
        detail = f" ({error})" if error else ""
        return (
            f"{tpu.delegate_library} found no usable {device}{detail}; is it connected, allowed "
            "(group plugdev) and not in use by another process?"
        )
    if kind == "failed":
        return f"the Edge TPU failed while {stage}: {error}"
    tail = stderr.strip().splitlines()[-1:] or ["no output"]
    return f"the Edge TPU probe ended with status {returncode} while {stage}: {tail[0]}"


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
