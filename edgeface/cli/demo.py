"""Shows the main job with the real parts: a broker, the daemon and the reference door controller.

A simulated camera replays two photographs as people who walk up to the door. One of them is
enrolled: the door opens for her, and stays shut for the other. Then the broker is stopped and
started again while a recognition waits: the door stays shut for it, and the log gets it. Takes half
a minute, needs mosquitto, and leaves nothing but a picture.

Exit status: 0 only if all of it went right.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from edgeface.cli.common import output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface demo`."""
    parser.add_argument(
        "--camera",
        metavar="CAMERA",
        help="a real camera: 0 or /dev/video0 (USB), picamera2, an address such as rtsp://..., or "
        "a video file, whose beginning is played over and over; the one person that it shows is "
        "enrolled first",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave configuration, gallery, logs and recorded frames, and print where",
    )
    parser.add_argument(
        "--output",
        type=output_file,
        default="edgeface-demo.png",
        metavar="PNG",
        help="the picture of what happened (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Return 0 when all of it went right, 1 otherwise."""
    from edgeface.demo.demonstration import demonstrate
    from edgeface.demo.plan import Plan
    from edgeface.demo.screen import Screen

    plan = Plan(args.output, args.camera, args.keep)
    if args.camera is not None:
        plan = replace(plan, step_s=90.0, again=False)
    return demonstrate(plan, Screen())
