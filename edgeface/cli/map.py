"""Show the faces of a folder, zip file or some photographs in the plane, like ones near each other.

The plane is that of the two principal axes of the embeddings: of all planes the one in which they
differ most. How much of the difference it holds is said; the rest is not in the picture, so two
faces that are near in it need not be alike (`edgeface matrix` says how alike they are). With one
folder a person each person has a color. Exit code 0; 2: fewer than two faces.

examples:
  edgeface map team/ -o map.png
  edgeface map holidays.zip -o map.png --csv map.csv
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from edgeface.base.counting import counted, people
from edgeface.base.files import write_file
from edgeface.cli.common import add_json, run_measurement
from edgeface.cli.embed import name_troubles
from edgeface.cli.picture_set import add_picture_set, labels_of, look_at_pictures
from edgeface.cli.plain import plain
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.plane import principal_plane

MOST_DRAWN: Final = 300
_MODE: Final = 0o644


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, and what is made of them."""
    add_picture_set(parser, MOST_DRAWN, "coordinates")
    add_json(parser)
    parser.set_defaults(run=run_measurement, measure=_measure, show=_show)


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    found = look_at_pictures(args, MOST_DRAWN, "a map needs two")
    faces = found.faces
    persons = _persons(found.root, found.names) if len(args.pictures) == 1 else {}
    plane = principal_plane(np.stack([face.embedding for face in faces.values()]))
    rows = [
        {"name": name, "person": persons.get(name), "x": float(x), "y": float(y)}
        for name, (x, y) in zip(faces, plane.points, strict=True)
    ]
    measured = {"axes_share": list(plane.shares), "faces": rows, "troubles": found.troubles}
    if args.output:
        from edgeface.cli.map_picture import Dot, draw_map
        from edgeface.toolbox.marking import save_picture

        labels = labels_of(list(faces))
        dots = [
            Dot(face.crop, label, persons.get(name))
            for (name, face), label in zip(faces.items(), labels, strict=True)
        ]
        save_picture(args.output, draw_map(plane, dots, _headline(measured), _carried(measured)))
    if args.csv:
        text = io.StringIO()
        table = csv.DictWriter(text, ("name", "person", "x", "y"), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        content = text.getvalue().encode("utf-8", "surrogateescape")
        write_file(args.csv, content, _MODE, replace=True)
    return measured


def _persons(root: PictureRoot, names: Sequence[str]) -> dict[str, str]:
    """Whose picture each is, where every picture lies in a folder of one of several people."""
    parts = {name: PurePosixPath(root.plain_name(name)).parts for name in names}
    found = {name: path[0] for name, path in parts.items() if len(path) > 1}
    return found if len(found) == len(names) and len(set(found.values())) > 1 else {}


def _headline(found: dict[str, Any]) -> str:
    persons = {face["person"] for face in found["faces"]} - {None}
    of = f" of {people(len(persons))}" if persons else ""
    return f"{counted(len(found['faces']), 'face')}{of} in the plane"


def _carried(found: dict[str, Any]) -> str:
    first, second = found["axes_share"]
    both = first + second
    if both == 0.0:
        return "nothing tells them apart: it is one picture"
    meaning = (
        "what is near in the picture is mostly alike"
        if both >= 0.5
        else "most of what tells them apart is not in the picture"
    )
    return (
        f"the two axes carry {both:.0%} of the variance ({first:.0%} and {second:.0%}): {meaning}"
    )


def _show(found: dict[str, Any]) -> None:
    print(f"{_headline(found)}; {_carried(found)}")
    for face in found["faces"]:
        print(f"{face['x']:+z.3f} {face['y']:+z.3f}  {plain(face['name'])}")
    name_troubles(found["troubles"])
