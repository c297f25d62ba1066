from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.base.errors import ModelError, RuntimeMissingError
from edgeface.inference import runtimes
from edgeface.inference.network import Network, Quantization, TensorSpec, find_tensor, read_spec
from edgeface.inference.runtimes import PROBE_MODEL, Runtime, find_runtime, probe_runtime
from tests.support.tflite import OPS, Graph, relu_model


def detail(**fields: Any) -> dict[str, Any]:
    base = {
        "name": "t",
        "index": 3,
        "shape": np.array([1, 4]),
        "shape_signature": np.array([1, 4]),
        "dtype": np.int8,
        "quantization_parameters": {"scales": np.array([0.5]), "zero_points": np.array([-3])},
    }
    return base | fields


def test_the_embedded_probe_model_is_what_the_builder_makes() -> None:
    assert relu_model() == PROBE_MODEL


def test_a_runtime_that_works_is_found_with_its_version() -> None:
    runtime = find_runtime()
    assert runtime.name in runtimes.RUNTIMES
    assert runtime.version[0].isdigit()


class BrokenByNumpy:
    """As tflite-runtime 2.14 under numpy 2: imports, then fails when something is built."""

    def __init__(self, **_: object) -> None:
        raise SystemError("initialization of _pywrap raised unreported exception")


class Wrong:
    """Builds and runs, and computes nonsense."""

    def __init__(self, **_: object) -> None:
        pass

    def allocate_tensors(self) -> None:
        pass

    invoke = allocate_tensors

    def get_input_details(self) -> list[dict[str, int]]:
        return [{"index": 0}]

    get_output_details = get_input_details

    def set_tensor(self, index: int, value: object) -> None:
        pass

    def get_tensor(self, index: int) -> Any:
        return np.zeros((1, 4), np.int8)


@pytest.mark.parametrize(
    ("interpreter", "reason"),
    [
        pytest.param(BrokenByNumpy, "installed but unusable: initialization", id="unusable"),
        pytest.param(Wrong, "computes wrong results", id="wrong"),
    ],
)
def test_a_runtime_that_imports_but_does_not_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, interpreter: type, reason: str
) -> None:
    fake = SimpleNamespace(Interpreter=interpreter)
    monkeypatch.setattr(runtimes.importlib.metadata, "version", lambda _: "9.9")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", SimpleNamespace(interpreter=fake))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", fake)
    with pytest.raises(RuntimeMissingError, match=reason):
        probe_runtime("ai-edge-litert")


def test_the_next_runtime_is_taken_when_the_first_does_not_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.import_module(runtimes.RUNTIMES[find_runtime().name])
    monkeypatch.setattr(
        runtimes.importlib.metadata, "version", lambda name: {"tflite-runtime": "2.14.0"}[name]
    )
    broken = SimpleNamespace(Interpreter=BrokenByNumpy)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", broken)
    monkeypatch.setitem(sys.modules, "tflite_runtime", SimpleNamespace(interpreter=real))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", real)
    assert find_runtime().name == "tflite-runtime"


def test_without_any_runtime_the_error_says_why_and_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(RuntimeMissingError) as caught:
        find_runtime()
    message = str(caught.value)
    assert "ai-edge-litert: not installed" in message
    assert "tflite-runtime: not installed" in message
    assert "pip install ai-edge-litert" in message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a flatbuffer at all", id="text"),
        pytest.param(PROBE_MODEL[:200], id="cut"),
    ],
)
def test_a_file_that_is_no_model_is_refused(runtime: Runtime, content: bytes) -> None:
    with pytest.raises(ModelError, match="refuses the model"):
        runtime.interpreter(content)


def test_a_missing_delegate_library_is_named_without_noise(
    runtime: Runtime, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeMissingError, match=r"libnothing\.so cannot be loaded"):
        runtime.load_delegate("libnothing.so", {})
    assert "Exception ignored" not in capfd.readouterr().err


def test_a_library_that_is_no_delegate_is_named(runtime: Runtime) -> None:
    with pytest.raises(RuntimeMissingError, match=r"libm\.so\.6 is no TFLite delegate"):
        runtime.load_delegate("libm.so.6", {})


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        pytest.param({"dtype": np.int16}, "int16; int8", id="dtype"),
        pytest.param({"shape_signature": np.array([-1, 4])}, "no fixed size", id="dynamic"),
        pytest.param(
            {"quantization_parameters": {"scales": np.array([]), "zero_points": np.array([])}},
            "no single quantization scale",
            id="unquantized",
        ),
        pytest.param(
            {
                "quantization_parameters": {
                    "scales": np.array([0.5, 0.25]),
                    "zero_points": np.array([0, 0]),
                }
            },
            "no single quantization scale",
            id="per-channel",
        ),
        pytest.param(
            {
                "quantization_parameters": {
                    "scales": np.array([0.0]),
                    "zero_points": np.array([0]),
                }
            },
            "no single quantization scale",
            id="zero-scale",
        ),
    ],
)
def test_a_tensor_that_cannot_be_used_is_refused(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(ModelError, match=f"tensor 't'.*{fault}"):
        read_spec(detail(**fields))


def test_a_missing_tensor_is_named_with_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"no tensor 'score'.*it has: t"):
        find_tensor([detail()], "score", [(1, 4)])


def test_a_tensor_of_another_shape_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'t' has shape \(1, 4\); \(1, 5\) or \(5,\) is needed"):
        find_tensor([detail()], "t", [(1, 5), (5,)])


def test_quantizing_rounds_halves_away_from_zero_and_clips() -> None:
    spec = TensorSpec("t", 0, (6,), np.dtype(np.int8), Quantization(0.5, 10))
    real = np.array([0.25, -0.25, 0.24, 1.0, 1e9, -1e9])
    assert spec.quantize(real).tolist() == [11, 9, 10, 12, 127, -128]


@given(scale=st.floats(1e-4, 10), zero=st.integers(-128, 127))
def test_quantizing_what_was_dequantized_gives_it_back(scale: float, zero: int) -> None:
    spec = TensorSpec("t", 0, (256,), np.dtype(np.int8), Quantization(scale, zero))
    values = np.arange(-128, 128, dtype=np.int8)
    assert np.array_equal(spec.quantize(spec.dequantize(values)), values)


def test_float_tensors_pass_unchanged() -> None:
    spec = read_spec(detail(dtype=np.float32))
    values = np.array([0.1, -2.5], np.float32)
    assert np.array_equal(spec.quantize(values), values)
    assert np.array_equal(spec.dequantize(values), values)
    assert spec.least_at(0.3) == 0.3


def test_outputs_are_found_by_name_in_any_order(runtime: Runtime) -> None:
    graph = Graph()
    x = graph.tensor("x", (1, 4), scale=0.5)
    first, second = graph.tensor("first", (1, 4), scale=0.5), graph.tensor("second", (1, 4))
    graph.op(OPS.RELU, [x], [first], version=2)
    graph.op(OPS.TANH, [x], [second], version=2)
    # TANH demands its own output scale.
    graph._subgraph.tensors[second].quantization.scale = [1 / 128]
    for order in ([first, second], [second, first]):
        network = Network(
            runtime.interpreter(graph.build([x], order)),
            input_name="x",
            input_shape=(1, 4),
            outputs={"second": [(1, 4)], "first": [(1, 4)]},
        )
        tanh, relu = network.run(np.array([[-8, 0, 2, 100]], np.int8))
        assert relu.tolist() == [[0, 0, 2, 100]]
        assert tanh[0].tolist() == pytest.approx([-128, 0, 97, 127], abs=1)


def test_results_do_not_change_with_the_next_run(runtime: Runtime) -> None:
    network = Network(
        runtime.interpreter(PROBE_MODEL),
        input_name="x",
        input_shape=(1, 4),
        outputs={"y": [(1, 4)]},
    )
    (before,) = network.run(np.array([[1, 2, 3, 4]], np.int8))
    network.run(np.array([[9, 9, 9, 9]], np.int8))
    assert before.tolist() == [[1, 2, 3, 4]]


def test_an_input_of_another_shape_is_a_model_error(runtime: Runtime) -> None:
    network = Network(
        runtime.interpreter(PROBE_MODEL),
        input_name="x",
        input_shape=(1, 4),
        outputs={"y": [(1, 4)]},
    )
    with pytest.raises(ModelError, match="cannot be run"):
        network.run(np.zeros((1, 5), np.int8))


def test_vendor_modules_are_named_only_where_they_are_loaded() -> None:
    room = Path(runtimes.__file__).parent
    naming = {p.name for p in room.glob("*.py") if "import ai_edge_litert" in p.read_text()}
    assert naming == set()
