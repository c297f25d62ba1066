"""What the demo is to do: with which camera, at what pace, about whom, and in which folder.

The daemon holds its outbox locked. So a copy of the file and of its write-ahead log is looked at:
what has been committed is in one of them (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from edgeface.base.errors import ContractError, SettingsError
from edgeface.contract import event
from edgeface.contract.event import Recognition
from edgeface.demo.photographs import COLLINS, HOPPER

SITE: Final = "demo"
DEVICE: Final = "door-1"


VISITORS: Final[dict[str, Any]] = {
    "source": "simulated",
    "photographs": (COLLINS, HOPPER, COLLINS, COLLINS, COLLINS),
    "presentations": ("head", "head", "print", "head", "head"),
    "size": (1280, 720),
    "fps": 15.0,
    "visit_s": 4.0,
    "gap_s": 1.0,
    "loop": True,
}
"""The section `camera` for the simulated one: the third holds up a print of the first."""
LIVE_ONLY: Final = """\
pad:
  event: challenge      # report by default; nobody is let in without evidence of a live person
  wait_s: 3             # 2 by default; a busy machine sees fewer frames
  back_off_s: 0         # 30 by default; she comes a second after the print of her

"""
"""Not where people stand still before a real camera."""

_TEMPLATE: Final = """\
# Written by `edgeface demo`; this is the whole configuration of the daemon it starts.
site: {site}
device: {device}
state_dir: state        # device key, gallery, outbox

camera:
{camera}

mqtt:
  host: 127.0.0.1       # the demo's own mosquitto; TLS is off because it is on this machine
  port: {port}

{pad}decision:
  validity_s: 3         # 5 by default; shorter, so that an event grows old within the demo

service:
  stop_timeout_s: 10     # 5 by default; a machine that is busy with other things takes longer

log:
  level: info
  format: json
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the demo."""

    output: Path
    """The contact sheet, a PNG."""
    camera: str | None = None
    """A real camera: see `camera_section`. None: the simulated one."""
    keep: bool = False
    """Leave configuration, gallery, logs and recorded frames."""
    step_s: float = 40.0
    """A step that has not come about by then has failed."""
    again: bool = True
    """After the broker is back, wait until the door has opened again."""
    visitors: Mapping[str, Any] = field(default_factory=lambda: VISITORS)
    """Those of the simulated camera."""

    @property
    def film(self) -> Path | None:
        """The video file that is played as the camera, if one is."""
        return None if self.camera is None else _film(self.camera)


@dataclass(frozen=True, slots=True)
class People:
    """Who comes."""

    person_id: str
    enrolled: str
    """As the screen calls them."""
    stranger: str | None
    """None: a real camera; no stranger has to come."""
    photograph: Path
    """One that was enrolled."""
    held: str | None = None
    """What is held up to the simulated camera."""


def camera_section(what: str) -> Mapping[str, Any]:
    """The section `camera` for a real one.

    `0` or `/dev/video0` is a USB camera, `picamera2` or `picamera2:1` one of a Raspberry Pi;
    an address with `://` or the path of a video file is a stream. Raises SettingsError.
    """
    name, _, index = what.partition(":")
    if name == "picamera2" and (not index or index.isdigit()):
        return {"source": "picamera2", "index": int(index or 0)}
    if what.isdigit():
        return {"source": "v4l2", "device": int(what)}
    if "://" in what:
        return {"source": "stream", "url": what}
    if what.startswith("/dev/"):
        return {"source": "v4l2", "device": what}
    if (path := _film(what)) is not None:
        return {"source": "stream", "url": str(path), "loop": True}
    raise SettingsError(
        f"--camera {what}: neither the number of a camera (0 is /dev/video0) nor picamera2, an "
        "address such as rtsp://..., or a video file"
    )


def _film(what: str) -> Path | None:
    path = Path(what).expanduser().resolve()
    return path if path.is_file() else None


class Workplace:
    """A private folder, removed at the end unless it is to be kept."""

    def __init__(self, *, keep: bool) -> None:
        self.folder: Final = Path(tempfile.mkdtemp(prefix="edgeface-demo-"))
        self.keep: Final = keep
        self.config: Final = self.folder / "edgeface.yaml"
        self.state: Final = self.folder / "state"
        self.public_key: Final = self.state / "device.key.pub"
        self.outbox: Final = self.state / "outbox.sqlite"
        self.frames: Final = self.folder / "frames"

    def log_of(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self.folder / f"{name}.log"

    def write_config(self, camera: Mapping[str, Any], port: int) -> None:
        """Write the configuration file; `camera` is its section."""
        pad = LIVE_ONLY if camera["source"] == "simulated" else ""
        # JSON is YAML.
        lines = (f"  {key}: {json.dumps(value, default=str)}" for key, value in camera.items())
        text = _TEMPLATE.format(
            site=SITE, device=DEVICE, camera="\n".join(lines), port=port, pad=pad
        )
        self.config.write_text(text, encoding="utf-8")

    def waiting_events(self) -> list[Recognition]:
        """The events on disk that the broker has not taken yet, oldest first.

        Empty also where the copy was made at a moment that makes no sense; look again then.
        """
        with tempfile.TemporaryDirectory(prefix="edgeface-demo-") as folder:
            copy = Path(folder) / self.outbox.name
            found: list[Recognition] = []
            with suppress(OSError, sqlite3.Error, ContractError):
                for suffix in ("", "-wal"):
                    shutil.copyfile(f"{self.outbox}{suffix}", f"{copy}{suffix}")
                with closing(sqlite3.connect(copy)) as database:
                    rows = database.execute("SELECT payload FROM event ORDER BY id").fetchall()
                parsed = [event.parse(bytes(payload)) for (payload,) in rows]
                found = [item for item in parsed if isinstance(item, Recognition)]
            return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
