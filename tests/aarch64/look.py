"""What both models see of the demo's photographs, and whether two machines see the same.

`look.py film FOLDER` makes frames of the simulated camera, in which who is on the photographs walks
up to the door; `look.py see FOLDER OUT.json` on each machine looks at them and at the photographs;
`look.py compare HERE.json THERE.json` then says what differs most.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import edgeface
from edgeface.base.clock import ManualClock
from edgeface.capture.images import ImagesSource
from edgeface.capture.simulated import SimulatedSource
from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.recognition.values import Box
from edgeface.settings.camera import ImagesCamera, SimulatedCamera
from edgeface.toolbox.seen_face import SeenFace

CAMERA = SimulatedCamera(
    source="simulated", photographs=(COLLINS, HOPPER), fps=4, visit_s=3, gap_s=1
)
WAIT_S = 60.0
OVERLAP, MOVED, COSINE, COSINE_MEDIAN = 0.95, 0.025, 0.97, 0.998
"""Two looks and an alignment follow one another: where a kernel rounds another way, a landmark
moves by a step of its int8 output, and the crop with it. Most faces are to be the same."""


def film(folder: Path) -> None:
    """The frames, as PNG, made once: not every version of OpenCV makes the same of them."""
    with SimulatedSource(CAMERA, ManualClock()) as source:
        for frame in source.frames(timeout_s=WAIT_S):
            cv2.imwrite(str(folder / f"{frame.sequence:04}.png"), frame.image)


def see(folder: Path) -> list[dict[str, Any]]:
    """Every face of every picture, in order."""
    camera = ImagesCamera(source="images", folder=folder, fps=CAMERA.fps)
    # On virtual time: an emulated machine may take as long as it likes.
    with edgeface.open() as engine, ImagesSource(camera, ManualClock()) as source:
        found = [
            _facts(path.name, face) for path in (COLLINS, HOPPER) for face in engine.faces(path)
        ]
        for frame, faces in engine.track(source.frames(timeout_s=WAIT_S)):
            found += [_facts(f"frame {frame.sequence}", face) for face in faces]
    return found


def _facts(picture: str, face: SeenFace) -> dict[str, Any]:
    box = face.box
    return {
        "picture": picture,
        "track": face.track_id,
        "gate": face.gate,
        "box": [float(side) for side in (box.left, box.top, box.right, box.bottom)],
        "landmarks": face.landmarks.tolist(),
        "score": float(face.score),
        "embedding": face.embedding.tolist(),
    }


def compare(here: list[dict[str, Any]], there: list[dict[str, Any]]) -> int:
    """Print what differs most; 0 where all of it is within a golden run's tolerances, else 1."""
    facts = ("picture", "track", "gate")
    others = [
        n
        for n in range(min(len(here), len(there)))
        if any(here[n][k] != there[n][k] for k in facts)
    ]
    if len(here) != len(there) or others:
        print(f"{len(here)} and {len(there)} faces, others from these on: {others[:1]}")
        return 1
    pairs = list(zip(here, there, strict=True))
    overlap = min(Box(*a["box"]).iou(Box(*b["box"])) for a, b in pairs)
    moved = [
        float(np.linalg.norm(np.subtract(a["landmarks"], b["landmarks"]), axis=1).max())
        / (a["box"][2] - a["box"][0])
        for a, b in pairs
    ]
    cosines = [float(np.dot(a["embedding"], b["embedding"])) for a, b in pairs]
    print(
        f"{len(here)} faces in {len({one['picture'] for one in here})} pictures, the same tracks"
        f" and gates; landmarks where they were in {moved.count(0.0)}, at worst {max(moved):.1%} of"
        f" the face's width off; IoU at least {overlap:.3f}; cosine {np.median(cosines):.4f} in the"
        f" median, at least {min(cosines):.3f}"
    )
    good = overlap >= OVERLAP and max(moved) <= MOVED
    return 0 if good and min(cosines) >= COSINE and np.median(cosines) >= COSINE_MEDIAN else 1


def main(arguments: list[str]) -> int:
    """One of the three above."""
    verb, first, *more = arguments[0], *map(Path, arguments[1:])
    if verb == "film":
        film(first)
    elif verb == "see":
        more[0].write_text(json.dumps(see(first)), encoding="utf-8")
    else:
        return compare(*(json.loads(one.read_text(encoding="utf-8")) for one in (first, *more)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
