"""Makes a model package of an embedder that somebody brings: a TFLite file and what it expects."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import ValidationError

from edgeface.base.errors import ModelError, NamedFileError
from edgeface.base.files import write_file
from edgeface.inference.description import GOLDEN_FILE, MODEL_FILE, EmbedderDescription
from edgeface.inference.embedder import Embedder
from edgeface.inference.flatbuffer import GraphFacts, TensorFacts, read_model
from edgeface.inference.golden import check_golden
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import ModelPackage, load_package, space_id
from edgeface.inference.package_files import write_description, write_golden
from edgeface.inference.runtimes import find_runtime
from edgeface.recognition.alignment import ALIGNMENTS, ARCFACE, align
from edgeface.recognition.templates import check_dimensions
from edgeface.recognition.values import Alignment, Image, Landmarks

_MODE: Final = 0o644
_STRICT: Final = 0.995
_LEAST_ROOM: Final = 1e-3
"""Between the golden run's cosine and that of the picture with red and blue swapped."""


@dataclass(frozen=True, slots=True)
class OwnEmbedder:
    """What a TFLite file does not say of itself."""

    name: str
    alignment: str | None = None
    """`arcface-112` or `retail-128`, scaled where the input has another size; None: the one of the
    input's size, else ArcFace's."""
    points: tuple[float, ...] = ()
    """Ten numbers, x and y of the five landmarks in the crop, instead of `alignment`."""
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, ...] = (127.5,)
    """One number, or one for each channel."""
    std: tuple[float, ...] = (127.5,)
    version: str = "1"
    licence: str = "unknown"
    training_data: str = "unknown"


def ends_of(graph: GraphFacts) -> tuple[TensorFacts, TensorFacts]:
    """The input and the output of an embedder: one square RGB or BGR image, one embedding.

    Raises ModelError that says what else there is, and what to do.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"it has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; an embedder "
            "takes one image and gives one embedding (a detector's package is written by hand, see "
            "docs/models.md)"
        )
    image, embedding = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    shape = image.shape
    if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
        raise ModelError(
            f"its input is {_size(shape)}, channels first; TFLite takes them last: convert it with "
            "onnx2tf, or give the ONNX file with --onnx"
        )
    if image.dynamic or len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or shape[1] != shape[2]:
        raise ModelError(
            f"its input is {_size(shape)}{' of no fixed size' if image.dynamic else ''}; 1 square "
            "image with 3 channels is needed, 1x112x112x3 for instance"
        )
    sizes = [size for size in embedding.shape if size != 1]
    if embedding.shape[:1] != (1,) or len(embedding.shape) not in (2, 4) or len(sizes) != 1:
        raise ModelError(
            f"its output is {_size(embedding.shape)}; 1 embedding is needed, 1x512 for instance"
        )
    try:
        check_dimensions(sizes[0])
    except ValueError as error:
        raise ModelError(f"its output is {_size(embedding.shape)}: {error}") from error
    return image, embedding


def check_absent(folder: Path) -> None:
    """Raises NamedFileError where no new folder can be made."""
    if folder.exists():
        raise NamedFileError(f"{folder}: is there already, and nothing is overwritten")
    if not folder.parent.is_dir():
        raise NamedFileError(f"{folder}: cannot be made, as {folder.parent} is no folder")


def make_embedder(
    folder: Path, content: bytes, own: OwnEmbedder, image_bgr: Image, landmarks: Landmarks
) -> ModelPackage:
    """Make the package `folder` of a TFLite file, without a calibration; nothing or all of it.

    Its golden run is the face in `image_bgr`. It is as strict as the model lets it be: with red and
    blue swapped it must fail. Raises ModelError when the file is no embedder, does not run, or does
    not see colors; NamedFileError when the folder cannot be made.
    """
    check_absent(folder)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        draft = Path(scratch) / folder.name
        draft.mkdir()
        write_file(draft / MODEL_FILE, content, _MODE)
        description = _described(content, own)
        write_golden(draft, input=np.zeros((1, 1, 3), np.uint8))
        write_description(draft, description)
        embedder = _open(draft)
        crop = align(image_bgr, landmarks, embedder.alignment)
        pixels = np.ascontiguousarray(crop if own.channels == "RGB" else crop[..., ::-1])
        embedding = embedder.embed_input(pixels)
        swapped = embedder.embed_input(np.ascontiguousarray(pixels[..., ::-1]))
        description["golden"] = {"embedding_cosine_min": _strictness(float(swapped @ embedding))}
        write_golden(draft, input=pixels, embedding=embedding)
        write_description(draft, description)
        check_golden(load_package(draft), _open(draft)).require()
        draft.rename(folder)
    return load_package(folder)


def _described(content: bytes, own: OwnEmbedder) -> dict[str, Any]:
    image, embedding = ends_of(read_model(content))
    side = image.shape[1]
    description: dict[str, Any] = {
        "format": 1,
        "name": own.name,
        "version": own.version,
        "task": "face-embedding",
        "licence": own.licence,
        "training_data": own.training_data,
        "input": {
            "tensor": image.name,
            "width": side,
            "height": side,
            "channels": own.channels,
            "mean": _one_or_three(own.mean),
            "std": _one_or_three(own.std),
        },
        "output": {"tensor": embedding.name, "dimensions": max(embedding.shape)},
        "alignment": _alignment(own, side),
        "space_id": "0" * 64,
    }
    sha256 = hashlib.sha256(content).hexdigest()
    files = {MODEL_FILE: sha256, GOLDEN_FILE: "0" * 64}
    try:
        parsed = EmbedderDescription.model_validate(description | {"files": files})
    except ValidationError as error:
        faults = "; ".join(f"{part['loc'][0]}: {part['msg']}" for part in error.errors())
        raise ModelError(faults) from error
    description["space_id"] = space_id(sha256, parsed.input, parsed.alignment_id)
    return description


def _strictness(swapped: float) -> float:
    """The cosine that the golden run has to reach, above that of the picture with red and blue
    `swapped`."""
    if swapped > 1 - _LEAST_ROOM:
        raise ModelError(
            f"red and blue swapped give the same embedding (cosine {swapped:.4f}), which the "
            "golden run could not notice: wrong --mean and --std, or a network that sees no colors"
        )
    return max(_STRICT, round((1 + swapped) / 2, 5))


def _open(folder: Path) -> Embedder:
    model = open_on_cpu(load_package(folder), find_runtime())
    assert isinstance(model, Embedder)
    return model


def template_of(own: OwnEmbedder, side: int) -> Alignment:
    """Where its crops of `side` pixels have the landmarks."""
    given = _alignment(own, side)
    if isinstance(given, str):
        return ALIGNMENTS[given]
    return Alignment("five points", side, np.array(given["points"], dtype=np.float32))


def _alignment(own: OwnEmbedder, side: int) -> Any:
    if own.points:
        return {"points": [list(own.points[at : at + 2]) for at in range(0, 10, 2)]}
    named = own.alignment or next(
        (name for name, known in ALIGNMENTS.items() if known.size_px == side), ARCFACE.name
    )
    template = ALIGNMENTS[named]
    if template.size_px == side:
        return named
    points = template.template.astype(np.float64) * (side / template.size_px)
    return {"points": [[round(float(value), 4) for value in point] for point in points]}


def _one_or_three(values: Sequence[float]) -> float | list[float]:
    return values[0] if len(values) == 1 else list(values)


def _size(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape) or "one number"
