"""Look for what this machine lacks: every part is tried for real, and each fault says what to do.

Each check is OK, WARN, FAIL, or -- where it could not be tried, with the reason. Without a
configuration only the machine and the models are looked at.

A camera and an Edge TPU serve one process at a time, so stop the daemon before, or leave the camera
out with --skip camera. So does a certificate: for a moment the check of the broker takes the
connection from a daemon that runs (--skip broker). Exit code 0: nothing fails, 1: something does.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgeface.base.errors import SettingsError
from edgeface.cli.common import add_config, add_json
from edgeface.cli.plain import plain, plain_json
from edgeface.settings.loading import DEFAULT_FILE, load_settings

if TYPE_CHECKING:
    from edgeface.service.doctor.finding import Finding
    from edgeface.settings.tree import Settings

MARKS: Final = {"ok": "OK", "warn": "WARN", "fail": "FAIL", "not_tried": "--"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface doctor`."""
    add_config(parser)
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="CHECK",
        help="leave a check out, the camera while the daemon runs, say",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print what each check found; return 0 when nothing fails, 1 otherwise.

    Raises SettingsError for a check that is not there.
    """
    from edgeface.service.doctor.checkup import CHECKS, examine
    from edgeface.service.doctor.finding import Patient

    for name in args.skip:
        if name not in CHECKS:
            raise SettingsError(f"--skip {name}: is no check; one of {', '.join(CHECKS)}")
    settings, config = _configuration(args.config)
    told: list[dict[str, Any]] = []
    file = None if settings is None else args.config
    patient = Patient(settings, file, left_out=frozenset(args.skip))
    for name, found in chain([("config", config)], examine(patient)):
        told.append(_tell(name, found, quiet=args.json))
    counts = Counter(item["verdict"] for item in told)
    if args.json:
        print(plain_json({"checks": told}))
    else:
        _sum_up(counts)
    return 1 if counts["fail"] else 0


def _configuration(path: Path) -> tuple[Settings | None, Finding]:
    from edgeface.service.doctor.finding import Finding

    if path == DEFAULT_FILE and not path.exists():
        cure = "copy config/edgeface.yaml to it, or name another one with -c FILE"
        return None, Finding("warn", f"{path} is not there: only the machine is looked at", cure)
    try:
        return load_settings(path), Finding("ok", str(path))
    except SettingsError as error:
        return None, Finding(
            "fail", str(error), f"mend it until `edgeface config check {path}` is ok"
        )


def _tell(name: str, found: Finding, *, quiet: bool) -> dict[str, Any]:
    if not quiet:
        first, *rest = found.detail.splitlines() or [""]
        print(f"{MARKS[found.verdict]:<4}  {name:<12} {plain(first)}")
        rest += [f"-> {line}" for line in found.cure.splitlines()]
        for line in rest:
            print(f"{'':<18} {plain(line)}", flush=True)
    return {
        "name": name,
        "verdict": found.verdict,
        "detail": found.detail,
        "cure": found.cure or None,
    }


def _sum_up(counts: Counter[str]) -> None:
    words = {"fail": "failed", "warn": "with a warning", "not_tried": "not tried"}
    said = [f"{counts[verdict]} {text}" for verdict, text in words.items() if counts[verdict]]
    print(f"{counts.total()} checks: {', '.join(said) or 'nothing is missing'}")
