"""One system in a process of its own: enrolls people, then names the faces of frames.

The peers run in an environment that has no edgeface, so this file is run by its path and imports
nothing of it. One JSON object a line: the first on standard input says what to enroll, each next
one which frames to name; every one is answered on standard output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

ARCFACE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float32,
)
"""Where the landmarks lie in a crop of 112x112 (InsightFace's template)."""
SCRFD_STRIDES = (8, 16, 32)
SCRFD_ANCHORS = 2


class System(Protocol):
    """What is measured."""

    def enroll(self, name: str, image_bgr: Any) -> bool:
        """Take somebody in from a picture; False without a face in it."""

    def name(self, image_bgr: Any, at_s: float, /) -> list[str | None]:
        """Whom a frame shows: a name, or None for a stranger, for each face that is decided."""


class Nearest:
    """A gallery of unit vectors; the best one's name from `least` of the cosine on."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._names: list[str] = []
        self._rows: list[Any] = []

    def add(self, name: str, embedding: Any) -> None:
        """One template more."""
        self._names.append(name)
        self._rows.append(embedding)

    def name(self, embedding: Any) -> str | None:
        """The best one's name."""
        scores = np.stack(self._rows) @ embedding
        best = int(np.argmax(scores))
        return self._names[best] if scores[best] >= self._least else None


class FaceRecognition:
    """`face_recognition` as its README shows it: dlib's HOG detector and ResNet, distance 0.6."""

    def __init__(self, _: dict[str, Any]) -> None:
        import face_recognition

        self._library = face_recognition
        self._names: list[str] = []
        self._known: list[Any] = []

    def _embed(self, image_bgr: Any) -> list[Any]:
        rgb = np.ascontiguousarray(image_bgr[:, :, ::-1])
        found = self._library.face_locations(rgb)
        return list(self._library.face_encodings(rgb, found))

    def enroll(self, name: str, image_bgr: Any) -> bool:
        """One picture of somebody."""
        found = self._embed(image_bgr)
        self._names += [name] * bool(found)
        self._known += found[:1]
        return bool(found)

    def name(self, image_bgr: Any, _at_s: float, /) -> list[str | None]:
        """By the least distance of at most 0.6, as `compare_faces` has it."""
        names: list[str | None] = []
        for embedding in self._embed(image_bgr):
            away = self._library.face_distance(self._known, embedding)
            best = int(np.argmin(away))
            names.append(self._names[best] if away[best] <= 0.6 else None)
        return names


class OnnxEmbedder:
    """An ArcFace or MobileFaceNet network for crops of 112x112, on onnxruntime."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._session = session(options["embedder"], options["threads"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, image_bgr: Any, landmarks: Any) -> Any:
        """float32 `(d,)`, unit length, of the face with these five landmarks."""
        warp, _ = cv2.estimateAffinePartial2D(landmarks, ARCFACE, method=cv2.LMEDS)
        crop = cv2.warpAffine(image_bgr, warp, (112, 112))
        blob = cv2.dnn.blobFromImage(crop, 1 / 127.5, (112, 112), (127.5,) * 3, swapRB=True)
        row = self._session.run(None, {self._input: blob})[0][0]
        return row / max(float(np.linalg.norm(row)), 1e-9)


class Aligned(ABC):
    """A detector with five landmarks before an ONNX embedder."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._embed = OnnxEmbedder(options)
        self._people = Nearest(options["least"])

    @abstractmethod
    def landmarks(self, image_bgr: Any) -> list[Any]:
        """float32 `(5, 2)` of each face, the best first."""

    def enroll(self, name: str, image_bgr: Any) -> bool:
        """One picture of somebody."""
        found = self.landmarks(image_bgr)
        if found:
            self._people.add(name, self._embed(image_bgr, found[0]))
        return bool(found)

    def name(self, image_bgr: Any, _at_s: float, /) -> list[str | None]:
        """Of every face of the frame."""
        found = self.landmarks(image_bgr)
        return [self._people.name(self._embed(image_bgr, marks)) for marks in found]


class OpenCV(Aligned):
    """OpenCV's FaceDetectorYN on the whole frame."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._detector = cv2.FaceDetectorYN.create(options["yunet"], "", (320, 320))

    def landmarks(self, image_bgr: Any) -> list[Any]:
        """Of YuNet, which sorts by score."""
        self._detector.setInputSize((image_bgr.shape[1], image_bgr.shape[0]))
        found = self._detector.detect(image_bgr)[1]
        return [] if found is None else [row[4:14].reshape(5, 2) for row in found]


class Scrfd(Aligned):
    """InsightFace's pipeline by hand: SCRFD at 640x640 on onnxruntime."""

    side = 640

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._session = session(options["scrfd"], options["threads"])
        self._input = self._session.get_inputs()[0].name
        outputs = len(self._session.get_outputs())
        if outputs != 3 * len(SCRFD_STRIDES):
            raise SystemExit(f"{options['scrfd']}: {outputs} outputs, not SCRFD with landmarks")

    def landmarks(self, image_bgr: Any) -> list[Any]:
        """Decoded as its authors do: scores, boxes and landmarks of three levels, two anchors."""
        factor = self.side / max(image_bgr.shape[:2])
        height, width = (round(side * factor) for side in image_bgr.shape[:2])
        canvas = np.zeros((self.side, self.side, 3), np.uint8)
        canvas[:height, :width] = cv2.resize(image_bgr, (width, height))
        blob = cv2.dnn.blobFromImage(canvas, 1 / 128, (self.side,) * 2, (127.5,) * 3, swapRB=True)
        raw = [
            np.reshape(one, (-1, one.shape[-1]))
            for one in self._session.run(None, {self._input: blob})
        ]
        levels = len(SCRFD_STRIDES)
        scores: list[float] = []
        boxes: list[list[float]] = []
        marks: list[Any] = []
        for level, stride in enumerate(SCRFD_STRIDES):
            cells = self.side // stride
            rows, columns = np.mgrid[:cells, :cells]
            grid = np.stack([columns, rows], -1).reshape(-1, 2) * stride
            centers = np.repeat(grid, SCRFD_ANCHORS, 0).astype(np.float32)
            kept = np.flatnonzero(raw[level][:, 0] >= 0.5)
            away = raw[level + levels][kept] * stride
            scores += raw[level][kept, 0].tolist()
            boxes += np.hstack([centers[kept] - away[:, :2], away[:, :2] + away[:, 2:]]).tolist()
            points = raw[level + 2 * levels][kept].reshape(-1, 5, 2) * stride
            marks += list((points + centers[kept][:, None]).astype(np.float32))
        best = np.asarray(cv2.dnn.NMSBoxes(boxes, scores, 0.5, 0.4), int).ravel()
        return [marks[index] / factor for index in best]


PEERS = {"face_recognition": FaceRecognition, "opencv": OpenCV, "scrfd": Scrfd}


def session(path: str, threads: int) -> Any:
    """An ONNX network on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def requests() -> Iterator[dict[str, Any]]:
    """What is asked, a line each."""
    for line in sys.stdin:
        yield json.loads(line)


def answer(what: dict[str, Any]) -> None:
    """Say it at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def serve(make: Any) -> None:
    """Answer until standard input ends. `make` gets the first request."""
    asked = requests()
    options = next(asked)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options["threads"]])
    cv2.setNumThreads(options["threads"])
    system: System = make(options)
    refused = [
        name
        for name, path in options["people"]
        if not system.enroll(name, cv2.imread(path, cv2.IMREAD_COLOR))
    ]
    answer({"refused": refused})
    for request in asked:
        frames = np.load(request["frames"], mmap_mode="r")
        done = []
        for number in range(request["start"], request["stop"]):
            image = np.array(frames[number])
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            names = system.name(image, number / request["fps"])
            spent = time.process_time() - cpu_s, time.perf_counter() - wall_s
            done.append({"names": names, "cpu_ms": spent[0] * 1e3, "wall_ms": spent[1] * 1e3})
        answer({"frames": done, "resident_mib": resident_mib()})


if __name__ == "__main__":
    serve(PEERS[sys.argv[1]])
