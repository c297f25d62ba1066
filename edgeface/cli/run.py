"""Run the daemon in the foreground until SIGTERM or SIGINT; SIGHUP reads the configuration again.

Exit codes: 0 clean, 2 bad configuration, 3 missing hardware, model or runtime, 4 a worker failed
more often than it may, 5 a worker was stuck at the end, 1 anything else.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgeface.cli.common import add_config
from edgeface.service.daemon import run_to_the_end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface run`."""
    add_config(parser)
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="for commissioning: keep the newest 400 frames with faces in DIR, annotated; these "
        "are images of people, so tell them, and delete the folder afterwards",
    )


def run(args: argparse.Namespace) -> int:
    """Return the exit code; where a thread is left behind, end the process with it."""
    return run_to_the_end(args.config, args.record)
