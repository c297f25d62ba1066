"""From a trained torch network to a full-int8 TFLite file, by way of an equal Keras graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.training.embedder import Block, Embedder, Head
from models.training.networks import OUTPUTS, STRIDES, Detector, SameConv2d
from models.training.train_pad import PadNetwork

Floats = NDArray[np.float32]
Node = Any  # a Keras tensor; TensorFlow ships no types


def conv(x: Node, layer: nn.Conv2d, relu: bool) -> Node:
    """One torch convolution (and ReLU) as Keras layers on the NHWC node `x`."""
    from keras import layers

    assert layer.bias is not None
    kernel, bias = (part.detach().numpy() for part in (layer.weight, layer.bias))
    size, stride = layer.kernel_size[0], layer.stride[0]
    same = isinstance(layer, SameConv2d) or (stride == 1 and layer.padding[0] == size // 2)
    if not same and layer.padding[0]:
        # torch pads both sides, but an even map under stride 2 only ever reads the first side
        pad = layer.padding[0]
        x = layers.ZeroPadding2D(((pad, 0), (pad, 0)))(x)
    options: dict[str, Any] = {
        "strides": stride,
        "padding": "same" if same else "valid",
        "activation": "relu" if relu else None,
    }
    if layer.groups > 1:
        made = layers.DepthwiseConv2D(size, **options)
        kernel = kernel.transpose(2, 3, 0, 1)
    else:
        made = layers.Conv2D(layer.out_channels, size, **options)
        kernel = kernel.transpose(2, 3, 1, 0)
    out = made(x)
    made.set_weights([kernel, bias])
    return out


def blocks(x: Node, segment: nn.Module) -> Node:
    """A segment of the embedder, without its head, on the node `x`."""
    from keras import layers

    parts = list(segment) if isinstance(segment, nn.Sequential) else [segment]
    for part in parts:
        if isinstance(part, Block):
            y = conv(conv(x, part.a, relu=True), part.b, relu=False)
            x = layers.Add()([x, y]) if part.adds else y
        elif isinstance(part, nn.Conv2d):
            x = conv(x, part, relu=True)
    return x


def keras_embedder(model: Embedder) -> Any:
    """The folded embedder as a Keras model with input `(1, s, s, 3)` and output `(1, d)`."""
    import keras

    size = model.shape.input_px
    image = keras.Input((size, size, 3), batch_size=1, name="image")
    *segments, last = model.seg
    x = image
    for segment in segments:
        x = blocks(x, segment)
    head = cast(Head, last)
    x = conv(x, head.neck, relu=True)
    pool = keras.layers.DepthwiseConv2D(head.pool.shape[-1], padding="valid")
    x = pool(x)
    weights = head.pool.detach().permute(1, 2, 0)[..., None].numpy()
    pool.set_weights([weights, np.zeros(len(head.pool), np.float32)])
    x = keras.layers.Reshape((model.shape.neck,))(x)
    dense = keras.layers.Dense(model.shape.embedding)
    out = dense(x)
    dense.set_weights([head.dense.weight.detach().numpy().T, head.dense.bias.detach().numpy()])
    return keras.Model(image, {"embedding": out})


def keras_detector(model: Detector) -> Any:
    """The detector as a Keras model with outputs `score_8`, `box_8`, `landmarks_8` and so on."""
    import keras

    image = keras.Input(
        (model.shape.height_px, model.shape.width_px, 3), batch_size=1, name="image"
    )
    x = image
    for layer in model.stem:
        x = conv(x, layer, relu=True)
    maps = []
    for entry, stage in zip(model.entries, model.stages, strict=True):
        x = conv(x, entry, relu=True)
        for block in stage:
            y = conv(conv(x, block.first, relu=True), block.second, relu=False)
            x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
        maps.append(x)
    up = keras.layers.Conv2DTranspose(model.lateral.out_channels, 2, strides=2)
    y = up(maps[1])
    up.set_weights(
        [
            model.lateral.weight.detach().permute(2, 3, 1, 0).numpy(),
            model.lateral.bias.detach().numpy(),
        ]
    )
    maps[0] = keras.layers.ReLU()(keras.layers.Add()([maps[0], y]))
    outputs = {}
    for stride, level, head in zip(STRIDES, maps, model.heads, strict=True):
        neck = conv(level, head.neck, relu=True)
        for name, _ in OUTPUTS:
            outputs[f"{name}_{stride}"] = conv(neck, getattr(head, name), relu=False)
    return keras.Model(image, outputs)


def keras_pad(model: PadNetwork) -> Any:
    """The folded attack detector as a Keras model with the output `score`, `(1, 1, 1, 1)`."""
    import keras

    size = model.shape.input_px
    image = keras.Input((size, size, 3), batch_size=1, name="image")
    x = image
    for entry, stage in zip(model.entries, model.stages, strict=True):
        x = conv(x, cast(nn.Conv2d, entry), relu=True)
        for block in cast(nn.Sequential, stage):
            y = conv(conv(x, block.first, relu=True), block.second, relu=False)
            x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    dense = keras.layers.Conv2D(1, 1)
    out = dense(x)
    weights = model.dense.weight.detach().numpy().T[None, None]
    dense.set_weights([weights, model.dense.bias.detach().numpy()])
    return keras.Model(image, {"score": out})


def torch_outputs(model: nn.Module, images: Floats) -> dict[str, Floats]:
    """What the torch network gives for NHWC images, under the names of the Keras outputs, NHWC."""
    with torch.no_grad():
        given = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    if isinstance(model, PadNetwork):
        return {"score": given.numpy()[:, None, None]}
    if isinstance(given, torch.Tensor):
        return {"embedding": given.numpy()}
    return {
        f"{name}_{stride}": level[i].permute(0, 2, 3, 1).numpy()
        for stride, level in zip(STRIDES, given, strict=True)
        for i, (name, _) in enumerate(OUTPUTS)
    }


def prove_equal(model: nn.Module, twin: Any, images: Floats, tolerance: float = 1e-3) -> float:
    """The largest relative difference between torch and Keras over a batch.

    Raises ValueError naming the output when it is above `tolerance`.
    """
    worst = 0.0
    for image in images:
        expected = torch_outputs(model, image[None])
        given = twin(image[None], training=False)
        for name, value in expected.items():
            span = float(np.abs(value).max()) or 1.0
            error = float(np.abs(np.asarray(given[name]) - value).max()) / span
            if error > tolerance:
                raise ValueError(f"{name}: Keras and torch differ by {error:.2e} of the range")
            worst = max(worst, error)
    return worst


def quantise(twin: Any, representative: Callable[[], Iterable[Floats]]) -> bytes:
    """Full int8 TFLite bytes (weights per channel, dense per tensor, int8 in and out).

    `representative` yields float32 NHWC images `(1, h, w, 3)` as the network sees them.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(twin)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in representative())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    # Public only under this name: an Edge TPU maps a dense layer when it is quantised per tensor.
    per_tensor_dense = "_experimental_disable_per_channel_quantization_for_dense_layers"
    setattr(converter, per_tensor_dense, True)
    return bytes(converter.convert())


def name_tensors(data: bytes, expected: dict[str, Floats], image: Floats) -> bytes:
    """The same file with its input tensor called `image` and its outputs called as `expected`.

    The converter does not keep names, and an index means nothing; so each output is recognised by
    its values on `image`, and the names go into the flatbuffer, where a compiled twin keeps them.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    scale, zero = source["quantization"]
    codes = np.clip(np.round(image / scale) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(source["index"], codes)
    interpreter.invoke()
    names = {source["index"]: "image"}
    for detail in interpreter.get_output_details():
        scale, zero = detail["quantization"]
        given = (interpreter.get_tensor(detail["index"]).astype(np.float32) - zero) * scale
        fits = {
            n: float(np.abs(given - v).mean())
            for n, v in expected.items()
            if v.shape == given.shape
        }
        names[detail["index"]] = min(fits, key=lambda name: fits[name])
    if len(set(names.values())) != len(expected) + 1:
        raise ValueError(f"outputs could not be told apart: {sorted(names.values())}")
    tree = schema.ModelT.InitFromPackedBuf(data, 0)
    for index, name in names.items():
        tree.subgraphs[0].tensors[index].name = name.encode()
    tree.signatureDefs = []
    tree.description = b"edgeface"
    builder = flatbuffers.Builder(len(data) + 4096)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def export(model: nn.Module, samples: Floats, out: Path) -> float:
    """Write `out` from a trained network in eval mode; return the torch-Keras difference.

    `samples` float32 NHWC `(n, h, w, 3)`: all calibrate the activations, the first eight prove
    equality.
    """
    model.eval()
    if isinstance(model, PadNetwork):
        twin = keras_pad(model)
    else:
        twin = keras_embedder(model) if isinstance(model, Embedder) else keras_detector(model)  # type: ignore[arg-type]
    worst = prove_equal(model, twin, samples[:8])
    data = quantise(twin, lambda: (sample[None] for sample in samples))
    first = samples[:1]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(name_tensors(data, torch_outputs(model, first), first))
    return worst
