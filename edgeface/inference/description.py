"""`model.yaml`: everything the program knows about a model, typed and validated."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from edgeface.base.errors import ModelError
from edgeface.inference.named_shares import NamedShares
from edgeface.recognition.alignment import ALIGNMENTS, ARCFACE, similarity
from edgeface.recognition.templates import check_dimensions
from edgeface.recognition.values import Alignment

MODEL_FILE = "model.tflite"
COMPILED_FILE = "model_edgetpu.tflite"
GOLDEN_FILE = "golden.npz"


def _plain_name(name: str) -> str:
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"'{name}' is not the name of a file in the package's folder")
    return name


FileName: TypeAlias = Annotated[str, AfterValidator(_plain_name)]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PerChannel: TypeAlias = float | tuple[float, float, float]
Point: TypeAlias = tuple[float, float]
Fraction: TypeAlias = Annotated[float, Field(gt=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Preprocessing(_Part):
    """From pixels to the input tensor: `real = (pixel - mean) / std`, then the tensor's scale."""

    tensor: str
    width: int = Field(gt=0, le=4096)
    """Pixels."""
    height: int = Field(gt=0, le=4096)
    """Pixels."""
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: PerChannel = 127.5
    """In pixel values, one number or three in the order of `channels`."""
    std: PerChannel = 128.0
    fit: Literal["letterbox", "stretch"] = "letterbox"
    """letterbox: scaled to fit, placed top left, the rest filled. stretch: scaled to fill."""
    pad: int = Field(default=0, ge=0, le=255)
    """Pixel value of the filled rest."""

    @model_validator(mode="after")
    def _positive_std(self) -> Preprocessing:
        if any(std <= 0 for std in self.std_by_channel):
            raise ValueError("std must be above 0")
        return self

    @property
    def mean_by_channel(self) -> tuple[float, float, float]:
        """Three numbers in the order of `channels`."""
        return self.mean if isinstance(self.mean, tuple) else (self.mean,) * 3

    @property
    def std_by_channel(self) -> tuple[float, float, float]:
        """Three numbers in the order of `channels`."""
        return self.std if isinstance(self.std, tuple) else (self.std,) * 3

    def canonical(self) -> dict[str, Any]:
        """What identifies the preprocessing, independent of how it was spelled."""
        return {
            "width": self.width,
            "height": self.height,
            "channels": self.channels,
            "mean": list(self.mean_by_channel),
            "std": list(self.std_by_channel),
            "fit": self.fit,
            "pad": self.pad,
        }


class Level(_Part):
    """The three output tensors of one stride."""

    stride: int = Field(gt=0)
    score: str
    box: str
    landmarks: str


class DetectorOutput(_Part):
    """How boxes, scores and landmarks lie in the output tensors.

    Every tensor is `(1, rows, cols, anchors * k)` or the same flattened to `(1, n, k)`, with
    `rows = ceil(height / stride)`, `cols = ceil(width / stride)`; k = 1, 4, 10.
    """

    layout: Literal["anchor-free"]
    levels: tuple[Level, ...] = Field(min_length=1)
    score: Literal["logit", "probability"] = "logit"
    box: Literal["ltrb", "cxcywh-log"] = "ltrb"
    """ltrb: distances to the four sides over the stride (FCOS, Tian et al. 2019).
    cxcywh-log: center offset over the stride, log of the size over the stride (YOLOX, Ge et al.
    2021; YuNet)."""
    landmarks: Literal["offset"] = "offset"
    """x and y over the stride from the reference point, in the order of `values.Landmarks`."""
    cell_offset: float = Field(default=0.5, ge=0, le=1)
    """The reference point is `(col + cell_offset) * stride, (row + cell_offset) * stride`."""
    anchors_per_cell: int = Field(default=1, ge=1, le=16)
    """Predictions that share a reference point."""
    score_threshold: Fraction = 0.5
    nms_iou: Fraction = 0.4


class EmbedderOutput(_Part):
    """The embedding tensor, `(1, dimensions)`."""

    tensor: str
    dimensions: Annotated[int, AfterValidator(check_dimensions)]


class LivenessOutput(_Part):
    """The tensor `(1, 1)` that says how live a face is; the higher, the more so."""

    tensor: str
    score: Literal["logit", "probability"] = "logit"


class LivenessThreshold(_Part):
    """The score below which a track's mean is an attack, and how many live people that refuses."""

    bpcer: Fraction
    """ISO/IEC 30107-3: share of the live (bona fide) presentations that are called attacks."""
    threshold: Fraction


class LivenessCalibration(_Part):
    """Measured on live people who were not trained on."""

    people: int = Field(gt=0)
    thresholds: tuple[LivenessThreshold, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> LivenessCalibration:
        for before, after in pairwise(self.thresholds):
            if not (before.bpcer < after.bpcer and before.threshold <= after.threshold):
                raise ValueError("thresholds: bpcer must ascend, and threshold may not descend")
        return self

    def threshold(self, bpcer: float) -> float:
        """That of the largest BPCER that is not above `bpcer`. Raises ModelError below the least:
        so few refusals the data cannot promise."""
        met = [row.threshold for row in self.thresholds if row.bpcer <= bpcer]
        if not met:
            least = self.thresholds[0].bpcer
            raise ModelError(f"calibration: no BPCER of {bpcer:g}; the least there is {least:g}")
        return met[-1]


class OwnTemplate(_Part):
    """Where an aligned crop has the five landmarks, for an embedder that was trained on another
    template than those that have a name."""

    points: tuple[Point, Point, Point, Point, Point]
    """x, y in pixels of the input, in the order of `values.Landmarks`."""

    @model_validator(mode="after")
    def _can_be_aligned_to(self) -> OwnTemplate:
        similarity(ARCFACE.template, np.array(self.points, np.float32))
        return self


def _known_name(alignment: object) -> object:
    if isinstance(alignment, str) and alignment not in ALIGNMENTS:
        names = " or ".join(f"'{name}'" for name in ALIGNMENTS)
        raise ValueError(f"should be {names}, or have the points of another template")
    return alignment


class DetectorGolden(_Part):
    """How near a golden run must come."""

    iou_min: Fraction = 0.95
    landmark_px: float = Field(default=1.5, gt=0)
    score_tolerance: float = Field(default=0.05, gt=0)


class EmbedderGolden(_Part):
    """How near a golden run must come."""

    embedding_cosine_min: Fraction = 0.995


class LivenessGolden(_Part):
    """How near a golden run must come."""

    score_tolerance: Fraction = 0.02


class _Description(_Part):
    format: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    version: str = Field(min_length=1)
    licence: str
    training_data: str
    notes: str = ""
    files: dict[FileName, Sha256]
    """sha256 of every file that is used."""
    input: Preprocessing

    @model_validator(mode="after")
    def _needed_files(self) -> _Description:
        missing = [name for name in (MODEL_FILE, GOLDEN_FILE) if name not in self.files]
        if missing:
            raise ValueError(f"files: {', '.join(missing)} missing from the list")
        return self


class DetectorDescription(_Description):
    """A face detector with five landmarks."""

    task: Literal["face-detection"]
    output: DetectorOutput
    golden: DetectorGolden = DetectorGolden()


class EmbedderDescription(_Description):
    """A face embedder."""

    task: Literal["face-embedding"]
    output: EmbedderOutput
    alignment: Annotated[
        Literal["arcface-112", "retail-128"] | OwnTemplate, BeforeValidator(_known_name)
    ]
    """Landmark template that crops are aligned to: its name, or its five points."""
    space_id: Sha256
    calibration: dict[str, Any] | None = None
    """`Calibration.to_mapping()`; None until calibrated."""
    identification: NamedShares | None = None
    """Made with the calibration."""
    golden: EmbedderGolden = EmbedderGolden()

    @model_validator(mode="after")
    def _takes_aligned_crops(self) -> EmbedderDescription:
        size = (self.input.width, self.input.height)
        side = self.template.size_px
        if size != (side, side):
            raise ValueError(
                f"input: {size[0]}x{size[1]}, but crops aligned to {self.template.name} are "
                f"{side}x{side}"
            )
        return self

    @property
    def template(self) -> Alignment:
        """The landmark template, in pixels of the input."""
        if isinstance(self.alignment, str):
            return ALIGNMENTS[self.alignment]
        points = np.array(self.alignment.points, dtype=np.float32)
        points.setflags(write=False)
        return Alignment("five points", self.input.width, points)

    @property
    def alignment_id(self) -> str:
        """What the space id holds of it."""
        if isinstance(self.alignment, str):
            return self.alignment
        return json.dumps(self.alignment.points, separators=(",", ":"))


class LivenessDescription(_Description):
    """A presentation attack detector: one face with what is around it, live or not."""

    task: Literal["attack-detection"]
    output: LivenessOutput
    surroundings: float = Field(default=2.7, ge=1, le=8)
    """Side of the square that is shown to it over the longer side of the face's box."""
    calibration: LivenessCalibration | None = None
    """None until calibrated."""
    golden: LivenessGolden = LivenessGolden()


Description: TypeAlias = DetectorDescription | EmbedderDescription | LivenessDescription

_ADAPTER: TypeAdapter[Description] = TypeAdapter(
    Annotated[Description, Field(discriminator="task")]
)
# libyaml reads the long calibration tables some ten times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_description(text: str, source: Path) -> Description:
    """Validate the text of a `model.yaml`.

    Raises ModelError with one line `source: field: fault` for every fault.
    """
    try:
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            faults = _duplicate_keys(node, "") if node is not None else []
            data = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ModelError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
    if faults:
        raise ModelError("\n".join(f"{source}: {fault}" for fault in faults))
    if not isinstance(data, dict):
        raise ModelError(f"{source}: a mapping with the model's description is needed")
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        lines = [f"{source}: {_field(part['loc'])}{part['msg']}" for part in error.errors()]
        raise ModelError("\n".join(lines)) from error


def _field(location: tuple[int | str, ...]) -> str:
    # The first part is the tag of the union, which is not in the file.
    tags = ("face-detection", "face-embedding", "attack-detection")
    parts = location[1:] if location and location[0] in tags else location
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return f"{path}: " if path else ""


def _duplicate_keys(node: yaml.Node, path: str) -> list[str]:
    faults: list[str] = []
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            here = f"{path}.{key.value}" if path else str(key.value)
            if key.value in seen:
                faults.append(f"{here}: given twice (line {key.start_mark.line + 1})")
            seen.add(key.value)
            faults += _duplicate_keys(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            faults += _duplicate_keys(item, f"{path}[{position}]")
    return faults
