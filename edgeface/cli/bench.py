"""Measure speed and memory.

`pipeline` runs every frame of a clip, or of the simulated camera over photographs, through
detection, tracking, quality, alignment, embedding and decision, as fast as it can, and says what
each stage costs. Compare the multiples of the yardstick, not the milliseconds, between machines.

examples:
  edgeface bench pipeline --clip entrance.mp4
  edgeface bench pipeline --photograph somebody.jpg --frames 20000
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeface.capture.source import BaseSource

PIPELINE_HELP = "what each stage of recognition costs per frame, and whether memory grows"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One benchmark so far."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    pipeline = kinds.add_parser("pipeline", help=PIPELINE_HELP, description=PIPELINE_HELP)
    source = pipeline.add_mutually_exclusive_group(required=True)
    source.add_argument("--clip", metavar="FILE", help="a video file, played over and over")
    source.add_argument(
        "--photograph",
        action="append",
        metavar="FILE",
        help="replayed by the simulated camera as a visitor at 1280x720 (repeatable)",
    )
    pipeline.add_argument("--frames", type=_count, default=600, metavar="N", help="default 600")
    pipeline.add_argument(
        "--gallery",
        type=int,
        default=1000,
        metavar="N",
        help="people in the gallery, none of them the visitor (default 1000)",
    )
    pipeline.add_argument("--detector", default="face_detector", metavar="PKG")
    pipeline.add_argument("--embedder", default="facenet", metavar="PKG")
    pipeline.add_argument("--json", action="store_true", help="one JSON object on standard output")
    pipeline.set_defaults(measure=_pipeline)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    measured: dict[str, Any] = args.measure(args)
    if args.json:
        print(json.dumps(measured))
    return 0


def _pipeline(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.errors import EvaluationError
    from edgeface.evaluation.bench import WARM_UP, bench_pipeline
    from edgeface.evaluation.frame_path import FramePath, strangers
    from edgeface.evaluation.opening import Opener
    from edgeface.evaluation.stage_clock import MeteredInterpreter, StageClock
    from edgeface.evaluation.stills import Progress
    from edgeface.inference.detector import Detector

    clock = StageClock(args.frames + WARM_UP)
    opener = Opener(meter=lambda which, i: MeteredInterpreter(i, clock, f"invoke {which}"))
    detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
    if not isinstance(detector, Detector):
        raise EvaluationError("a benchmark measures a detector that ships, not a reference")
    index = strangers(args.gallery, embedder.space_id)
    path = FramePath(detector, embedder, embedder.package.calibration, index, clock)
    progress = Progress("frames", args.frames)
    result = bench_pipeline(_source(args), path, clock, args.frames, each=progress.show)
    seen = result.frames + WARM_UP
    measured = result.to_mapping() | {
        "faces_per_frame": path.faces / seen,
        "embeddings_per_frame": path.embedded / seen,
        "gallery": args.gallery,
        "outcomes": dict(path.outcomes),
    }
    if not args.json:
        _print(measured)
    return measured


def _source(args: argparse.Namespace) -> BaseSource:
    """The frames on virtual time: none is waited for, none is dropped."""
    from edgeface.capture.clock import ManualClock

    clock = ManualClock()
    if args.clip:
        from edgeface.capture.stream import FileStreamSource

        return FileStreamSource(Path(args.clip), loop=True, clock=clock)
    from edgeface.capture.simulated import SimulatedSource

    photographs = [Path(photograph) for photograph in args.photograph]
    return SimulatedSource(photographs, loop=True, clock=clock)


def _print(measured: dict[str, Any]) -> None:
    width, height = measured["frame_size_px"]
    print(
        f"{measured['frames']} frames of {width}x{height}, {measured['faces_per_frame']:.2f} faces"
        f" and {measured['embeddings_per_frame']:.2f} embeddings a frame,"
        f" gallery of {measured['gallery']}; {sum(measured['outcomes'].values())} decisions"
    )
    yardstick = measured["yardstick_ms"]
    print(f"{'stage':<18}{'ms a frame':>12}{'yardsticks':>12}")
    for name, spent_ms in measured["stage_ms"].items():
        print(f"{name:<18}{spent_ms:>12.3f}{spent_ms / yardstick:>12.3f}")
    print(
        f"{'all but decode and invoke':<18} {measured['other_ms']:.3f} ms a frame"
        f" (median {measured['other_median_ms']:.3f}),"
        f" {measured['other_in_yardsticks']:.3f} yardsticks,"
        f" {measured['other_share_of_cpu']:.0%} of the processor time"
    )
    print(f"yardstick {yardstick:.3f} ms: 5x5 blur of 1280x720, run beside the frames")
    print(
        f"resident {measured['resident_start_mib']:.1f} MiB after the warm-up,"
        f" at most {measured['resident_peak_mib']:.1f}; trend {measured['growth_mib']:+.2f} MiB"
        f" ({measured['growth_kib_per_1000_frames']:+.1f} KiB per 1,000 frames)"
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 10:
        raise argparse.ArgumentTypeError("at least 10")
    return value
