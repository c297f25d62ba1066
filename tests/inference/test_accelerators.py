from __future__ import annotations

import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeface.base.errors import ModelError, RuntimeMissingError
from edgeface.inference.delegate import Delegate
from edgeface.inference.golden import check_golden
from edgeface.inference.models import open_models
from edgeface.inference.runtimes import RUNTIMES, Runtime
from edgeface.settings.models import ModelsSettings
from tests.support.edgetpu import build_edgetpu
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
    """Both packages with a file that only the stand-ins can run."""
    folder = tmp_path_factory.mktemp("compiled")
    write_detector(folder / "detector", compiled=detector_model(compiled=True))
    write_embedder(folder / "embedder", compiled=embedder_model(compiled=True))
    return folder


def open_both(
    folder: Path,
    accelerator: Any = "auto",
    library: str = "/absent/libedgetpu.so.1",
    lost: str | None = None,
    **settings: Any,
) -> Any:
    both = {"detector": folder / "detector", "embedder": folder / "embedder"}
    chosen = ModelsSettings(**both, accelerator=accelerator, delegate=library, **settings)
    return open_models(chosen, lost=lost)


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
    tpu = Delegate(runtime, build_edgetpu(libraries, behavior))
    found = tpu.probe([compiled / "detector" / "model_edgetpu.tflite"])
    assert (found is None) == (reason is None)
    assert re.search(reason or "", found or "")


def test_a_probe_that_hangs_is_given_up(runtime: Runtime, libraries: Path) -> None:
    tpu = Delegate(runtime, build_edgetpu(libraries, "HANGS"))
    found = tpu.probe(timeout_s=3.0)
    assert found is not None
    assert "hung while" in str(found)
    assert "(over 3 s)" in str(found)


def test_a_missing_library_names_what_to_install(runtime: Runtime) -> None:
    found = Delegate(runtime, "libedgetpu_absent.so.1").probe()
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
    tpu = Delegate(Runtime("litert", "9.9", None), options={"device": "usb:1"})
    found = tpu.explain(returncode, stdout, stderr)
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
    _, _, state = open_both(compiled)
    assert (state.in_use, state.degraded) == ("cpu", False)
    assert "cannot be loaded" in str(state.reason)


def test_a_configured_tpu_that_is_missing_is_degraded_with_the_reason(compiled: Path) -> None:
    detector, _, state = open_both(compiled, "edgetpu")
    assert (state.in_use, state.degraded) == ("cpu", True)
    assert "/absent/libedgetpu.so.1 cannot be loaded" in str(state.reason)
    assert check_golden(detector.package, detector).fault is None


def test_a_configured_tpu_without_compiled_files_is_degraded(pristine: Path) -> None:
    _, _, state = open_both(pristine, "edgetpu")
    assert (state.in_use, state.degraded) == ("cpu", True)


@pytest.mark.parametrize("accelerator", ["auto", "edgetpu"])
def test_a_tpu_that_works_is_used(compiled: Path, libraries: Path, accelerator: str) -> None:
    library = build_edgetpu(libraries, "WORKS")
    detector, embedder, state = open_both(compiled, accelerator, library, edgetpu_device="usb")
    assert (state.in_use, state.degraded, state.reason) == ("edgetpu", False, None)
    assert check_golden(detector.package, detector).fault is None
    assert check_golden(embedder.package, embedder).fault is None


def test_a_library_that_crashes_never_takes_this_process_along(
    compiled: Path, libraries: Path
) -> None:
    library = build_edgetpu(libraries, "SEGFAULTS")
    _, _, state = open_both(compiled, "edgetpu", library)
    assert (state.in_use, state.degraded) == ("cpu", True)
    assert "SIGSEGV" in str(state.reason)


def test_a_tpu_that_refuses_after_a_good_probe_is_degraded(
    monkeypatch: pytest.MonkeyPatch, compiled: Path, libraries: Path
) -> None:
    monkeypatch.setattr(Delegate, "probe", lambda *_: None)
    library = build_edgetpu(libraries, "REFUSES")
    _, _, state = open_both(compiled, "edgetpu", library)
    assert (state.in_use, state.degraded) == ("cpu", True)
    assert "refused" in str(state.reason)


def test_a_lost_tpu_is_degraded_even_under_auto(compiled: Path, libraries: Path) -> None:
    library = build_edgetpu(libraries, "WORKS")
    _, _, state = open_both(compiled, library=library, lost="no answer within 2 s")
    assert (state.in_use, state.degraded) == ("cpu", True)
    assert state.reason == "no answer within 2 s"
    _, _, again = open_both(compiled, library=library)
    assert (again.in_use, again.degraded) == ("edgetpu", False)


def test_the_cpu_needs_no_reason(compiled: Path) -> None:
    _, _, state = open_both(compiled, "cpu")
    assert (state.in_use, state.degraded, state.reason) == ("cpu", False, None)
    assert state.runtime.split()[1][0].isdigit()


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
    assert "cannot be loaded" in str(Delegate(runtime, "libabsent.so").probe())


@pytest.fixture
def second_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: Runtime) -> None:
    """A tflite-runtime that is the runtime of this environment under another name, and tells the
    library that it fits."""
    package = tmp_path / "runtimes" / "tflite_runtime"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(
        f"""from {RUNTIMES[runtime.name]} import Interpreter, load_delegate as load
def load_delegate(library, options): return load(library, {{**options, "fits": "1"}})
"""
    )
    information = package.with_name("tflite_runtime-2.14.0.dist-info")
    information.mkdir()
    (information / "METADATA").write_text("Name: tflite-runtime\nVersion: 2.14.0\n")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    for name in ("tflite_runtime", "tflite_runtime.interpreter"):
        # So that it is gone afterwards, whatever the test imports.
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]


@pytest.mark.usefixtures("second_runtime")
def test_a_library_that_fits_another_runtime_only_does_not_mean_the_cpu(
    compiled: Path, libraries: Path, runtime: Runtime
) -> None:
    if runtime.name != "ai-edge-litert":
        pytest.skip("the first choice is not installed here")
    library = build_edgetpu(libraries, "MISFITS")
    detector, _, state = open_both(compiled, "auto", library)
    assert (state.in_use, state.degraded, state.reason) == ("edgetpu", False, None)
    assert state.runtime == "tflite-runtime 2.14.0"
    assert state.runtime_why.startswith(f"{runtime}: crashed with SIGSEGV")
    assert check_golden(detector.package, detector).fault is None
    _, _, state = open_both(compiled, "auto", library, runtime="litert")
    assert (state.in_use, state.runtime) == ("cpu", str(runtime))
    assert state.runtime_why == "models.runtime names it"


@pytest.mark.usefixtures("second_runtime")
def test_a_library_that_fits_no_runtime_is_told_for_each(
    compiled: Path, libraries: Path, runtime: Runtime
) -> None:
    if runtime.name != "ai-edge-litert":
        pytest.skip("the first choice is not installed here")
    library = build_edgetpu(libraries, "SEGFAULTS")
    _, _, state = open_both(compiled, "edgetpu", library)
    assert (state.in_use, state.runtime) == ("cpu", str(runtime))
    assert f"{runtime}: crashed with SIGSEGV" in str(state.reason)
    assert "tflite-runtime 2.14.0: crashed with SIGSEGV" in str(state.reason)


def test_a_runtime_that_is_named_and_missing_is_no_reason_to_take_another(
    monkeypatch: pytest.MonkeyPatch, pristine: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(
        RuntimeMissingError, match=r"for models\.runtime: tflite \(tflite-runtime: "
    ):
        open_both(pristine, "cpu", runtime="tflite")


def test_each_model_runs_where_it_is_wanted(compiled: Path, libraries: Path) -> None:
    library = build_edgetpu(libraries, "WORKS")
    _, _, state = open_both(compiled, "edgetpu", library, embedder_accelerator="cpu")
    assert (state.detector, state.embedder, state.degraded) == ("edgetpu", "cpu", False)
    _, _, state = open_both(compiled, "cpu", library, embedder_accelerator="auto")
    assert (state.detector, state.embedder, state.in_use) == ("cpu", "edgetpu", "edgetpu")


def test_one_without_a_compiled_file_does_not_keep_the_other_from_the_tpu(
    compiled: Path, pristine: Path, libraries: Path
) -> None:
    library = build_edgetpu(libraries, "WORKS")
    mixed = ModelsSettings(
        detector=compiled / "detector", embedder=pristine / "embedder", delegate=Path(library)
    )
    _, _, state = open_models(mixed)
    assert (state.detector, state.embedder, state.degraded) == ("edgetpu", "cpu", False)
    assert state.reason == "no model_edgetpu.tflite for test_embedder"
    _, _, state = open_models(mixed.on("edgetpu"))
    assert (state.detector, state.embedder, state.degraded) == ("edgetpu", "cpu", True)


def test_another_accelerator_is_one_library_with_its_options(
    pristine: Path, libraries: Path
) -> None:
    library = build_edgetpu(libraries, "MISFITS")
    detector, _, state = open_both(pristine, "delegate", library, delegate_options={"fits": "1"})
    assert (state.detector, state.embedder, state.degraded) == ("delegate", "delegate", False)
    assert check_golden(detector.package, detector).fault is None
    _, _, state = open_both(pristine, "delegate", library)
    assert (state.detector, state.degraded) == ("cpu", True)
    assert f"{library} and" in str(state.reason)


def test_an_answer_after_the_deadline_is_a_failure(
    compiled: Path, libraries: Path, tmp_path: Path
) -> None:
    fault = tmp_path / "fault"
    library = build_edgetpu(libraries, "LATE")
    options = {"delegate_options": {"fault_file": str(fault)}, "invoke_deadline_s": 0.1}
    detector, embedder, _ = open_both(compiled, "edgetpu", library, **options)
    assert check_golden(detector.package, detector).fault is None
    fault.touch()
    with pytest.raises(ModelError, match=r"took 0\.3\d s, models\.invoke_deadline_s is 0\.1"):
        check_golden(embedder.package, embedder)


def test_a_closed_model_cannot_be_run(pristine: Path) -> None:
    detector, embedder, _ = open_both(pristine, "cpu")
    for model in (detector, embedder):
        model.close()
        model.close()
        with pytest.raises(ModelError, match="it is closed"):
            check_golden(model.package, model)


def test_each_model_has_its_threads(monkeypatch: pytest.MonkeyPatch, pristine: Path) -> None:
    counts: list[int] = []
    made = Runtime.interpreter

    def interpreter(self: Runtime, content: bytes, *, threads: int = 1, **more: Any) -> Any:
        counts.append(threads)
        return made(self, content, threads=threads, **more)

    monkeypatch.setattr(Runtime, "interpreter", interpreter)
    open_both(pristine, "cpu", threads=3, embedder_threads=2)
    assert counts[-2:] == [3, 2]
