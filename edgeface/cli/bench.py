"""Measure speed and memory.

`pipeline` runs every frame of a clip, or of the simulated camera over photographs, through
detection, tracking, quality, alignment, embedding and decision, as fast as it can, and says what
each stage costs. `events` measures the way of a recognition: from a frame's capture through the
outbox on disk to the PUBACK of a private mosquitto, models left out. Compare the multiples of the
yardstick, not the milliseconds, between machines. `sync` has a fleet of devices follow one gallery.

examples:
  edgeface bench pipeline --clip entrance.mp4
  edgeface bench pipeline --photograph somebody.jpg --frames 20000
  edgeface bench events --folder /var/lib/edgeface
  edgeface bench sync --devices 50 --people 2000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeface.cli.common import add_json, add_kind, at_least, between, output_folder

if TYPE_CHECKING:
    from edgeface.capture.source import FrameSource

_IDLE_FRAMES = 200
"""Enough for a mean."""
_SYNC = """\
One mosquitto with its default limits, one administrator and many devices, each a process with a
gallery of its own, all on this machine. The status is 1 when the digest of a device differs from
the administrator's at the end, whatever the times are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Three benchmarks."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    pipeline = add_kind(
        kinds,
        "pipeline",
        "what each stage of recognition costs per frame, and whether memory grows",
        _pipeline,
        _print_pipeline,
    )
    source = pipeline.add_mutually_exclusive_group(required=True)
    source.add_argument("--clip", metavar="FILE", help="a video file, played over and over")
    source.add_argument(
        "--photograph",
        action="append",
        metavar="FILE",
        help="replayed by the simulated camera as a visitor at 1280x720 (repeatable)",
    )
    pipeline.add_argument(
        "--frames", type=at_least(10), default=600, metavar="N", help="default 600"
    )
    pipeline.add_argument(
        "--gallery",
        type=at_least(0),
        default=1000,
        metavar="N",
        help="people in the gallery, none of them the visitor (default 1000)",
    )
    pipeline.add_argument("--detector", default="face_detector", metavar="PKG")
    pipeline.add_argument("--embedder", default="facenet", metavar="PKG")
    add_json(pipeline)
    events = add_kind(
        kinds,
        "events",
        "how long an event takes from the frame's capture to the broker's PUBACK",
        _events,
        _print_events,
    )
    events.add_argument("--events", type=at_least(10), default=600, metavar="N", help="default 600")
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
    _add_sync(kinds)


def _add_sync(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds,
        "sync",
        "how fast enrollments and erasures reach a fleet of devices, and what it costs them",
        _sync,
        _print_sync,
    )
    parser.description = _SYNC
    parser.add_argument("--devices", type=at_least(1), default=50, metavar="N", help="default 50")
    parser.add_argument(
        "--people", type=at_least(1), default=2000, metavar="N", help="default 2000"
    )
    parser.add_argument(
        "--templates",
        type=at_least(1),
        default=2,
        metavar="N",
        help="of each person (default 2)",
    )
    parser.add_argument(
        "--changes",
        type=at_least(0),
        default=40,
        metavar="N",
        help="people who change while the devices are off (default 40)",
    )
    parser.add_argument(
        "--while-recognizing",
        action="store_true",
        help="instead: frame times of one device before, during and after a full sync of --people",
    )
    parser.add_argument(
        "--seconds", type=between(0.1), default=15.0, help="of frames before the sync"
    )
    parser.add_argument(
        "--fps", type=between(1, 240), default=10.0, help="of the frames (default 10)"
    )
    parser.add_argument(
        "--folder",
        type=output_folder,
        metavar="DIR",
        help="where files are made; default: temporary",
    )
    add_json(parser)


def _pipeline(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.bench.pipeline_bench import (
        WARM_UP,
        bench_idle,
        bench_pipeline,
        metered_pipeline,
    )
    from edgeface.bench.stage_clock import StageClock
    from edgeface.evaluation.stills import Progress
    from edgeface.recognition.idling import IdleRules
    from edgeface.settings.recognition import DetectionSettings

    clock = StageClock(args.frames + WARM_UP)
    models = (args.gallery, args.detector, args.embedder)
    process = metered_pipeline(clock, *models)
    progress = Progress("frames", args.frames)
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


def _sync(args: argparse.Namespace) -> dict[str, Any]:
    """Run it; the mapping has `status`, the exit code."""
    with tempfile.TemporaryDirectory(prefix="edgeface-", dir=args.folder) as name:
        return _recognizing(args, Path(name)) if args.while_recognizing else _fleet(args, name)


def _say(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def _fleet(args: argparse.Namespace, folder: str) -> dict[str, Any]:
    from edgeface.bench.sync_bench import bench_sync

    result = bench_sync(
        Path(folder),
        devices=args.devices,
        people=args.people,
        templates=args.templates,
        changes=min(args.changes, args.people),
        say=_say,
    )
    return asdict(result) | {"status": 1 if result.wrong else 0}


def _recognizing(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from edgeface.bench.sync_recognizing import bench_recognizing

    result = bench_recognizing(
        folder,
        people=args.people,
        templates=args.templates,
        before_s=args.seconds,
        fps=args.fps,
        say=_say,
    )
    return result | {"status": 1 if result["wrong"] else 0}


def _print_pipeline(measured: dict[str, Any]) -> None:
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
    idle = measured["idle"]
    print(
        f"{'at rest':<18} {idle['idle_ms']:.3f} ms a frame for {idle['awake_ms']:.3f} without"
        f" idle_after_s, {idle['idle_share']:.0%}; {idle['frames']} frames of"
        f" {'the clip' if idle['of_clip'] else 'an empty door'}, decoding left out"
    )
    print(f"yardstick {yardstick:.3f} ms: 5x5 blur of 1280x720, run beside the frames")
    print(
        f"resident {measured['resident_start_mib']:.1f} MiB after the warm-up,"
        f" at most {measured['resident_peak_mib']:.1f}; trend {measured['growth_mib']:+.2f} MiB"
        f" ({measured['growth_kib_per_1000_frames']:+.1f} KiB per 1,000 frames)"
    )


def _print_events(measured: dict[str, Any]) -> None:
    print(
        f"{measured['events']} events of {measured['payload_bytes']} bytes at"
        f" {measured['fps']:g} a second, outbox on {measured['file_system']};"
        f" {measured['frames_dropped']} frames dropped"
    )
    print(f"{'ms from the capture to':<42}{'p50':>9}{'p99':>9}{'most':>9}")
    for key, name in (
        ("commit", "the commit on disk"),
        ("door", "a subscriber of the live copy"),
        ("puback", "the PUBACK of the log copy"),
        ("yardstick", "yardstick: append, fsync, publish, PUBACK"),
    ):
        row = measured[key]
        print(f"{name:<42}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{row['max_ms']:>9.2f}")
    print(
        f"PUBACK in yardsticks: p50 {measured['p50_in_yardsticks']:.2f},"
        f" p99 {measured['p99_in_yardsticks']:.2f}"
    )
    if measured["file_system"] in {"tmpfs", "ramfs"}:
        print("this file system is memory, not a disk: choose another with --folder")


def _print_sync(found: dict[str, Any]) -> None:
    for name, value in found.items():
        if isinstance(value, dict):
            value = "  ".join(f"{key} {item:.3f}" for key, item in value.items())
        elif isinstance(value, float):
            value = f"{value:.3f}"
        elif isinstance(value, list):
            value = ", ".join(map(str, value)) or "none"
        print(f"{name:<24}{value}")
