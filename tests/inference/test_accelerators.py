from __future__ import annotations

import dataclasses
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeface.base.errors import ModelError, RuntimeMissingError
from edgeface.inference.edgetpu import EdgeTpu, explain
from edgeface.inference.golden import check_golden
from edgeface.inference.models import open_models
from edgeface.inference.runtimes import Runtime
from edgeface.settings.models import ModelsSettings
from tests.support.edgetpu import COMPILED_MARK, build_edgetpu
from tests.support.packages import (
    detector_model,
    embedder_model,
    write_detector,
    write_embedder,
)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stand-ins for libedgetpu are built."""
    return tmp_path_factory.mktemp("edgetpu")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages with a file that passes for a compiled one (and runs on the CPU)."""
    folder = tmp_path_factory.mktemp("compiled")
    write_detector(folder / "detector", compiled=detector_model(mark=COMPILED_MARK))
    write_embedder(folder / "embedder", compiled=embedder_model(mark=COMPILED_MARK))
    return folder


def open_both(folder: Path, accelerator: Any = "auto", device: str = "", **options: Any) -> Any:
    settings = ModelsSettings(
        detector=folder / "detector",
        embedder=folder / "embedder",
        accelerator=accelerator,
        edgetpu_device=device,
    )
    return open_models(settings, **options)


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        pytest.param("WORKS", None, id="works"),
        pytest.param("REFUSES", "found no usable device", id="refuses"),
        pytest.param("SEGFAULTS", "crashed with SIGSEGV while building the interpreter", id="segv"),
        pytest.param("ABORTS", r"gave up \(SIGABRT\) while building the interpreter", id="abort"),
    ],
)
def test_the_probe_survives_and_says_what_happened(
    runtime: Runtime, libraries: Path, compiled: Path, behavior: str, reason: str | None
) -> None:
    tpu = EdgeTpu(runtime, delegate_library=build_edgetpu(libraries, behavior))
    found = tpu.probe([compiled / "detector" / "model_edgetpu.tflite"])
    assert (found is None) == (reason is None)
    if reason is None:
        tpu.require()
    else:
        with pytest.raises(RuntimeMissingError, match=reason):
            tpu.require()


def test_a_probe_that_hangs_is_given_up(runtime: Runtime, libraries: Path) -> None:
    tpu = EdgeTpu(runtime, delegate_library=build_edgetpu(libraries, "HANGS"))
    found = tpu.probe(timeout_s=3.0)
    assert found is not None
    assert "hung while" in str(found)
    assert "(over 3 s)" in str(found)


def test_a_missing_library_names_what_to_install(runtime: Runtime) -> None:
    found = EdgeTpu(runtime, delegate_library="libedgetpu_absent.so.1").probe()
    assert "libedgetpu_absent.so.1 cannot be loaded" in str(found)
    assert "install libedgetpu1-std" in str(found)


STAGE = '{"stage": "running the model"}\n'


@pytest.mark.parametrize(
    ("returncode", "stdout", "stderr", "reason"),
    [
        pytest.param(0, STAGE + '{"done": true}\n', "", None, id="done"),
        pytest.param(
            -signal.SIGSEGV, STAGE, "", "libedgetpu.so.1 and litert 9.9 do not match", id="segv"
        ),
        pytest.param(-signal.SIGILL, STAGE, "", "SIGILL while running the model", id="illegal"),
        pytest.param(
            1,
            "noise of the library\n" + STAGE + '{"error": "", "kind": "refused"}\n',
            "",
            "no usable device 'usb:1';",
            id="refused-without-a-word",
        ),
        pytest.param(
            1,
            STAGE + '{"error": "Unsupported data type: 0", "kind": "failed"}\n',
            "",
            "failed while running the model: Unsupported data type: 0",
            id="failed",
        ),
        pytest.param(1, "", "Traceback\nBoom: x", "status 1 while starting: Boom: x", id="broken"),
        pytest.param(0, "", "", "status 0 while starting: no output", id="silent"),
        pytest.param(0, "[1, 2]\nnull\n", "", "status 0 while starting", id="other-json"),
    ],
)
def test_the_end_of_a_probe_is_explained(
    returncode: int, stdout: str, stderr: str, reason: str | None
) -> None:
    tpu = EdgeTpu(Runtime("litert", "9.9", None), device="usb:1")
    found = explain(tpu, returncode, stdout, stderr)
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert reason in found


def test_auto_without_compiled_files_is_the_cpu_and_not_degraded(pristine: Path) -> None:
    detector, embedder, state = open_both(pristine)
    assert (state.in_use, state.degraded) == ("cpu", False)
    assert "no model_edgetpu.tflite for test_detector and test_embedder" in str(state.reason)
    assert check_golden(detector.package, detector).fault is None
    assert check_golden(embedder.package, embedder).fault is None


def test_auto_without_a_tpu_is_the_cpu_and_not_degraded(compiled: Path) -> None:
    _, _, state = open_both(compiled, edgetpu_library="libedgetpu_absent.so.1")
    assert (state.in_use, state.degraded) == ("cpu", False)
    assert "cannot be loaded" in str(state.reason)


def test_a_configured_tpu_that_is_missing_is_degraded_with_the_reason(compiled: Path) -> None:
    detector, _, state = open_both(compiled, "edgetpu", edgetpu_library="libedgetpu_absent.so.1")
    assert (state.in_use, state.degraded) == ("cpu", True)
    assert "libedgetpu_absent.so.1 cannot be loaded" in str(state.reason)
    assert check_golden(detector.package, detector).fault is None


def test_a_configured_tpu_without_compiled_files_is_degraded(pristine: Path) -> None:
    _, _, state = open_both(pristine, "edgetpu")
    assert (state.in_use, state.degraded) == ("cpu", True)


@pytest.mark.parametrize("accelerator", ["auto", "edgetpu"])
def test_a_tpu_that_works_is_used(compiled: Path, libraries: Path, accelerator: str) -> None:
    library = build_edgetpu(libraries, "WORKS")
    detector, embedder, state = open_both(compiled, accelerator, "usb", edgetpu_library=library)
    assert (state.in_use, state.degraded, state.reason) == ("edgetpu", False, None)
    assert check_golden(detector.package, detector).fault is None
    assert check_golden(embedder.package, embedder).fault is None


def test_a_library_that_crashes_never_takes_this_process_along(
    compiled: Path, libraries: Path
) -> None:
    library = build_edgetpu(libraries, "SEGFAULTS")
    _, _, state = open_both(compiled, "edgetpu", edgetpu_library=library)
    assert (state.in_use, state.degraded) == ("cpu", True)
    assert "SIGSEGV" in str(state.reason)


def test_a_tpu_that_refuses_after_a_good_probe_is_degraded(
    monkeypatch: pytest.MonkeyPatch, compiled: Path, libraries: Path
) -> None:
    monkeypatch.setattr(EdgeTpu, "probe", lambda *_: None)
    library = build_edgetpu(libraries, "REFUSES")
    _, _, state = open_both(compiled, "edgetpu", edgetpu_library=library)
    assert (state.in_use, state.degraded) == ("cpu", True)
    assert "refused" in str(state.reason)


def test_a_lost_tpu_is_degraded_even_under_auto(compiled: Path, libraries: Path) -> None:
    library = build_edgetpu(libraries, "WORKS")
    _, _, state = open_both(compiled, edgetpu_library=library, lost="no answer within 2 s")
    assert (state.in_use, state.degraded) == ("cpu", True)
    assert state.reason == "no answer within 2 s"
    _, _, again = open_both(compiled, edgetpu_library=library)
    assert (again.in_use, again.degraded) == ("edgetpu", False)


def test_the_cpu_needs_no_reason(compiled: Path) -> None:
    _, _, state = open_both(compiled, "cpu")
    assert (state.in_use, state.degraded, state.reason) == ("cpu", False, None)
    assert state.runtime.split()[1][0].isdigit()
    assert dataclasses.asdict(state)["wanted"] == "cpu"


def test_packages_in_the_wrong_places_are_refused(pristine: Path) -> None:
    with pytest.raises(ModelError, match="face-embedding, not a face detector"):
        open_models(ModelsSettings(detector=pristine / "embedder", embedder=pristine / "detector"))


def test_a_name_that_is_nowhere_is_refused(pristine: Path) -> None:
    with pytest.raises(ModelError, match="no_such_model: no such model package"):
        open_models(ModelsSettings(detector=Path("no_such_model"), embedder=pristine / "embedder"))


def test_the_probe_needs_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    """The child must start under a service's bare environment, from any folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert Path(sys.executable).exists()
    assert shutil.which(sys.executable)
    assert "cannot be loaded" in str(EdgeTpu(runtime, delegate_library="libabsent.so").probe())
