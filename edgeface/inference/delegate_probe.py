"""Tries a delegate. Run as a script in a process of its own, because a mismatch kills the process.

libedgetpu built for another TensorFlow than the runtime segfaults, and its USB driver aborts on
transfer failures (google-coral/edgetpu#812, #494). Needs nothing but the standard library and the
runtime. One argument, JSON: `module`, `library`, `options`, `models` (paths), `fallback` (base64 of
a model for when there are no paths). Prints JSON lines: `{"stage": ...}` before each step, then
`{"done": true}` or `{"error": ..., "kind": ...}`.
"""

from __future__ import annotations

import base64
import ctypes
import importlib
import json
import sys
from pathlib import Path


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def main(argument: str) -> int:
    """Load the delegate, build an interpreter over each model, run it once. 0 when all worked."""
    request = json.loads(argument)
    _say(stage="importing the runtime")
    module = importlib.import_module(request["module"])
    _say(stage="loading the library")
    try:
        ctypes.CDLL(request["library"])
    except OSError as error:
        _say(error=str(error), kind="missing")
        return 1
    models = [Path(path).read_bytes() for path in request["models"]]
    for content in models or [base64.b64decode(request["fallback"])]:
        _say(stage="opening the device")
        try:
            delegate = module.load_delegate(request["library"], request["options"])
        except (ValueError, OSError, AttributeError) as error:
            _say(error=" ".join(str(error).split()), kind="refused")
            return 1
        try:
            _say(stage="building the interpreter")
            interpreter = module.Interpreter(
                model_content=content, experimental_delegates=[delegate]
            )
            interpreter.allocate_tensors()
            _say(stage="running the model")
            interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            _say(error=" ".join(str(error).split()), kind="failed")
            return 1
    _say(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
