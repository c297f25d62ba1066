"""An ONNX network as full-int8 TFLite, by the packages onnx2tf and TensorFlow.

Both are heavy, noisy and pinned to versions of their own, so they run in a process of their own:
this file, which imports them only there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError, RuntimeMissingError

TIMEOUT_S: Final = 3600.0
_MISSING: Final = 3
_SAMPLES, _ONNX, _OUT = "samples.npy", "model.onnx", "model.tflite"
_SAVED: Final = "saved_model"
_PROBE: Final = "calibration_image_sample_data_20x128x128x3_float32.npy"
"""What onnx2tf would otherwise fetch from the network: it looks in the current folder first."""
_SAID: Final = 6
"""Last lines of the converter in an error."""


def image_side(content: bytes) -> int:
    """Pixels of the square image that an ONNX network takes. Raises ModelError, or
    RuntimeMissingError without the package onnx."""
    try:
        import onnx
    except ImportError as error:
        raise RuntimeMissingError(_install(error)) from error
    try:
        graph = onnx.load_model_from_string(content).graph
    except Exception as error:  # protobuf's own, which has no public name
        raise ModelError(f"not an ONNX file: {error}") from error
    constants = {constant.name for constant in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    shape = [size.dim_value for size in inputs[0].type.tensor_type.shape.dim] if inputs else []
    if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or not shape[2]:
        sizes = ", ".join("x".join(map(str, shape)) for _ in inputs[:1]) or "none"
        raise ModelError(
            f"it takes {sizes}; one square image, Nx3x112x112 for instance, is needed (0: open)"
        )
    return int(shape[2])


def _install(error: object) -> str:
    return (
        f"an ONNX network is converted by onnx2tf ({error}); in a virtual environment of its own, "
        "with Python 3.11: pip install -c constraints/onnx.txt 'edgeface[onnx]'"
    )


def convert_onnx(content: bytes, samples: NDArray[np.float32]) -> bytes:
    """The TFLite file, int8 at both ends, of an ONNX network that takes one image.

    `samples` float32 `(n, h, w, 3)` are aligned faces as the network sees them (less the mean, over
    the deviation); their extremes become the activations' ranges. Takes minutes. Raises
    RuntimeMissingError without onnx2tf, ModelError when the network cannot be converted.
    """
    with tempfile.TemporaryDirectory(prefix="edgeface-onnx-") as scratch:
        folder = Path(scratch)
        (folder / _ONNX).write_bytes(content)
        np.save(folder / _SAMPLES, samples.astype(np.float32))
        probe = np.random.default_rng(1).random((20, 128, 128, 3), dtype=np.float32)
        np.save(folder / _PROBE, probe)
        # -P: nothing beside this file is to be taken for a package of that name.
        command = [sys.executable, "-P", str(Path(__file__).resolve())]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"onnx2tf has not come to an end in {TIMEOUT_S / 60:.0f} min"
            ) from error
        if done.returncode == _MISSING:
            raise RuntimeMissingError(_install(done.stderr.strip()))
        if done.returncode or not (folder / _OUT).is_file():
            said = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
            tail = " | ".join([line for line in said if line][-_SAID:])
            raise ModelError(f"onnx2tf cannot convert it: {tail}")
        return (folder / _OUT).read_bytes()


def _fixed(model: Any) -> Any:
    """The ONNX model with a batch of one, as the converter guesses wrongly where it is open."""
    import onnx

    constants = {constant.name for constant in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        sizes = value.type.tensor_type.shape.dim
        if value.name not in constants and len(sizes):
            sizes[0].Clear()
            sizes[0].dim_value = 1
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model)


def _convert() -> int:
    """In the process of its own, whose current folder has the samples and the network."""
    try:
        import onnx
        import onnx2tf
        import tensorflow as tf
    except ImportError as error:
        print(error, file=sys.stderr)
        return _MISSING
    onnx.save(_fixed(onnx.load(_ONNX)), _ONNX)
    onnx2tf.convert(
        input_onnx_file_path=_ONNX,
        output_folder_path=_SAVED,
        output_signaturedefs=True,
        non_verbose=True,
        verbosity="error",
    )
    samples = np.load(_SAMPLES)
    converter = tf.lite.TFLiteConverter.from_saved_model(_SAVED)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    # Public only under this name: an Edge TPU maps a dense layer when it is quantized per tensor.
    per_tensor_dense = "_experimental_disable_per_channel_quantization_for_dense_layers"
    setattr(converter, per_tensor_dense, True)
    Path(_OUT).write_bytes(converter.convert())
    return 0


if __name__ == "__main__":
    sys.exit(_convert())
