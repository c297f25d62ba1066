"""Opens both models on the accelerator that is wanted and there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from edgeface.base.errors import ModelError, RuntimeMissingError
from edgeface.inference.description import COMPILED_FILE, MODEL_FILE
from edgeface.inference.detector import Detector
from edgeface.inference.edgetpu import LIBRARY, EdgeTpu
from edgeface.inference.embedder import Embedder
from edgeface.inference.package import ModelPackage, load_package
from edgeface.inference.runtimes import Interpreter, Runtime, find_runtime
from edgeface.settings.models import ModelsSettings
from edgeface.settings.recognition import DetectionSettings

Wanted: TypeAlias = Literal["auto", "cpu", "edgetpu"]


@dataclass(frozen=True, slots=True)
class AcceleratorState:
    """Where the models run, and whether that is worse than what was asked for."""

    wanted: Wanted
    in_use: Literal["cpu", "edgetpu"]
    degraded: bool
    """A TPU was configured, or had worked, and is not in use."""
    reason: str | None
    """Why the TPU is not in use; None when it is, or was not wanted."""
    runtime: str
    """Name and version of the TFLite runtime."""


def open_models(
    settings: ModelsSettings,
    detection: DetectionSettings | None = None,
    *,
    lost: str | None = None,
    runtime: Runtime | None = None,
    edgetpu_library: str = LIBRARY,
) -> tuple[Detector, Embedder, AcceleratorState]:
    """Load, check and open the detector and the embedder of the settings.

    Both run on the same accelerator; the Edge TPU is used only when both have a file for it.
    `auto` without a TPU or without such files means the CPU, which is not degraded. `edgetpu` that
    cannot be used means the CPU, degraded, with the reason. `lost` says that a TPU in use was given
    up and why: the models open on the CPU, degraded with that reason; open again without `lost` to
    try to get the TPU back.

    The thread that calls the models owns both interpreters: a TPU call that hangs can be given up
    only together with that thread. The golden test is the caller's, with `check_golden`.

    Raises ModelError (a package or model that cannot be used) or RuntimeMissingError (no TFLite
    runtime works).
    """
    detection = detection or DetectionSettings()
    accelerator, threads = settings.accelerator, settings.threads
    packages = (load_package(settings.detector), load_package(settings.embedder))
    runtime = runtime or find_runtime()
    tpu = EdgeTpu(runtime, settings.edgetpu_device, edgetpu_library)
    reason = lost if lost is not None else _why_not(tpu, accelerator, packages)
    interpreters: tuple[Interpreter, ...] = ()
    if accelerator != "cpu" and reason is None:
        try:
            interpreters = tuple(
                tpu.interpreter(package.read(COMPILED_FILE), threads=threads)
                for package in packages
            )
        except (ModelError, RuntimeMissingError) as error:
            reason = str(error)
    on_tpu = bool(interpreters)
    if not on_tpu:
        interpreters = tuple(_on_cpu(runtime, package, threads) for package in packages)
    state = AcceleratorState(
        wanted=accelerator,
        in_use="edgetpu" if on_tpu else "cpu",
        degraded=not on_tpu and (accelerator == "edgetpu" or lost is not None),
        reason=reason,
        runtime=f"{runtime.name} {runtime.version}",
    )
    detector = Detector(
        packages[0],
        interpreters[0],
        score_threshold=detection.score_threshold,
        max_faces=detection.max_faces,
    )
    return detector, Embedder(packages[1], interpreters[1]), state


def open_on_cpu(package: ModelPackage, runtime: Runtime, threads: int = 1) -> Detector | Embedder:
    """One model of either task on the CPU. Raises ModelError when it cannot be run."""
    interpreter = _on_cpu(runtime, package, threads)
    if package.description.task == "face-detection":
        return Detector(package, interpreter)
    return Embedder(package, interpreter)


def _on_cpu(runtime: Runtime, package: ModelPackage, threads: int) -> Interpreter:
    try:
        return runtime.interpreter(package.read(MODEL_FILE), threads=threads)
    except ModelError as error:
        raise ModelError(f"{package.folder / MODEL_FILE}: {error}") from error


def _why_not(tpu: EdgeTpu, wanted: Wanted, packages: tuple[ModelPackage, ...]) -> str | None:
    """Why the TPU cannot be used; None when it can, or is not wanted."""
    if wanted == "cpu":
        return None
    without = [package.name for package in packages if not package.compiled]
    if without:
        return f"no {COMPILED_FILE} for {' and '.join(without)}"
    return tpu.probe([package.folder / COMPILED_FILE for package in packages])
