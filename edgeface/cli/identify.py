"""Say who of the gallery is on a photograph, or nobody.

Decided as the daemon decides a single frame, at its threshold for a gallery of this size; each face
of a photograph gets a line, from left to right. Exit code 0: somebody was named, 1: nobody, 2: no
photograph that can be used, or no gallery.

  edgeface identify visitor.jpg -c /etc/edgeface/edgeface.yaml
  edgeface identify party/*.jpg --gallery people/ --all
  edgeface identify group.jpg --gallery people/ -o marked.png
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeface.base.errors import PictureError, SettingsError
from edgeface.cli.common import add_json, add_people, at_least, not_over, output_picture
from edgeface.cli.plain import plain, warn

if TYPE_CHECKING:
    from edgeface.toolbox.answered import Candidate, Identification
    from edgeface.toolbox.engine import Engine
    from edgeface.toolbox.face_gallery import FaceGallery
    from edgeface.toolbox.seen_face import SeenFace

NAMED, NOBODY, UNUSABLE = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Photographs, and whom to look for."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="JPEG or PNG file")
    add_people(parser)
    parser.add_argument(
        "--all", action="store_true", help="show how near everybody is, nearest first"
    )
    parser.add_argument(
        "--knn",
        type=at_least(1),
        default=0,
        metavar="K",
        help="show whose the K nearest single templates are; the answer does not change",
    )
    parser.add_argument(
        "-o", type=output_picture, dest="output", metavar="OUT.png", help="the photo with its faces"
    )
    add_json(parser)


@dataclass(slots=True)
class LookedAt:
    """What became of one photograph."""

    photo: str
    faces: list[tuple[SeenFace, Identification]] = field(default_factory=list)
    problem: str | None = None


def run(args: argparse.Namespace) -> int:
    """0 where somebody was named, 1 for nobody, 2 where nothing could be looked at."""
    from edgeface.toolbox.engine import open_engine

    if args.output is not None and len(args.photos) > 1:
        raise SettingsError("-o takes one photo")
    known = Path(args.gallery).rglob("*") if args.gallery else ()
    not_over(args.output, [*args.photos, *known])
    with open_engine(config=None if args.gallery else args.config) as engine:
        gallery = open_people(args, engine)
        looked = list(_look(engine, gallery, args))
        lines = [line for one in looked for line in _lines(engine, one, args)]
        if args.output is not None:
            _draw(args, looked[0], [line for line in lines if not line.startswith(" ")])
    if args.json:
        print(json.dumps(_mapping(looked, gallery, args)))
    else:
        print("\n".join(lines))
    for problem in (*gallery.problems, *(one.problem for one in looked if one.problem)):
        warn(plain(problem))
    return _status(looked)


def open_people(args: argparse.Namespace, engine: Engine) -> FaceGallery:
    """The folder's gallery or the configured one."""
    from edgeface.toolbox.face_gallery import FaceGallery

    if args.gallery:
        return FaceGallery.from_folder(args.gallery, engine)
    return FaceGallery.open(args.config)


def _look(engine: Engine, gallery: FaceGallery, args: argparse.Namespace) -> Iterator[LookedAt]:
    from edgeface.evaluation.stills import shown

    for photo in args.photos if len(args.photos) == 1 else shown("photos", args.photos):
        one = LookedAt(photo)
        try:
            faces = engine.faces(photo) or [engine.face(photo)]  # which says what is wrong
        except PictureError as error:
            one.problem = str(error)
        else:
            one.faces = [(face, engine.identify(face, gallery, nearest=args.knn)) for face in faces]
        yield one


def _status(looked: Sequence[LookedAt]) -> int:
    found = [who for one in looked for _, who in one.faces]
    if any(who.person for who in found):
        return NAMED
    return NOBODY if any(who.gate is None for who in found) else UNUSABLE


def _lines(engine: Engine, one: LookedAt, args: argparse.Namespace) -> Iterator[str]:
    """Of one photograph; what belongs to a face is indented below it."""
    if one.problem is not None:
        yield f"{plain(one.photo)}: not looked at"
    for number, (face, who) in enumerate(one.faces, 1):
        of = f" face {number} of {len(one.faces)}" if len(one.faces) > 1 else ""
        yield f"{plain(one.photo)}{of}: {engine.explain(face) or _answer(who)}"
        for person in who.candidates if args.all else ():
            yield f"  {person.score:z6.3f}  distance {person.distance:.3f}  {_name(person)}"
        if args.knn and who.gate is None:
            votes = Counter(_name(person) for person in who.nearest_templates)
            counts = ", ".join(f"{name} {count}" for name, count in votes.most_common())
            yield f"  nearest templates: {counts or 'none'}"


def _answer(who: Identification) -> str:
    if who.threshold is None:
        return "nobody: nobody in the gallery may be recognized now"
    nearest = who.candidates[0]
    needed = f"needed {who.threshold:.3f}{' (extrapolated)' if who.extrapolated else ''}"
    if who.person is not None:
        return f"{_name(who.person)}, score {who.person.score:z.3f}, {needed}"
    if who.outcome == "ambiguous":
        second = who.candidates[1]
        return (
            f"nobody: {_name(nearest)} {nearest.score:.3f} and {_name(second)} {second.score:.3f} "
            f"are too near to each other, {needed}"
        )
    unclear = who.outcome == "inconclusive"
    doubt = " for sure; the face is too small, blurred or covered" if unclear else ""
    return f"nobody{doubt}; nearest is {_name(nearest)}, score {nearest.score:z.3f}, {needed}"


def _name(person: Candidate) -> str:
    return plain(person.name)


def _draw(args: argparse.Namespace, one: LookedAt, lines: Sequence[str]) -> None:
    from edgeface.service.annotation import RECOGNIZED, REFUSED, UNKNOWN
    from edgeface.toolbox.marking import marked, save_picture
    from edgeface.toolbox.picture_input import to_image

    if one.problem is not None:
        return
    colored = [
        (face, REFUSED if who.gate else RECOGNIZED if who.person else UNKNOWN)
        for face, who in one.faces
    ]
    named = len(plain(one.photo))
    texts = [f"{number}  {line[named:].split(': ', 1)[1]}" for number, line in enumerate(lines, 1)]
    save_picture(args.output, marked(to_image(one.photo), colored, texts))


def _mapping(
    looked: Sequence[LookedAt], gallery: FaceGallery, args: argparse.Namespace
) -> dict[str, Any]:
    return {
        "people": len(gallery),
        "photos": [
            {
                "photo": one.photo,
                "problem": one.problem,
                "faces": [_face_mapping(face, who, args) for face, who in one.faces],
            }
            for one in looked
        ],
        "gallery_problems": list(gallery.problems),
    }


def _face_mapping(face: SeenFace, who: Identification, args: argparse.Namespace) -> dict[str, Any]:
    box = face.box
    mapping: dict[str, Any] = {
        "box": [round(value, 1) for value in (box.left, box.top, box.right, box.bottom)],
        "outcome": who.outcome,
        "gate": who.gate,
        "person_id": who.person_id,
        "display_name": who.display_name,
        "score": who.candidates[0].score if who.candidates else None,
        "threshold": who.threshold,
        "threshold_extrapolated": who.extrapolated,
    }
    if args.all:
        mapping["candidates"] = [_candidate(person) for person in who.candidates]
    if args.knn:
        mapping["nearest_templates"] = [_candidate(person) for person in who.nearest_templates]
    return mapping


def _candidate(person: Candidate) -> dict[str, Any]:
    return {
        "person_id": person.person_id,
        "display_name": person.display_name,
        "score": person.score,
        "distance": person.distance,
    }
