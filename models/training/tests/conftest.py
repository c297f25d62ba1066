"""A tiny pool in the form of the real one, made from two public-domain photographs."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface.demo.photographs import HOPPER
from edgeface.recognition.alignment import ARCFACE, RETAIL, similarity
from models.training.embedder import STREAM, STRIDE
from models.training.faces import DIVERSE_MARGIN_PX, DIVERSE_PX, FACE_PX, MARGIN_PX
from models.training.package import open_folder, photograph
from models.training.teacher import NODES
from models.training.views import CROP_PX

MODELS = Path(__file__).resolve().parents[2]
ENTRIES = (("pool", 40), ("scenes", 12))


def jpeg(image: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".jpg", image)
    assert done
    return data.tobytes()


def aligned(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The photograph's face as a pool has faces: the template with its margin."""
    face = open_folder(MODELS / "face_detector").detect(image)[0]  # type: ignore[union-attr]
    template, margin = {
        FACE_PX: (ARCFACE.template, MARGIN_PX),
        DIVERSE_PX: (RETAIL.template, DIVERSE_MARGIN_PX),
    }[side]
    matrix = similarity(face.landmarks, template + np.float32(margin))
    return np.asarray(cv2.warpAffine(image, matrix, (side, side)), np.uint8)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `faces_*.zip`, `faces.csv`, `faces_teacher.npy`, `pad/`, `detector.zip` and its
    boxes."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    picture = photograph()
    face = aligned(picture, FACE_PX)
    with (folder / "faces.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["image", "source"])
        for half in (0, 1):
            with zipfile.ZipFile(folder / f"faces_{half}.zip", "w") as archive:
                for i in range(20 * half, 20 * half + 20):
                    shade = np.clip(face * rng.uniform(0.5, 1.3), 0, 255).astype(np.uint8)
                    archive.writestr(f"faces_{half}/{i:05d}.jpg", jpeg(np.roll(shade, i, axis=1)))
                    table.writerow([f"{i:05d}.jpg", "made"])
    with (folder / "diverse.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["image", "source", "age_sex_group"])
        with zipfile.ZipFile(folder / "diverse.zip", "w") as archive:
            for i in range(40):
                shade = np.clip(aligned(picture, DIVERSE_PX) * rng.uniform(0.5, 1.3), 0, 255)
                archive.writestr(f"diverse/{i:05d}.jpg", jpeg(shade.astype(np.uint8)))
                table.writerow([f"{i:05d}.jpg", "utkface", f"{20 + i}_1_0"])
    (folder / "pad").mkdir()
    lines = ["image,source,person,kind,session"]
    with zipfile.ZipFile(folder / "pad" / "pad.zip", "w") as archive:
        for source, kinds in (("nuaa", ("live", "print")), ("msu", ("live", "print", "phone"))):
            for i, kind in enumerate(kind for kind in kinds for _ in range(4)):
                name = f"{source}{i}.jpg"
                shade = np.clip(picture * rng.uniform(0.5, 1.3), 0, 255).astype(np.uint8)
                archive.writestr(name, jpeg(cv2.resize(shade, (128, 128))))
                lines.append(f"{name},{source},{i % 4},{kind},0")
    (folder / "pad" / "pad.csv").write_text("\n".join(lines) + "\n")
    np.save(
        folder / "faces_teacher.npy", rng.normal(0, 25, (40, 256)).clip(-127, 127).astype(np.int8)
    )
    boxes = io.StringIO()
    rows = csv.writer(boxes)
    rows.writerow(["image", "x", "y", "w", "h", "ignore"])
    with zipfile.ZipFile(folder / "detector.zip", "w") as archive:
        for i in range(12):
            scaled = cv2.resize(picture, None, fx=0.3 + 0.04 * i, fy=0.3 + 0.04 * i)
            archive.writestr(f"wider/{i}.jpg", jpeg(scaled))
            zoom = 0.3 + 0.04 * i
            rows.writerow([f"wider/{i}.jpg", 170 * zoom, 55 * zoom, 105 * zoom, 135 * zoom, 0])
    (folder / "detector_boxes.csv").write_text(boxes.getvalue())
    return folder


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`<person>/<picture>` and `pairs.csv`: two photographs in many views, under invented names."""
    folder = tmp_path_factory.mktemp("people")
    hopper = cv2.imread(str(HOPPER))
    assert hopper is not None
    sources = [photograph(), hopper[:512]]
    rng = np.random.default_rng(0)
    lines = ["fold,a,b,same"]
    for person in range(24):
        (folder / f"{person:02d}").mkdir()
        for number in range(6):
            image = sources[person % 2]
            turn = cv2.getRotationMatrix2D(
                (256, 180), float(rng.normal(0, 8)), float(rng.uniform(0.7, 1))
            )
            view = cv2.warpAffine(image, turn, (512, 512))
            view = np.clip(view * rng.uniform(0.6, 1.3, 3), 0, 255).astype(np.uint8)
            (folder / f"{person:02d}" / f"{number}.jpg").write_bytes(jpeg(view))
    for person in range(24):
        fold, other = person // 12 * 5 + 1, person // 12 * 12 + (person + 1) % 12
        for number in range(6):
            lines.append(f"{fold},{person:02d}/{number}.jpg,{person:02d}/{(number + 1) % 6}.jpg,1")
            lines.append(f"{fold},{person:02d}/{number}.jpg,{other:02d}/{number}.jpg,0")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder


def pooling_teacher(folder: Path, nodes: tuple[str, ...] = NODES) -> Path:
    """An OpenVINO model that has layers of these names: mean grey of each cell, in as many channels
    as the real teacher's."""
    openvino = pytest.importorskip("openvino")
    from openvino import opset13 as ops

    image = ops.parameter([1, 3, CROP_PX, CROP_PX], np.float32)
    ends, pooled = [], []
    for stride, channels, node in zip(STRIDE, STREAM, nodes, strict=True):
        size = [stride, stride]
        cells = ops.avg_pool(image, size, [0, 0], [0, 0], size, exclude_pad=True)
        weights = np.repeat(np.linspace(0.1, 1, channels, dtype=np.float32), 3)
        kernel = ops.constant(weights.reshape(channels, 3, 1, 1))
        last = ops.convolution(cells, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
        last.set_friendly_name(node)
        ends.append(last)
        pooled.append(ops.reduce_mean(last, ops.constant([1, 2, 3]), keep_dims=True))
    total = pooled[0]
    for one in pooled[1:]:
        total = ops.add(total, one)
    scale = ops.constant(np.linspace(-1, 1, 256, dtype=np.float32).reshape(1, 256, 1, 1))
    embedding = ops.multiply(total, scale)
    path = folder / "teacher.xml"
    openvino.save_model(openvino.Model([embedding], [image]), path, compress_to_fp16=False)
    return path
