"""Section `camera`: which source the frames come from; `source` chooses the other keys."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from edgeface.settings.base import (
    CREDENTIAL_PREFIX,
    Place,
    Places,
    Seconds,
    Section,
    Size,
    as_tuple,
    place,
)

Fps = Annotated[float, Field(gt=0, le=240)]
PictureAlert = Literal["camera_frozen", "camera_covered", "camera_defocused", "camera_moved"]
"""What is noticed of a camera's pictures."""


def _device(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("should be a number (0 is /dev/video0) or a path such as /dev/video0")
    if isinstance(value, int) and value < 0:
        raise ValueError("should be 0 or more")
    if value == "":
        raise ValueError("should not be empty")
    return value if isinstance(value, int) else str(value)


SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt")
"""Of addresses that OpenCV's FFmpeg opens."""
VIDEO_FILES = (
    *(".264", ".265", ".avi", ".flv", ".gif", ".h264", ".h265", ".hevc", ".m2ts", ".m4v"),
    *(".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts"),
    *(".webm", ".wmv"),
)
"""Endings of what is a file without `./` before it."""
_ENCODED = "in a user name and a password @ : / ? # are written %40 %3A %2F %3F %23"
_ADDRESS = "an address (rtsp://HOST/..., http://HOST/...) or the path of a video file"


def _url(value: Any) -> Any:
    """A text with a scheme is left as it is; any other is the path of a video file."""
    if not isinstance(value, str) or not value:
        return value
    scheme, colon, _ = value.partition(":")
    if colon and scheme.lower() in (*SCHEMES, "file"):
        _check_address(value, scheme.lower())
        return str(value)
    if "://" in value:
        raise ValueError(f"should begin with one of {', '.join(SCHEMES)}, file and ://")
    plain = value[0] in "/.~" or value.startswith(CREDENTIAL_PREFIX)
    if not plain and PurePath(value).suffix.lower() not in VIDEO_FILES:
        raise ValueError(f"should be {_ADDRESS}; a file of another name is written ./NAME")
    return str(place(value))


def _check_address(value: str, scheme: str) -> None:
    try:
        parts = urlsplit(value)
        named = parts.path if scheme == "file" else parts.hostname
        _ = parts.port
    except ValueError:  # whose message may hold a part of the password
        raise ValueError(f"is no address: its host or port cannot be; {_ENCODED}") from None
    if scheme != "file" and parts.fragment:
        raise ValueError(f"has a #, behind which no camera is asked for anything; {_ENCODED}")
    if not value[len(scheme) :].startswith("://") or not named:
        form = "file:///PATH" if scheme == "file" else f"{scheme}://HOST/..."
        raise ValueError(f"names no {'file' if scheme == 'file' else 'host'}: {form} is the form")


class CameraBase(Section):
    """What every source has in common."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = "door"
    """Names the source in frames, logs and the state."""
    stall_timeout_s: Seconds = 4.0
    """A source that delivers nothing for so long is closed and opened again."""
    reopen_min_s: Seconds = 0.5
    """The shortest pause before a source is opened again; it doubles with every failure."""
    reopen_max_s: Seconds = 30.0
    """The longest such pause."""

    rotate: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise by which the pictures of a camera that hangs otherwise are turned."""
    flip: bool = False
    """Mirrors the pictures left to right, after they were turned: for a camera that mirrors."""
    alerts: Annotated[tuple[PictureAlert, ...], BeforeValidator(as_tuple)] | None = None
    """Which alerts the pictures may raise; null: all of a camera, none of files."""
    frozen_s: Seconds = 4.0
    """Pictures that are equal to the last bit for so long are of a camera that is frozen."""

    @property
    def exposure_limit_ev(self) -> float:
        """By how much the exposure may be corrected; 0 where it cannot be."""
        return 0.0

    @property
    def is_camera(self) -> bool:
        """Whether something hangs there and sees what is now."""
        return True

    @property
    def watched(self) -> tuple[PictureAlert, ...]:
        """The alerts that the pictures may raise."""
        if self.alerts is not None:
            return self.alerts
        return get_args(PictureAlert) if self.is_camera else ()

    def turn_hint(self, degrees: int) -> str:
        """For a camera whose pictures show upright faces only after they are turned clockwise."""
        wanted = (self.rotate + (-degrees if self.flip else degrees)) % 360
        return (
            f"faces are found only after the picture is turned by {degrees} degrees clockwise: set "
            f"camera.rotate: {wanted}"
        )

    @model_validator(mode="after")
    def _ordered(self) -> CameraBase:
        if self.reopen_min_s > self.reopen_max_s:
            raise ValueError("reopen_min_s should not be above reopen_max_s")
        return self


class ExposedCamera(CameraBase):
    """One whose exposure can be set."""

    face_ev_max: Annotated[float, Field(ge=0, le=3)] = 0.0
    """The most by which pictures are made lighter or darker for the sake of the last face, against
    light from behind for instance, in EV; 0: the camera's exposure is its own."""

    @property
    def exposure_limit_ev(self) -> float:
        """As it is set."""
        return self.face_ev_max


class Picamera2Camera(ExposedCamera):
    """A camera of the Raspberry Pi, through libcamera."""

    source: Literal["picamera2"]
    index: Annotated[int, Field(ge=0)] = 0
    """The camera's number, 0 is the first."""
    size: Size = (1280, 720)
    """Width and height in pixels of the image that faces are cut from."""
    detect_size: Size = (320, 240)
    """Width and height in pixels of the image that faces are looked for in."""
    fps: Fps = 10.0

    @model_validator(mode="after")
    def _sizes(self) -> Picamera2Camera:
        if any(side % 2 for side in (*self.size, *self.detect_size)):
            raise ValueError("the sides of size and detect_size should be even")
        if self.detect_size[0] > self.size[0] or self.detect_size[1] > self.size[1]:
            raise ValueError("detect_size should not be larger than size")
        return self


class V4l2Camera(ExposedCamera):
    """A USB camera, through Video4Linux."""

    source: Literal["v4l2"]
    device: Annotated[int | str, BeforeValidator(_device)] = 0
    """The number of the video device, or its path."""
    size: Size = (1280, 720)
    """Width and height in pixels, asked of the camera."""
    fps: Fps = 10.0
    pixel_format: Annotated[str, Field(pattern=r"^[A-Za-z0-9 ]{4}$")] = "MJPG"
    """The four letters of the format, as `v4l2-ctl --list-formats` shows them."""


class StreamCamera(CameraBase):
    """RTSP, HTTP or a video file."""

    source: Literal["stream"]
    url: Annotated[str, BeforeValidator(_url), Field(min_length=1)]
    """An address (rtsp://, http://) or the path of a video file. Logs and messages show it without
    user name, password and query."""
    username: Annotated[str, Field(min_length=1)] | None = None
    """Put before the host of `url`, or where `url` has `{username}`."""
    password_file: Place | None = None
    """A file whose first line is the password, or credential:NAME: it goes behind `username`, or
    where `url` has `{password}`."""
    pace: Literal["real_time", "as_fast_as_possible"] = "real_time"
    """Of a file: at its own pace, or as fast as it decodes."""
    loop: bool = False
    """Of a file: begin again at the end."""
    frozen_s: Seconds = 20.0
    """Pictures that are equal to the last bit for so long are of a camera that is frozen; where
    nothing moves, encoders may repeat one for a while."""

    @property
    def is_camera(self) -> bool:
        """Not a file."""
        return urlsplit(self.url).scheme not in ("", "file")

    @model_validator(mode="after")
    def _secrets(self) -> StreamCamera:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username")
        address = urlsplit(self.url)
        remote = address.scheme not in ("", "file")
        if self.username is not None and (not remote or address.username is not None):
            raise ValueError("username belongs to an address that has no user name in it")
        if self.username is None and any(part in self.url for part in ("{username}", "{password}")):
            raise ValueError("url has a place for username and password_file, which are not set")
        return self


class ImagesCamera(CameraBase):
    """The pictures of a folder, in the order of their names."""

    source: Literal["images"]
    folder: Place
    fps: Fps = 10.0
    loop: bool = False

    @property
    def is_camera(self) -> bool:
        """They are as they are."""
        return False


Presentation = Literal["cut_out", "head", "print", "bent_print", "phone", "tablet"]
"""How a photograph is shown to the simulated camera."""
SCREENS = ("phone", "tablet")
"""What shows a film as well."""


class SimulatedCamera(ExposedCamera):
    """Photographs replayed as people who walk up to the door, one after another."""

    source: Literal["simulated"]
    photographs: Annotated[Places, Field(min_length=1)]
    """Pictures; for a phone and a tablet also video files, which play in a loop."""
    presentations: Annotated[
        tuple[Presentation, ...], BeforeValidator(as_tuple), Field(min_length=1)
    ] = ("cut_out",)
    """How they are shown, in turn as the photographs are: cut out along an arch; as a head with
    depth, which needs a face in the photograph; or held up on paper or on a screen."""
    size: Size = (1280, 720)
    """Width and height in pixels of the frames."""
    fps: Fps = 15.0
    visit_s: Seconds = 4.0
    """How long one person is in view."""
    gap_s: Annotated[float, Field(ge=0)] = 1.5
    """How long nobody is in view between two people."""
    seed: Annotated[int, Field(ge=0)] = 1
    """The same seed gives the same frames."""
    loop: bool = False

    @model_validator(mode="after")
    def _films(self) -> SimulatedCamera:
        visits = math.lcm(len(self.photographs), len(self.presentations)) if self.loop else None
        for visit in range(visits or len(self.photographs)):
            path = self.photographs[visit % len(self.photographs)]
            shown = self.presentations[visit % len(self.presentations)]
            if path.suffix.lower() in VIDEO_FILES and shown not in SCREENS:
                raise ValueError(
                    f"presentations shows {path.name} as {shown}, but a film is shown on a "
                    f"{' or '.join(SCREENS)} only"
                )
        return self


Camera = Annotated[
    Picamera2Camera | V4l2Camera | StreamCamera | ImagesCamera | SimulatedCamera,
    Field(discriminator="source"),
]
