"""`bench models`, `bench match` and the pipeline before a crowd; `bench all`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgeface.cli.common import add_json, add_kind, at_least, output_folder

_ALL: Final = {
    "pipeline": (
        "--matrix --frames 150",
        "--faces 0 --faces 1 --size 640x480 --frames 10 --gallery 100",
    ),
    "models": ("", "--runs 3 --threads 1"),
    "match": ("", "--templates 100 --templates 10000 --runs 1"),
    "events": ("", "--events 10"),
    "start": ("", "--runs 1 --people 10"),
    "sync": ("--devices 5", "--devices 1 --people 20 --changes 2"),
    "fleet": (
        "--devices 100 --seconds 10",
        "--devices 2 --people 10 --fps 10 --seconds 0.5",
    ),
    "soak": ("--minutes 15", "--minutes 0.1 --people 5"),
}
"""What `bench all` runs, with which arguments, and with which where it is quick."""
_TEXT: Final = """\
All of these but peers, which needs an environment of its own, one after another: first what one
device does, then a small site, then a soak of a quarter of an hour. Each has its arguments as a
heading; the larger sites and the whole soak are commands of their own. The status is 1 when that of
one of them is."""


def add_models(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds,
        "models",
        "how near each model comes to the best int8 matrix product of its runtime here",
        _models,
        _show_models,
    )
    parser.add_argument(
        "packages",
        nargs="*",
        metavar="PKG",
        help="model packages (default: those that ship)",
    )
    parser.add_argument(
        "--runs", type=at_least(3), default=100, metavar="N", help="of each network (default 100)"
    )
    parser.add_argument(
        "--threads",
        type=at_least(1),
        action="append",
        metavar="N",
        help="of each network (repeatable; default 1 and 2)",
    )
    parser.add_argument(
        "--operators",
        action="store_true",
        help="and where each model's time goes, operator by operator (table: kind by kind)",
    )
    add_json(parser)


def add_match(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds,
        "match",
        "a search of the gallery from 100 templates to a million, beside other ways to search",
        _match,
        _show_match,
    )
    parser.add_argument(
        "--templates",
        type=at_least(10),
        action="append",
        metavar="N",
        help="in a gallery (repeatable; default 100 to 1,000,000 by tens)",
    )
    parser.add_argument(
        "--runs", type=at_least(1), default=15, metavar="N", help="of each search (default 15)"
    )
    add_json(parser)


def add_all(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`, of which it runs all but `peers`."""

    def measure(args: argparse.Namespace) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, (whole, quick) in _ALL.items():
            arguments = quick if args.quick else whole
            part = kinds.choices[name].parse_args(arguments.split())
            found[name] = {"arguments": arguments} | part.measure(part)
        found["status"] = max(part.get("status", 0) for part in found.values())
        if args.pictures:
            from edgeface.bench.cost_charts import draw

            draw(found, args.pictures)
        return found

    def show(measured: dict[str, Any]) -> None:
        for name in _ALL:
            found = measured[name]
            print(f"\n== edgeface bench {name} {found.pop('arguments')}".rstrip())
            kinds.choices[name].get_default("show")(found)

    text = "all of these but peers, one after another, each with its arguments as a heading"
    parser = add_kind(kinds, "all", text, measure, show)
    parser.description = _TEXT
    parser.add_argument(
        "--quick", action="store_true", help="only shows that they run: too short to be judged"
    )
    parser.add_argument(
        "--pictures",
        type=output_folder,
        metavar="DIR",
        help="draw cost against faces and against templates there, two SVG files",
    )
    add_json(parser)


def measure_crowd(args: argparse.Namespace) -> dict[str, Any]:
    """`bench pipeline` with `--faces` or `--matrix`."""
    from edgeface.bench.pipeline_matrix import FACES, SIZES, THREADS, bench_matrix
    from edgeface.evaluation.opener import parse_size
    from edgeface.evaluation.stills import Progress

    chosen = [parse_size(size) for size in args.size or []]
    plan: dict[str, Any] = {
        "sizes": chosen or (SIZES if args.matrix else SIZES[1:2]),
        "faces": args.faces or FACES,
        "threads": args.threads or (THREADS if args.matrix else THREADS[:1]),
    }
    cells = len(plan["sizes"]) * len(plan["threads"]) * (len(plan["faces"]) + (0 in plan["faces"]))
    progress = Progress("arrangements", cells)
    found = bench_matrix(args.frames, args.gallery, each=progress.show, **plan)
    return {"gallery": args.gallery, "cells": [asdict(cell) for cell in found]}


def show_crowd(measured: dict[str, Any]) -> None:
    """What `measure_crowd` found."""
    print("milliseconds of processor time a frame; other: all but decoding and models")
    head = ("frame", "threads", "faces", "found", "frames/s", "faces/s", "cpu ms", "other ms")
    more = ("p50", "p99", "share", "yardsticks", "MiB")
    print("".join(f"{word:>11}" for word in (*head, *more)))
    for cell in measured["cells"]:
        result = cell["result"]
        width, height = result["frame_size_px"]
        stage_p99 = max(result["stage_p99_ms"].values(), default=0.0)
        faces = f"{cell['faces']}{' rest' if cell['rests'] else ''}"
        row = (
            f"{width}x{height}",
            f"{cell['threads']}",
            faces,
            f"{result['faces_per_frame']:.1f}",
            f"{result['frames_per_s']:.0f}",
            f"{result['faces_per_s']:.0f}",
            f"{result['cpu_ms']:.2f}",
            f"{result['other_ms']:.2f}",
            f"{result['other_median_ms']:.2f}",
            f"{stage_p99:.2f}",
            f"{result['other_share_of_cpu']:.0%}",
            f"{result['other_in_yardsticks']:.2f}",
            f"{result['resident_peak_mib']:.0f}",
        )
        print("".join(f"{word:>11}" for word in row))
    print("p50: of other; p99: of the stage in which a frame took longest; stages with --json")


def _models(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.bench.models_bench import bench_models
    from edgeface.evaluation.stills import Progress
    from edgeface.inference.package import find_package, packages_in
    from edgeface.settings.places import shipped_models

    packages = [find_package(name) for name in args.packages] or packages_in(shipped_models())
    threads = args.threads or [1, 2]
    progress = Progress("models", len(packages) * len(threads))
    paths = list(map(Path, packages))
    found = bench_models(paths, threads, args.runs, progress.show, operators=args.operators)
    return asdict(found)


def _show_models(measured: dict[str, Any]) -> None:
    print(
        f"{'model':<16}{'runtime':<26}{'threads':>8}{'ms':>9}{'M multiply-adds':>17}"
        f"{'G/s':>8}{'product G/s':>13}{'share':>8}"
    )
    for row in measured["speeds"]:
        print(
            f"{row['model']:<16}{row['runtime']:<26}{row['threads']:>8}{row['ms']:>9.3f}"
            f"{row['multiply_adds'] / 1e6:>17.1f}{row['giga_a_second']:>8.1f}"
            f"{row['product_giga_a_second']:>13.1f}{row['share_of_product']:>8.0%}"
        )
    for row in measured["speeds"]:
        if row["kinds"]:
            _show_kinds(row)
    for reason in measured["left_out"]:
        print(f"left out: {reason}")


def _show_kinds(row: dict[str, Any]) -> None:
    print(f"\n{row['model']}, {row['runtime']}, threads: {row['threads']}; least of all runs")
    print(f"{'operators of a kind':<34}{'number':>7}{'ms':>9}{'of all':>8}{'of product':>12}")
    for kind in row["kinds"]:
        of_product = f"{kind['share_of_product']:.0%}" if kind["multiply_adds"] else ""
        print(
            f"{kind['kind']:<34}{kind['operators']:>7}{kind['ms']:>9.3f}{kind['share']:>8.0%}"
            f"{of_product:>12}"
        )


def _match(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.bench.match_bench import COUNTS, bench_match
    from edgeface.evaluation.stills import Progress

    counts = args.templates or COUNTS
    return asdict(bench_match(counts, args.runs, Progress("galleries", len(counts)).show))


def _show_match(measured: dict[str, Any]) -> None:
    print(
        f"{'templates':>10}  {'way':<18}{'1 probe ms':>11}{'8 probes ms':>12}{'masked ms':>11}"
        f"{'build ms':>11}{'swap ms':>10}{'bytes':>7}{'error':>9}  top"
    )
    for row in measured["speeds"]:
        masked, swap = (
            "" if row[key] is None else f"{row[key]:.3f}" for key in ("masked_ms", "swap_ms")
        )
        print(
            f"{row['templates']:>10,}  {row['way']:<18}{row['probe_ms']:>11.3f}"
            f"{row['batch_ms']:>12.3f}{masked:>11}{row['build_ms']:>11.1f}{swap:>10}"
            f"{row['bytes_a_template']:>7.0f}{row['largest_error']:>9.0e}"
            f"  {'same' if row['same_top'] else 'OTHER'}"
        )
    for reason in measured["left_out"]:
        print(f"left out: {reason}")
