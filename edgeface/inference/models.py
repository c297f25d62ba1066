"""Opens both models, each on the accelerator that is wanted and there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from edgeface.base.errors import ModelError, RuntimeMissingError
from edgeface.inference.delegate import EDGETPU, Delegate
from edgeface.inference.description import COMPILED_FILE, MODEL_FILE
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.package import ModelPackage, load_package
from edgeface.inference.passive_liveness import PassiveLiveness
from edgeface.inference.runtimes import Interpreter, Runtime, find_runtime, working_runtimes
from edgeface.settings.models import Accelerator, ModelsSettings
from edgeface.settings.recognition import DetectionSettings

Where: TypeAlias = Literal["cpu", "edgetpu", "delegate"]


@dataclass(frozen=True, slots=True)
class AcceleratorState:
    """Where the models run, and whether that is worse than what was asked for."""

    detector: Where
    embedder: Where
    degraded: bool
    """An accelerator was configured, or had worked, and is not in use."""
    reason: str | None
    """Why a model that was to run on an accelerator does not; None when all do."""
    runtime: str
    """Name and version of the TFLite runtime."""
    runtime_why: str = ""
    """Why that one."""
    possible: bool = True
    """A model may and can run elsewhere than on the CPU."""

    @property
    def in_use(self) -> Literal["cpu", "edgetpu"]:
        """As messages say it: `edgetpu` stands for an accelerator of any kind under any model."""
        return "cpu" if self.detector == self.embedder == "cpu" else "edgetpu"


@dataclass(frozen=True, slots=True)
class _Choice:
    """A runtime, and the delegate that works with it."""

    runtime: Runtime
    why: str
    delegate: Delegate | None
    reason: str | None
    """Why there is no delegate; None when there is one."""


def open_models(
    settings: ModelsSettings,
    detection: DetectionSettings | None = None,
    *,
    lost: str | None = None,
) -> tuple[Detector, Embedder, AcceleratorState]:
    """Load, check and open the detector and the embedder of the settings.

    Each runs where the settings want it, on the Edge TPU only when it has a file for that. `auto`
    without a TPU or without such a file means the CPU, which is not degraded. An accelerator that
    was asked for and cannot be used means the CPU for both, degraded, with the reason. `lost` says
    that one in use was given up and why: the models open on the CPU, degraded with that reason;
    open again without `lost` to try to get it back.

    The thread that calls the models owns both interpreters: an accelerator's call that hangs can be
    given up only together with that thread. The golden test is the caller's, with `check_golden`.

    Raises ModelError (a package or model that cannot be used) or RuntimeMissingError (no TFLite
    runtime works).
    """
    detection = detection or DetectionSettings()
    packages = _packages(settings)
    files = _files(settings, packages)
    choice = _choose(settings, packages, files if lost is None else (None, None))
    reasons = [lost or choice.reason, *_without_a_file(settings, packages)]
    interpreters: tuple[Interpreter, ...] = ()
    if choice.delegate is not None:
        try:
            interpreters = _open(settings, packages, files, choice)
        except (ModelError, RuntimeMissingError) as error:
            reasons.insert(0, str(error))
    if not interpreters:
        files = (None, None)
        interpreters = _open(settings, packages, files, choice)
    asked = [accelerator not in ("auto", "cpu") for accelerator in settings.accelerators]
    state = AcceleratorState(
        detector=_where(files[0]),
        embedder=_where(files[1]),
        degraded=lost is not None
        or any(wanted and file is None for wanted, file in zip(asked, files, strict=True)),
        reason="; ".join(reason for reason in reasons if reason) or None,
        runtime=str(choice.runtime),
        runtime_why=choice.why,
        possible=any(_files(settings, packages)),
    )
    detector = Detector(
        packages[0],
        interpreters[0],
        score_threshold=detection.score_threshold,
        max_faces=detection.max_faces,
    )
    return detector, Embedder(packages[1], interpreters[1]), state


def accelerator_trouble(settings: ModelsSettings) -> str | None:
    """Why the accelerator that the settings want cannot be used at the moment; None when it can.

    Tried in a child process. Raises ModelError or RuntimeMissingError as `open_models`.
    """
    packages = _packages(settings)
    files = _files(settings, packages)
    if not any(files):
        return "; ".join(_without_a_file(settings, packages)) or "none is wanted"
    return _choose(settings, packages, files).reason


def open_on_cpu(
    package: ModelPackage, runtime: Runtime, threads: int = 1
) -> Detector | Embedder | PassiveLiveness:
    """One model of any task on the CPU. Raises ModelError when it cannot be run."""
    interpreter = _on_cpu(runtime, package, threads)
    if package.description.task == "face-detection":
        return Detector(package, interpreter)
    if package.description.task == "attack-detection":
        return PassiveLiveness(package, interpreter)
    return Embedder(package, interpreter)


def open_liveness(folder: Path, runtime: str, bpcer: float) -> PassiveLiveness:
    """The detector of attacks, always on the CPU: it is small, and asked of embedded crops alone.

    Raises ModelError (a package or model that cannot be used, or that has no threshold for so few
    live people refused) or RuntimeMissingError.
    """
    package = load_package(folder)
    return PassiveLiveness(package, _on_cpu(find_runtime(runtime), package, 1), bpcer)


def _on_cpu(runtime: Runtime, package: ModelPackage, threads: int) -> Interpreter:
    try:
        return runtime.interpreter(package.read(MODEL_FILE), threads=threads)
    except ModelError as error:
        raise ModelError(f"{package.folder / MODEL_FILE}: {error}") from error


def _packages(settings: ModelsSettings) -> tuple[ModelPackage, ModelPackage]:
    return load_package(settings.detector), load_package(settings.embedder)


def _files(
    settings: ModelsSettings, packages: Sequence[ModelPackage]
) -> tuple[str | None, str | None]:
    """What an accelerator runs of the detector and of the embedder; None for what the CPU runs."""
    detector, embedder = (
        _file(accelerator, package)
        for accelerator, package in zip(settings.accelerators, packages, strict=True)
    )
    return detector, embedder


def _file(accelerator: Accelerator, package: ModelPackage) -> str | None:
    if accelerator == "delegate":
        return MODEL_FILE
    return COMPILED_FILE if accelerator != "cpu" and package.compiled else None


def _where(file: str | None) -> Where:
    if file is None:
        return "cpu"
    return "edgetpu" if file == COMPILED_FILE else "delegate"


def _without_a_file(settings: ModelsSettings, packages: Sequence[ModelPackage]) -> list[str]:
    names = [
        package.name
        for accelerator, package in zip(settings.accelerators, packages, strict=True)
        if accelerator in ("auto", "edgetpu") and not package.compiled
    ]
    return [f"no {COMPILED_FILE} for {' and '.join(names)}"] if names else []


def _choose(
    settings: ModelsSettings, packages: Sequence[ModelPackage], files: Sequence[str | None]
) -> _Choice:
    """The first runtime with which the delegate runs those files; without any, or where the
    delegate works with none, the first that works."""
    refused: list[str] = []
    troubles: dict[str, str] = {}
    first: Runtime | None = None
    paths = [package.folder / file for package, file in zip(packages, files, strict=True) if file]
    library = EDGETPU if settings.delegate is None else str(settings.delegate)
    options = {"device": settings.edgetpu_device} if settings.edgetpu_device else {}
    options |= settings.delegate_options
    for runtime in working_runtimes(settings.runtime, refused):
        first = first or runtime
        if not paths:
            return _Choice(runtime, _why(settings, refused), None, None)
        delegate = Delegate(runtime, library, options, settings.invoke_deadline_s)
        trouble = delegate.probe(paths)
        if trouble is None:
            return _Choice(runtime, _why(settings, refused), delegate, None)
        troubles[str(runtime)] = trouble
        refused.append(f"{runtime}: {trouble}")
    assert first is not None
    same = len(set(troubles.values())) == 1
    reasons = [troubles[str(first)]] if same else [f"{k}: {v}" for k, v in troubles.items()]
    return _Choice(first, _why(settings, []), None, "; ".join(reasons))


def _why(settings: ModelsSettings, refused: Sequence[str]) -> str:
    if settings.runtime != "auto":
        return "models.runtime names it"
    return "; ".join(refused) or "the first choice"


def _open(
    settings: ModelsSettings,
    packages: Sequence[ModelPackage],
    files: Sequence[str | None],
    choice: _Choice,
) -> tuple[Interpreter, ...]:
    opened = []
    for package, file, threads in zip(packages, files, settings.thread_counts, strict=True):
        if file is None or choice.delegate is None:
            opened.append(_on_cpu(choice.runtime, package, threads))
        else:
            opened.append(choice.delegate.interpreter(package.read(file), threads=threads))
    return tuple(opened)
