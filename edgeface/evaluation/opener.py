"""Opens what is measured: packages on the CPU, or a reference detector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.reference import PREFIX, YuNet, open_reference
from edgeface.inference.description import MODEL_FILE
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.package import find_package, load_package
from edgeface.inference.passive_liveness import PassiveLiveness
from edgeface.inference.runtimes import Interpreter, Runtime, find_runtime

DETECTOR = "face_detector"
EMBEDDER = "facenet"
LIVENESS = "pad"


class Opener:
    """Opens models with one runtime, found when it is first needed."""

    def __init__(
        self,
        meter: Callable[[str, Interpreter], Interpreter] = lambda _, inner: inner,
        *,
        threads: int = 1,
    ) -> None:
        """`meter` may wrap the interpreter of the `detector` and of the `embedder`; each has so
        many `threads`."""
        self._runtime: Runtime | None = None
        self._threads = threads
        self._meter = meter

    def detector(
        self, spec: str = DETECTOR, *, score_threshold: float | None = None, max_faces: int = 8
    ) -> Detector | YuNet:
        """A package folder or shipped name, or `yunet:PATH.onnx[@WIDTHxHEIGHT]`.

        Raises ModelError or RuntimeMissingError, or EvaluationError for a reference.
        """
        if spec.startswith(PREFIX):
            return open_reference(spec, score_threshold=score_threshold or YuNet.usual_score)
        package = load_package(find_package(spec))
        interpreter = self._interpreter("detector", package.read(MODEL_FILE))
        return Detector(package, interpreter, score_threshold=score_threshold, max_faces=max_faces)

    def embedder(self, spec: str = EMBEDDER) -> Embedder:
        """A package folder or shipped name. Raises ModelError or RuntimeMissingError."""
        package = load_package(find_package(spec))
        return Embedder(package, self._interpreter("embedder", package.read(MODEL_FILE)))

    def liveness(self, spec: str = LIVENESS) -> PassiveLiveness:
        """A package folder or shipped name. Raises ModelError or RuntimeMissingError."""
        package = load_package(find_package(spec))
        return PassiveLiveness(package, self._interpreter("liveness", package.read(MODEL_FILE)))

    def _interpreter(self, which: str, content: bytes) -> Interpreter:
        if self._runtime is None:
            self._runtime = find_runtime()
        return self._meter(which, self._runtime.interpreter(content, threads=self._threads))


def model_facts(
    model: Detector | YuNet | Embedder | PassiveLiveness, spec: str
) -> dict[str, str | None]:
    """What a report says of a model: JSON-able."""
    if isinstance(model, YuNet):
        return {"name": spec, "version": "reference", "sha256": None}
    description = model.package.description
    return {
        "name": description.name,
        "version": description.version,
        "sha256": model.package.sha256,
    }


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of `320x240`. Raises EvaluationError."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise EvaluationError(f"{text}: expected WIDTHxHEIGHT in pixels, 320x240 for instance")
    return int(width), int(height)


def existing(path: str) -> Path:
    """The path. Raises EvaluationError if nothing is there."""
    if not Path(path).exists():
        raise EvaluationError(f"{path}: no such file or folder")
    return Path(path)
