"""Measure speed and memory.

`pipeline` runs every frame of a clip, or of the simulated camera over photographs, through
detection, tracking, quality, alignment, embedding and decision, as fast as it can, and says what
each stage costs. `events` measures the way of a recognition: from a frame's capture through the
outbox on disk to the PUBACK of a private mosquitto, models left out. Compare the multiples of the
yardstick, not the milliseconds, between machines. `sync` has a fleet of devices follow one gallery.
`models` holds each model against a plain matrix product, `match` searches galleries of all sizes.
`start` takes the time until the daemon is ready, `soak` watches for an hour whether it grows.

examples:
  edgeface bench pipeline --clip entrance.mp4
  edgeface bench pipeline --photograph somebody.jpg --frames 20000
  edgeface bench pipeline --faces 1 --faces 5 --size 1920x1080
  edgeface bench models
  edgeface bench all --quick
  edgeface bench match --templates 1000 --templates 100000
  edgeface bench events --folder /var/lib/edgeface
  edgeface bench sync --devices 50 --people 2000
  edgeface bench start --people 1000
  edgeface bench soak --minutes 60
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeface.cli.bench_fleet import add_fleet, add_sync
from edgeface.cli.bench_parts import add_all, add_match, add_models, measure_crowd, show_crowd
from edgeface.cli.bench_peers import add_peers
from edgeface.cli.bench_tables import (
    show_events,
    show_pipeline,
    show_soak,
    show_start,
)
from edgeface.cli.common import add_json, add_kind, at_least, between, given_files, output_folder

if TYPE_CHECKING:
    from edgeface.capture.source import FrameSource

_IDLE_FRAMES = 200
"""Enough for a mean."""
_PIPELINE = """\
What each stage of recognition costs per frame, and whether memory grows. With --faces or --matrix:
one line for each number of faces, size and number of threads, an empty door at rest and awake."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A benchmark each."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    _add_pipeline(kinds)
    _add_events(kinds)
    add_sync(kinds)
    _add_start(kinds)
    _add_soak(kinds)
    add_models(kinds)
    add_match(kinds)
    add_peers(kinds)
    add_fleet(kinds)
    add_all(kinds)


def _add_pipeline(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    pipeline = add_kind(
        kinds,
        "pipeline",
        "what each stage of recognition costs per frame, and whether memory grows",
        lambda args: (
            measure_crowd(args) if args.faces is not None or args.matrix else _pipeline(args)
        ),
        lambda found: show_crowd(found) if "cells" in found else show_pipeline(found),
    )
    pipeline.description = _PIPELINE
    _add_shown(pipeline)
    pipeline.add_argument(
        "--size",
        action="append",
        metavar="WxH",
        help="of the frames with faces (repeatable; default 1280x720)",
    )
    pipeline.add_argument(
        "--threads",
        type=at_least(1),
        action="append",
        metavar="N",
        help="of each model, with faces (repeatable; default 1)",
    )
    pipeline.add_argument(
        "--frames", type=at_least(10), default=600, metavar="N", help="to measure (default 600)"
    )
    pipeline.add_argument(
        "--gallery",
        type=at_least(0),
        default=1000,
        metavar="N",
        help="people in the gallery, none of them the visitor (default 1000)",
    )
    for model, package in (("detector", "face_detector"), ("embedder", "facenet")):
        pipeline.add_argument(
            f"--{model}", default=package, metavar="PKG", help=f"model package (default {package})"
        )
    pipeline.add_argument("--no-pad", action="store_true", help="no liveness is assessed")
    add_json(pipeline)


def _add_shown(pipeline: argparse.ArgumentParser) -> None:
    """What is before the camera."""
    source = pipeline.add_mutually_exclusive_group(required=True)
    source.add_argument("--clip", metavar="FILE", help="a video file, played over and over")
    source.add_argument(
        "--photograph",
        action="append",
        metavar="FILE",
        help="replayed by the simulated camera as a visitor at 1280x720 (repeatable)",
    )
    source.add_argument(
        "--faces",
        type=at_least(0),
        action="append",
        metavar="N",
        help="so many people stand before the camera all the time (repeatable)",
    )
    source.add_argument(
        "--matrix",
        action="store_true",
        help="0, 1, 5 and 20 faces at 640x480, 1280x720 and 1920x1080, one thread and two",
    )


def _add_events(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    events = add_kind(
        kinds,
        "events",
        "how long an event takes from the frame's capture to the broker's PUBACK",
        _events,
        show_events,
    )
    events.add_argument(
        "--events", type=at_least(10), default=600, metavar="N", help="to send (default 600)"
    )
    events.add_argument(
        "--fps", type=between(1, 240), default=30.0, help="events a second (default 30)"
    )
    events.add_argument(
        "--folder",
        type=output_folder,
        metavar="DIR",
        help="where the outbox lies, on the disk that is to be measured (default: the present "
        "folder); what is made there is removed again",
    )
    add_json(events)


def _add_start(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds,
        "start",
        "how long the daemon takes from its start until it is ready, phase by phase",
        _start,
        show_start,
    )
    parser.add_argument(
        "--people",
        type=at_least(0),
        default=1000,
        metavar="N",
        help="in the gallery, two templates each (default 1000)",
    )
    parser.add_argument(
        "--runs", type=at_least(1), default=7, metavar="N", help="starts to measure (default 7)"
    )
    parser.add_argument(
        "--folder",
        type=output_folder,
        metavar="DIR",
        help="where its state lies; default: temporary",
    )
    add_json(parser)


def _add_soak(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds,
        "soak",
        "whether the daemon's memory, descriptors or threads grow over an hour at full rate",
        _soak,
        show_soak,
    )
    parser.add_argument(
        "--photograph",
        action="append",
        metavar="FILE",
        help="a visitor of the simulated camera; the first one is enrolled (repeatable; default:"
        " the two of the demo)",
    )
    parser.add_argument(
        "--minutes",
        type=between(0.1),
        default=60.0,
        metavar="N",
        help="less than 10 are too short to tell whether anything grows (default 60)",
    )
    parser.add_argument(
        "--people",
        type=at_least(0),
        default=1000,
        metavar="N",
        help="others in the gallery, two templates each (default 1000)",
    )
    parser.add_argument(
        "--fps", type=between(1, 240), default=30.0, help="of the camera (default 30)"
    )
    parser.add_argument(
        "--folder",
        type=output_folder,
        metavar="DIR",
        help="where its state lies; default: temporary",
    )
    add_json(parser)


def _pipeline(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.base.errors import EvaluationError
    from edgeface.bench.pipeline_bench import (
        WARM_UP,
        bench_idle,
        bench_pipeline,
        metered_pipeline,
    )
    from edgeface.bench.stage_clock import StageClock
    from edgeface.evaluation.opener import existing
    from edgeface.evaluation.stills import Progress
    from edgeface.recognition.idling import IdleRules
    from edgeface.settings.recognition import DetectionSettings

    if args.size or args.threads:
        raise EvaluationError("--size and --threads go with --faces or --matrix")
    for file in args.photograph or [args.clip]:
        existing(file)
    clock = StageClock(args.frames + WARM_UP)
    models = (args.gallery, args.detector, args.embedder)
    process = metered_pipeline(clock, *models, pad=not args.no_pad)
    progress = Progress("frames", args.frames)
    with given_files():
        result = bench_pipeline(_source(args), process, clock, args.frames, each=progress.show)
    rules = IdleRules(DetectionSettings().idle_after_s)
    awake, idle = (metered_pipeline(StageClock(), *models, wait) for wait in (None, rules))
    rest = bench_idle(_source(args, empty=True), awake, idle, min(args.frames, _IDLE_FRAMES))
    return asdict(result) | {
        "gallery": args.gallery,
        "idle": asdict(rest) | {"of_clip": bool(args.clip)},
    }


def _events(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.bench.events_bench import bench_events
    from edgeface.evaluation.stills import Progress

    progress = Progress("events", args.events)
    folder = args.folder or Path.cwd()
    return asdict(bench_events(args.events, args.fps, folder, each=progress.show))


def _start(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.bench.start_bench import bench_start
    from edgeface.evaluation.stills import Progress

    progress = Progress("starts", args.runs)
    return asdict(bench_start(args.people, args.runs, args.folder, each=progress.show))


def _soak(args: argparse.Namespace) -> dict[str, Any]:
    """Run it; `status`, the exit code, is 1 when something grows or the daemon ended badly."""
    from edgeface.bench.soak_bench import bench_soak
    from edgeface.demo.photographs import COLLINS, HOPPER
    from edgeface.evaluation.stills import Progress

    progress = Progress("seconds", round(args.minutes * 60))
    result = bench_soak(
        [Path(file) for file in args.photograph or (COLLINS, HOPPER)],
        minutes=args.minutes,
        people=args.people,
        fps=args.fps,
        folder=args.folder,
        each=progress.show,
    )
    good = result.flat is not False and not result.exit_code
    return asdict(result) | {"status": 0 if good else 1}


def _source(args: argparse.Namespace, *, empty: bool = False) -> FrameSource:
    """The frames on virtual time: none is waited for, none is dropped. If `empty`, nobody comes;
    a clip is what it is."""
    from edgeface.base.clock import ManualClock

    clock = ManualClock()
    if args.clip:
        from edgeface.capture.stream import FileStreamSource
        from edgeface.settings.camera import StreamCamera

        clip = StreamCamera.model_construct(url=args.clip, loop=True)
        return FileStreamSource(Path(args.clip), clip, clock)
    from edgeface.capture.simulated import SimulatedSource
    from edgeface.settings.camera import SimulatedCamera

    camera = SimulatedCamera.model_construct(
        photographs=tuple(map(Path, args.photograph)), loop=True
    )
    return SimulatedSource(camera.model_copy(update={"gap_s": 1e9} if empty else {}), clock)
