"""`bench peers`: the same frames and people through what a user would take instead."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeface.cli.common import add_json, add_kind, at_least, between, given_files

_TEXT = """\
Each system runs in a process of its own and takes the same frames, some at a time in turn, kept to
as many cores as --threads. `make peers` makes the environment of the peers; a peer that needs a
network that is not given as a file is left out. The networks of others are not part of this
project, and nothing is downloaded."""


def add_peers(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds, "peers", "the same clip and people through other systems, in one run", _peers, _show
    )
    parser.description = _TEXT
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(".venv-peers/bin/python"),
        metavar="FILE",
        help="the interpreter that has the peers (default .venv-peers/bin/python)",
    )
    parser.add_argument(
        "--photograph",
        action="append",
        type=Path,
        metavar="FILE",
        help="the first is enrolled and comes, the others come as strangers (repeatable; default:"
        " the two of the demo)",
    )
    parser.add_argument(
        "--clip", type=Path, metavar="FILE", help="show this video of the enrolled one instead"
    )
    parser.add_argument(
        "--others", type=Path, metavar="DIR", help="pictures of people who are enrolled besides"
    )
    parser.add_argument(
        "--size", default="1280x720", metavar="WxH", help="of the frames (default 1280x720)"
    )
    parser.add_argument(
        "--frames", type=at_least(10), default=70, metavar="N", help="to show (default 70)"
    )
    parser.add_argument(
        "--threads", type=at_least(1), default=1, metavar="N", help="of each system (default 1)"
    )
    parser.add_argument("--yunet", metavar="FILE", help="YuNet's ONNX file, for `opencv`")
    parser.add_argument("--scrfd", metavar="FILE", help="SCRFD's ONNX file, for `scrfd`")
    parser.add_argument(
        "--onnx-embedder", metavar="FILE", help="an ArcFace-like network, for both of these"
    )
    parser.add_argument(
        "--least",
        type=between(-1, 1),
        default=0.4,
        metavar="COSINE",
        help="at which both of these give a name (default 0.4)",
    )
    add_json(parser)


def _peers(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.base.errors import EvaluationError
    from edgeface.bench.peers import contestant
    from edgeface.bench.peers.comparison import OWN, VISITOR, compare
    from edgeface.bench.peers.showing import show_clip, show_photographs
    from edgeface.demo.photographs import COLLINS, HOPPER
    from edgeface.evaluation.opener import existing, parse_size
    from edgeface.evaluation.stills import Progress

    peers = ["face_recognition"]
    for name, needed in (("opencv", args.yunet), ("scrfd", args.scrfd)):
        if needed and args.onnx_embedder:
            existing(needed), existing(args.onnx_embedder)
            peers.append(name)
    if not args.python.is_file():
        raise EvaluationError(f"no interpreter {args.python}; `make peers` makes it, or --python")
    script = str(Path(contestant.__file__))
    systems = {OWN: [sys.executable, "-m", "edgeface.bench.peers.own"]}
    systems |= {name: [str(args.python.absolute()), script, name] for name in peers}
    pictures = [existing(str(path)) for path in args.photograph or (COLLINS, HOPPER)]
    people = [(VISITOR, pictures[0])]
    if args.others:
        found = sorted(path for path in existing(str(args.others)).iterdir() if path.is_file())
        people += [(path.stem, path) for path in found]
    options = {
        "threads": args.threads,
        "yunet": args.yunet,
        "scrfd": args.scrfd,
        "embedder": args.onnx_embedder,
        "least": args.least,
    }
    size = parse_size(args.size)
    with tempfile.TemporaryDirectory(prefix="edgeface-peers-") as folder:
        target = Path(folder) / "frames.npy"
        with given_files():
            if args.clip:
                shown = show_clip(existing(str(args.clip)), size, args.frames, target)
            else:
                shown = show_photographs(pictures, size, args.frames, target)
        progress = Progress("frames", len(shown.visitor))
        results = compare(shown, people, systems, options, each=progress.show)
    return {
        "frames": len(shown.visitor),
        "frame_size_px": size,
        "people": len(people),
        "threads": args.threads,
        "systems": [asdict(result) for result in results],
    }


def _show(measured: dict[str, Any]) -> None:
    width, height = measured["frame_size_px"]
    print(
        f"{measured['frames']} frames of {width}x{height}, {measured['people']} enrolled,"
        f" {measured['threads']} thread{'s' * (measured['threads'] > 1)}; times in ms a frame"
    )
    print(
        f"{'system':<18}{'cpu':>9}{'wall':>9}{'frames/s':>10}{'x edgeface':>12}{'to a name':>20}"
        f"{'right':>7}{'wrong':>7}{'MiB':>7}"
    )
    for row in measured["systems"]:
        to_name = "never"
        if row["frames_to_name"] is not None:
            to_name = f"{row['frames_to_name']} frames, {row['ms_to_name']:.0f} ms"
        print(
            f"{row['name']:<18}{row['cpu_ms']:>9.1f}{row['wall_ms']:>9.1f}"
            f"{row['frames_per_s']:>10.1f}{row['times_edgeface']:>12.1f}{to_name:>20}"
            f"{row['right']:>7}{row['wrong']:>7}{row['resident_mib']:>7.0f}"
        )
    print("right and wrong: names given; edgeface says one a visit, the others one a frame")
