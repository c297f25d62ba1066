"""The recipe, one command a step: `python -m models.training STEP`, from the repository root."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgeface.base.errors import EdgefaceError

WORK = Path("build/training")
RUN = ("steps", "minutes", "rate", "seed", "checkpoint_steps")
"""Settings of every run."""


def prepare(args: argparse.Namespace) -> None:
    """Decode the pools and ask the teachers, once."""
    from models.training import faces, pad_pool, pad_views, scenes

    faces.prepare(args.data, args.cache, limit=args.limit)
    scenes.prepare(args.data, args.teacher, args.cache, limit=args.limit)
    scenes.prepare_pasted(args.data, args.teacher, args.cache, limit=args.limit)
    if (args.data / "pad").exists():
        pad_pool.prepare(args.data, args.cache, limit=args.limit)
        pad_views.prepare(args.cache)
    if args.guide:
        from models.training import teacher

        teacher.prepare(args.cache, args.guide)


def train(args: argparse.Namespace) -> None:
    """Train one network; goes on from its last checkpoint."""
    import torch

    torch.set_num_threads(args.threads)
    if args.network == "pad":
        from models.training import train_pad

        pad = train_pad.PadRun(**settings(args, *RUN, "batch", "fold"), left_out=sources(args))
        out = args.out if args.fold is None else args.out / f"fold-{args.fold}"
        train_pad.train(args.cache, out, train_pad.PadShape(), pad)
    elif args.network != "detector":
        from models.training import train_blocks, train_chain
        from models.training.embedder import EmbedderShape
        from models.training.lessons import LessonPlan

        if args.guide is None:
            raise SystemExit("train blocks and train chain need the teacher: --guide FILE.xml")
        plan = LessonPlan(**settings(args, "batch", "held_out"))
        if args.network == "blocks":
            blocks = train_blocks.BlocksRun(**settings(args, *RUN))
            train_blocks.train(args.cache, args.out, args.guide, EmbedderShape(), plan, blocks)
        else:
            chain = train_chain.ChainRun(**settings(args, *RUN))
            train_chain.train(args.cache, args.out, args.guide, plan, chain)
    else:
        from models.training.networks import DetectorShape
        from models.training.train_detector import DetectorRun
        from models.training.train_detector import train as run_detector

        detector = DetectorRun(**settings(args, *RUN, "batch", "held_out"))
        run_detector(args.cache, args.out, DetectorShape(), detector)


def sources(args: argparse.Namespace) -> tuple[str, ...]:
    """Those of the attack detector's pool that are not trained on."""
    return tuple(args.leave_out.split(","))


def settings(args: argparse.Namespace, *wanted: str) -> dict[str, Any]:
    """Those of the wanted settings that were given on the command line."""
    given = {name: getattr(args, name, None) for name in wanted}
    return {name: value for name, value in given.items() if value is not None}


def quantise(args: argparse.Namespace) -> None:
    """Checkpoint to full-int8 `model.tflite`."""
    from models.training import quantise as quantising

    worst = getattr(quantising, f"quantise_{args.network}")(
        args.out / f"{args.network}.pt", args.cache, args.package / "model.tflite"
    )
    print(f"{args.package / 'model.tflite'}: torch and Keras agree within {worst:.1e} of the range")


def package(args: argparse.Namespace) -> None:
    """Write `golden.npz` and `model.yaml` beside `model.tflite`."""
    from models.training import package as packing
    from models.training.networks import DetectorShape

    if args.network == "embedder":
        tflite = args.package / "model.tflite"
        description = packing.describe_embedder(tflite, args.version, None, args.notes)
        packing.write_golden(args.package, description, args.detector)
    elif args.network == "pad":
        packing.write_golden(args.package, packing.describe_pad(args.version), args.detector)
    else:
        description = packing.describe_detector(DetectorShape(), args.version, args.score)
        packing.write_golden(args.package, description)
    print(f"{args.package}: written; its golden run passes")


def calibrate(args: argparse.Namespace) -> None:
    """Fit the calibration of an embedder's package and print what it delivers."""
    from models.training.calibrate import calibrate as fit
    from models.training.calibrate import table

    report = fit(args.package, args.detector, args.pairs, args.root)
    print(f"{report['impostors']} impostor pairs of {report['people']} people;", end=" ")
    smallest = report["calibration"]["smallest_fmr"]
    print(f"smallest FMR that the data support {smallest:.0e}")
    print(table(report))


def attacks(args: argparse.Namespace) -> None:
    """Print how often the attack detector errs, and calibrate its package."""
    from models.training.pad_rates import measure

    folder, write = args.package, args.package is not None
    print(measure(args.cache, args.out, folder, sources(args), args.folds, write))


def stress(args: argparse.Namespace) -> None:
    """Print how often the faces of one source, and of one group of people, match each other."""
    from models.training import stress as harder

    by_source, by_group = harder.stress(args.cache, args.package)
    print(harder.table(by_source, "source"))
    print(harder.table(by_group, "UTKFace's labels"))


def evaluate(args: argparse.Namespace) -> None:
    """Accuracy of the float checkpoint, beside which the int8 package is judged."""
    from models.training.evaluate import evaluate as measure

    for pairs in args.pairs:
        result = measure(args.out / "embedder.pt", str(args.detector), pairs, args.root)
        mean, deviation = result.mapping["accuracy"], result.mapping["accuracy_std"]
        text = "none" if mean is None else f"{mean:.4f} +- {deviation:.4f}"
        print(f"{pairs.name}: float accuracy {text}, EER {result.eer.rate:.4f}")


def finetune(args: argparse.Namespace) -> None:
    """Adapt the embedder to a folder of people."""
    from models.training.finetune import FinetuneRun
    from models.training.finetune import finetune as adapt

    run = FinetuneRun(loss=args.loss, steps=args.steps or FinetuneRun.steps, held_out=args.held_out)
    print(adapt(args.checkpoint, args.out, args.people, args.detector, run))


def restore(args: argparse.Namespace) -> None:
    """Put the committed weights of a network into the work folder, or the mean of other files."""
    from models.training.checkpoints import restore as unpack

    print(unpack(args.network, args.out, args.weights))


def finish(args: argparse.Namespace) -> None:
    """Fold the batch norm of trained blocks: the chain's start."""
    from models.training.train_blocks import finish as fold

    print(fold(args.out))


def keep(args: argparse.Namespace) -> None:
    """Write a checkpoint's averaged weights as the small file that is committed."""
    from models.training.checkpoints import keep as pack

    print(pack(args.network, args.out))


STEPS: dict[str, Callable[[argparse.Namespace], None]] = {
    step.__name__: step
    for step in (
        prepare,
        train,
        finish,
        evaluate,
        quantise,
        package,
        calibrate,
        attacks,
        stress,
        finetune,
        keep,
        restore,
    )
}


def parser() -> argparse.ArgumentParser:
    """The command line of all steps."""
    top = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    verbs = top.add_subparsers(dest="step", required=True)
    for name, step in STEPS.items():
        verb = verbs.add_parser(name, help=step.__doc__)
        verb.add_argument("--cache", type=Path, default=WORK / "cache", help="decoded pools")
        verb.add_argument("--out", type=Path, default=WORK / "run", help="checkpoints and log")
        if name == "train":
            verb.add_argument("network", choices=("blocks", "chain", "detector", "pad"))
        if name in ("quantise", "package", "keep", "restore"):
            verb.add_argument("network", choices=("embedder", "detector", "pad"))
        if name == "restore":
            verb.add_argument("--weights", type=Path, action="append", default=[], metavar="NPZ")
        if name in ("prepare", "train"):
            verb.add_argument("--guide", type=Path, help="the embedding teacher's .xml")
        if name == "prepare":
            verb.add_argument("--data", type=Path, required=True, help="folder of the face data")
            verb.add_argument("--teacher", type=Path, required=True, help="YuNet's ONNX file")
            verb.add_argument("--limit", type=int, help="first pictures only, for a trial")
        if name == "train":
            verb.add_argument("--threads", type=int, default=2)
            for number in ("steps", "batch", "seed", "held-out", "checkpoint-steps"):
                verb.add_argument(f"--{number}", type=int)
            verb.add_argument(
                "--fold", type=int, choices=range(5), help="pad: leave its people out"
            )
            verb.add_argument("--minutes", type=float, help="instead of steps, on a shared machine")
            verb.add_argument("--rate", type=float, help="peak learning rate")
        if name in ("train", "attacks"):
            verb.add_argument(
                "--leave-out", default="mask,msu", metavar="SOURCE,...", help="pad: not trained on"
            )
        if name == "attacks":
            verb.add_argument("--folds", action="store_true", help="the five runs of train --fold")
            verb.add_argument("--package", type=Path, help="calibrated; else the float checkpoint")
        if name in ("quantise", "package", "calibrate", "stress"):
            verb.add_argument("--package", type=Path, required=True, help="the model's folder")
        if name in ("package", "calibrate", "evaluate", "finetune"):
            verb.add_argument("--detector", type=Path, help="package of the detector to align with")
        if name == "package":
            verb.add_argument("--version", required=True)
            verb.add_argument("--score", type=float, default=0.5, help="detector's threshold")
            verb.add_argument("--notes", default="")
        if name in ("calibrate", "evaluate"):
            verb.add_argument("--pairs", type=Path, action="append", required=True)
            verb.add_argument("--root", type=Path, required=True)
        if name == "finetune":
            verb.add_argument("--people", type=Path, required=True, help="<person>/<picture>")
            verb.add_argument("--checkpoint", type=Path, required=True)
            verb.add_argument(
                "--held-out",
                type=float,
                default=0.2,
                metavar="SHARE",
                help="of the people, not trained on: measured before and after (default 0.2)",
            )
            verb.add_argument("--loss", choices=("triplet", "arcface"), default="triplet")
            verb.add_argument("--steps", type=int)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step; returns the exit status."""
    args = parser().parse_args(argv)
    free = shutil.disk_usage(Path.cwd()).free
    if args.step == "prepare" and free < 4e9:
        print(f"only {free / 1e9:.1f} GB are free; the cache needs 3 GB", file=sys.stderr)
        return 1
    try:
        STEPS[args.step](args)
    except (OSError, ImportError, EdgefaceError) as error:
        print(f"python -m models.training {args.step}: error: {_explained(error)}", file=sys.stderr)
        return 1
    return 0


def _explained(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; `pip install -e '.[train]'`, see docs/models.md"
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return (
            f"{error.filename} is missing; docs/models.md says which step makes it, or where "
            "the data come from"
        )
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
