"""The camera of a verb that looks through one: the configured one, or one chosen by hand."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from edgeface.base.errors import CameraError, PictureError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from edgeface.capture.stream import FileStreamSource
    from edgeface.settings.camera import Camera
    from edgeface.settings.tree import Settings

CONFIGURED: Final = ""


def add_camera(options: argparse._ActionsContainer) -> None:
    """`--camera [N]`."""
    options.add_argument(
        "--camera",
        nargs="?",
        const=CONFIGURED,
        metavar="N",
        help="look through /dev/videoN, or without N through the camera of -c; a daemon that uses "
        "it has to be stopped meanwhile",
    )


def camera_of(chosen: str, settings: Settings | None) -> Camera:
    """What `--camera` names. Raises SettingsError."""
    from edgeface.settings.camera import V4l2Camera

    if chosen != CONFIGURED:
        device = int(chosen) if chosen.isdigit() else chosen
        return V4l2Camera(source="v4l2", device=device)
    if settings is None:
        raise SettingsError("--camera: give a number, 0 is /dev/video0, or -c FILE")
    return settings.camera


def open_video(path: Path) -> FileStreamSource:
    """A video file, opened: every frame of it, at its own times, as fast as it is read.

    Raises PictureError for what is no video.
    """
    from edgeface.base.clock import ManualClock
    from edgeface.capture.stream import FileStreamSource
    from edgeface.settings.camera import StreamCamera

    camera = StreamCamera(source="stream", url=path.absolute().as_uri(), name=path.name[:64])
    source = FileStreamSource(path, camera, ManualClock())
    try:
        source.open()
    except CameraError as error:
        raise PictureError(str(error)) from error
    return source
