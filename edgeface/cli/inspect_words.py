"""What `edgeface inspect` says of a face, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from edgeface.cli.inspect_picture import Showing, state
from edgeface.cli.plain import plain
from edgeface.toolbox.engine import Engine
from edgeface.toolbox.measures import measures
from edgeface.toolbox.seen_face import SeenFace

GOOD: Final = 0
REFUSED: Final = 1
"""Exit codes: a face that no gate refuses, or faces that are all refused."""


def about(engine: Engine) -> str:
    """The models, in a line."""
    embedder = engine.package.description
    return (
        f"embedded by {embedder.name} {embedder.version}; black on a bar: the limit at a door, "
        "gray: to be enrolled"
    )


def chosen_values(face: SeenFace, showing: Showing) -> str:
    """The components that were asked for."""
    return ", ".join(f"{number}: {face.embedding[number]:+z.4f}" for number in showing.components)


def face_mapping(face: SeenFace, showing: Showing, first: dict[str, Any]) -> dict[str, Any]:
    """One line of `--json`, `first` before the rest; the embedding to its last bit."""
    box = face.box
    return first | {
        "box": [box.left, box.top, box.right, box.bottom],
        "landmarks": face.landmarks.tolist(),
        "score": face.score,
        "quality": asdict(face.quality),
        "gate": face.gate,
        "problem": None if state(face, showing)[0] == "good" else state(face, showing)[2],
        "values": {str(number): float(face.embedding[number]) for number in showing.components},
        "embedding": face.embedding.tolist(),
    }


def face_lines(number: int, face: SeenFace, showing: Showing) -> Iterator[str]:
    """For a person; the components that were asked for last."""
    word, _, why = state(face, showing)
    box = face.box
    corners = f"{box.left:z.0f}, {box.top:z.0f}, {box.right:z.0f}, {box.bottom:z.0f}"
    yield f"face {number} at {corners}: {word}; {plain(why)}"
    for measure in measures(face.quality, showing.limits):
        mark = "" if measure.enrollable else "   not to be enrolled"
        mark = f"   refused: {measure.gates[0]}" if measure.gates else mark
        yield f"  {measure.name:10} {measure.shown:>8}   {measure.limit_shown}{mark}"
    if showing.components:
        yield f"  embedding  {chosen_values(face, showing)}"
