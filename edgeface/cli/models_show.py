"""The layers of one network, as a table and as a drawing."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any, Final

from edgeface.base.errors import ModelError
from edgeface.base.files import read_file, write_file
from edgeface.cli.common import add_json, output_named
from edgeface.cli.graph_drawing import draw_graph
from edgeface.cli.plain import plain
from edgeface.inference.description import MODEL_FILE
from edgeface.inference.flatbuffer import GraphFacts, read_model
from edgeface.inference.layers import Layer, layers_of
from edgeface.inference.package import MODEL_BYTES, find_package, load_package

TEXT: Final = "the layers of a model: shapes, operators, parameters, multiply-adds; -o draws them"
_MODE: Final = 0o644


def add_show(verbs: Any) -> None:
    """`show`, beside the other verbs of `edgeface models`."""
    sub = verbs.add_parser(
        "show",
        help=TEXT,
        description=TEXT,
        epilog="example: edgeface models show facenet -o facenet.svg",
    )
    sub.add_argument("model", metavar="PKG|FILE.tflite", help="a package, or a TFLite file alone")
    sub.add_argument(
        "-o",
        "--output",
        type=output_named(".svg"),
        metavar="OUT.svg",
        help="draw the graph of the layers",
    )
    add_json(sub)
    sub.set_defaults(run=show_model)


def show_model(args: argparse.Namespace) -> int:
    """Print the table. Raises ModelError for what is no model."""
    title, content = _content(args.model)
    try:
        graph = read_model(content)
    except ModelError as error:
        raise ModelError(f"{args.model}: {error}") from error
    layers = layers_of(graph)
    if args.output is not None:
        taken = graph.tensors[graph.inputs[0]].shape if graph.inputs else ()
        write_file(args.output, draw_graph(title, taken, layers).encode(), _MODE, replace=True)
    if args.json:
        print(json.dumps(_mapping(title, graph, layers)))
    else:
        _print_table(title, graph, layers)
    return 0


def _content(name: str) -> tuple[str, bytes]:
    """A title and the bytes of the flatbuffer."""
    if not name.endswith(".tflite"):
        package = load_package(find_package(name))
        description = package.description
        return f"{description.name} {description.version}", package.read(MODEL_FILE)
    try:
        return Path(name).name, read_file(Path(name), MODEL_BYTES)
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror or error}") from error


def _mapping(title: str, graph: GraphFacts, layers: tuple[Layer, ...]) -> dict[str, Any]:
    return {
        "model": title,
        "size_bytes": graph.size_bytes,
        "parameters": graph.parameters,
        "parameter_bytes": graph.parameter_bytes,
        "multiply_adds": sum(layer.multiply_adds for layer in layers),
        **{
            end: [
                {"name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape}
                for tensor in (graph.tensors[index] for index in indices)
            ]
            for end, indices in (("inputs", graph.inputs), ("outputs", graph.outputs))
        },
        "layers": [dataclasses.asdict(layer) for layer in layers],
    }


def _print_table(title: str, graph: GraphFacts, layers: tuple[Layer, ...]) -> None:
    print(plain(title))
    for end, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in (graph.tensors[index] for index in indices):
            print(f"  {end:<7} {plain(tensor.name)}: {tensor.dtype} {_size(tensor.shape)}")
    head = ("layer", "takes", "operator", "detail", "gives", "parameters", "multiply-adds")
    rows = [
        (
            str(number),
            ",".join(str(source) for source in layer.sources),
            plain(layer.operator),
            layer.detail,
            " ".join(_size(shape) for shape in layer.shapes),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
        )
        for number, layer in enumerate(layers, start=1)
    ]
    total = f"{graph.parameters:,}", f"{sum(layer.multiply_adds for layer in layers):,}"
    rows.append(("", "", "all", "", "", *total))
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if column in (2, 3, 4) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
    for number, layer in enumerate(layers, start=1):
        for fault in layer.faults:
            print(f"  layer {number}: {plain(fault)}")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape) or "one number"
