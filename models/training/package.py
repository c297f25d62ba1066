"""Write a model package: `model.tflite`, its golden run, and the `model.yaml` that names both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.demo.photographs import COLLINS
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.golden import check_golden
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import load_package, space_id
from edgeface.inference.package_files import file_sha256, write_description
from edgeface.inference.package_files import write_golden as write_arrays
from edgeface.inference.passive_liveness import PassiveLiveness
from edgeface.inference.runtimes import find_runtime
from edgeface.recognition.alignment import RETAIL, align
from models.training.networks import STRIDES, DetectorShape
from models.training.pad_pool import SURROUNDINGS, cut_out
from models.training.pad_views import INPUT_PX, plain_view

ROOT = Path(__file__).resolve().parents[1]
LICENCE = "weights trained for this project; see ../LICENSE"
DETECTOR_DATA = (
    "WIDER FACE (part of val), photographs of people with masks, portraits; pasted faces"
)
EMBEDDER_DATA = (
    "97,622 unlabelled faces: DFDC, All-Age-Faces, CelebA, WIDER FACE, UTKFace, Bollywood and "
    "eleven smaller sets; taught by face-reidentification-retail-0095"
)

PAD_DATA = (
    "NUAA (15 people, live and printed), faces of WIDER FACE val taken for live, and attacks made "
    "of those"
)


def photograph() -> NDArray[np.uint8]:
    """The golden picture, BGR uint8 `(512, 512, 3)`: Eileen Collins, NASA, public domain."""
    return np.asarray(cv2.imread(str(COLLINS)), np.uint8)


def describe_detector(shape: DetectorShape, version: str, score_threshold: float) -> dict[str, Any]:
    """`model.yaml` of a detector, less its files."""
    return {
        "format": 1,
        "name": "face_detector",
        "version": version,
        "task": "face-detection",
        "licence": LICENCE,
        "training_data": DETECTOR_DATA,
        "input": {
            "tensor": "image",
            "width": shape.width_px,
            "height": shape.height_px,
            "channels": "RGB",
            "mean": 127.5,
            "std": 128.0,
            "fit": "letterbox",
            "pad": 0,
        },
        "output": {
            "layout": "anchor-free",
            "levels": [
                {
                    "stride": s,
                    "score": f"score_{s}",
                    "box": f"box_{s}",
                    "landmarks": f"landmarks_{s}",
                }
                for s in STRIDES
            ],
            "score": "logit",
            "box": "ltrb",
            "cell_offset": 0.5,
            "landmarks": "offset",
            "score_threshold": score_threshold,
            "nms_iou": 0.4,
        },
        "golden": {"iou_min": 0.95, "landmark_px": 1.0, "score_tolerance": 0.05},
    }


def describe_embedder(
    tflite: Path, version: str, calibration: dict[str, Any] | None, notes: str
) -> dict[str, Any]:
    """`model.yaml` of an embedder, less its files."""
    from edgeface.inference.description import Preprocessing

    preprocessing = {
        "tensor": "image",
        "width": RETAIL.size_px,
        "height": RETAIL.size_px,
        "channels": "RGB",
        "mean": 127.5,
        "std": 128.0,
    }
    space = space_id(file_sha256(tflite), Preprocessing.model_validate(preprocessing), RETAIL.name)
    return {
        "format": 1,
        "name": "facenet",
        "version": version,
        "task": "face-embedding",
        "licence": LICENCE,
        "training_data": EMBEDDER_DATA,
        "notes": notes,
        "input": preprocessing,
        "output": {"tensor": "embedding", "dimensions": 128},
        "alignment": RETAIL.name,
        "space_id": space,
        "golden": {"embedding_cosine_min": 0.995},
        **({"calibration": calibration} if calibration else {}),
    }


def describe_pad(version: str, calibration: dict[str, Any] | None = None) -> dict[str, Any]:
    """`model.yaml` of the attack detector, less its files."""
    return {
        "format": 1,
        "name": "pad",
        "version": version,
        "task": "attack-detection",
        "licence": LICENCE,
        "training_data": PAD_DATA,
        "input": {
            "tensor": "image",
            "width": INPUT_PX,
            "height": INPUT_PX,
            "channels": "RGB",
            "mean": 127.5,
            "std": 128.0,
            "fit": "stretch",
        },
        "output": {"tensor": "score", "score": "logit"},
        "surroundings": SURROUNDINGS,
        "golden": {"score_tolerance": 0.02},
        **({"calibration": calibration} if calibration else {}),
    }


def colorful(model: PassiveLiveness, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The input, RGB, of a picture in colors so strong that the score is quite another with red and
    blue swapped: a network that was to see no camera's colors hardly minds natural ones."""
    values = plain_view(picture)[..., ::-1].astype(np.float32)
    gray = values.mean(axis=2, keepdims=True)
    views = [
        np.ascontiguousarray((gray + (values - gray) * gain).clip(0, 255).astype(np.uint8) // dark)
        for gain in (1, 2, 3, 5)
        for dark in (1, 2)
    ]

    def change(view: NDArray[np.uint8]) -> float:
        return abs(model.score_input(view) - model.score_input(view[..., ::-1]))

    return max(views, key=change)


def open_folder(folder: Path) -> Detector | Embedder | PassiveLiveness:
    """The model of a package, on the CPU."""
    return open_on_cpu(load_package(folder), find_runtime())


def write_golden(folder: Path, description: dict[str, Any], detector: Path | None = None) -> None:
    """Run the model on the golden picture, keep input and output, and check that it passes.

    All but a detector need the package of a `detector` to find the face. Raises ModelError without
    it, and when the picture with red and blue swapped passes as well.
    """
    if detector is None and description["task"] != "face-detection":
        raise ModelError(f"{folder}: its golden run needs a face, and so a detector: --detector")
    write_arrays(folder, input=np.zeros((1, 1, 3), np.uint8))
    write_description(folder, description)
    model = open_folder(folder)
    picture = photograph()
    outputs: dict[str, NDArray[Any]]
    if isinstance(model, Detector):
        rules = description["input"]
        pixels = np.zeros((rules["height"], rules["width"], 3), np.uint8)
        side = min(pixels.shape[:2])
        pixels[:side, :side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        pixels = np.ascontiguousarray(pixels[..., ::-1])
        found = model.detect_input(pixels)
        outputs = {"boxes": found.boxes, "landmarks": found.landmarks, "scores": found.scores}
    else:
        assert detector is not None
        finder = open_folder(detector)
        assert isinstance(finder, Detector)
        face = finder.detect(picture)[0]
        if isinstance(model, PassiveLiveness):
            pixels = colorful(model, cut_out(picture, face.box))
            outputs = {"score": np.array(model.score_input(pixels))}
        else:
            pixels = align(picture, face.landmarks, model.alignment)
            outputs = {"embedding": model.embed_input(pixels)}
    write_arrays(folder, input=pixels, **{k: v.astype(np.float32) for k, v in outputs.items()})
    write_description(folder, description)
    check_golden(load_package(folder), open_folder(folder)).require()
