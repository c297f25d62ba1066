"""The daemon as a process of its own, as systemd starts it, looked at from outside; Linux alone."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import yaml

from edgeface.base.errors import EvaluationError
from edgeface.base.ids import new_person_id
from edgeface.gallery.opening import open_gallery
from edgeface.gallery.person import Person, StoredTemplate
from edgeface.inference.package import load_package
from edgeface.mqtt.localbroker import tethered
from edgeface.recognition.templates import encode_template
from edgeface.settings.loading import load_settings
from edgeface.settings.places import PACKAGE

SITE: Final = "bench"
DEVICE: Final = "device"
READY_S: Final = 120.0
"""As long as the unit waits."""
STOP_S: Final = 30.0
_POLL_S: Final = 0.2
_LAST_WORDS: Final = 1500


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process holds; proc(5)."""

    resident_mib: float
    proportional_mib: float
    """PSS: what is shared with other processes counts in part."""
    descriptors: int
    threads: int
    cpu_s: float
    """Processor time since its start, user and system."""


def configure(folder: Path, port: int, people: int, **sections: Mapping[str, Any]) -> Path:
    """A configuration in `folder` with the broker at `port` and these sections, and its gallery of
    so many people with random templates, two each. Raises SettingsError, GalleryError, ModelError
    or StateError."""
    file = folder / "edgeface.yaml"
    content = {
        "site": SITE,
        "device": DEVICE,
        "state_dir": os.fspath(folder / "state"),
        "mqtt": {"host": "127.0.0.1", "port": port, "tls": "off"},
        "log": {"format": "json"},
        **sections,
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    (folder / "state").mkdir(mode=0o700)
    settings = load_settings(file)
    package = load_package(settings.models.embedder)
    random = np.random.default_rng(7)
    with open_gallery(settings) as store, store.change() as change:
        for _ in range(people):
            person_id = new_person_id()
            change.put_person(Person(person_id, created_s=time.time()))
            vectors = random.standard_normal((2, package.dimensions))
            rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            templates = [StoredTemplate(encode_template(row)) for row in rows]
            change.put_templates(person_id, package.space_id, templates)
    return file


class DaemonRun:
    """`edgeface run -c FILE` from its start to its end, its log beside FILE."""

    def __init__(self, file: Path) -> None:
        """Start it."""
        self._log = file.with_suffix(".log")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_POLL_S)
        name = f"edgeface-bench-{secrets.token_hex(8)}"
        self._socket.bind(f"\0{name}")
        self.started_s: Final = time.time()
        """UTC epoch seconds."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                tethered([sys.executable, "-m", "edgeface", "run", "-c", os.fspath(file)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=PACKAGE.parent,  # so that it is this very package
                env=os.environ | {"NOTIFY_SOCKET": f"@{name}"},
            )

    def wait_ready(self) -> float:
        """Until systemd would have been told READY=1: seconds since the start. Raises
        EvaluationError when it ends before, or says nothing."""
        while time.time() - self.started_s < READY_S:
            try:
                told = self._socket.recv(4096)
            except TimeoutError:
                self.require_alive()
                continue
            if told.startswith(b"READY=1"):
                return time.time() - self.started_s
        raise EvaluationError(f"the daemon was not ready within {READY_S:.0f} s: {self._said}")

    def require_alive(self) -> None:
        """Raise EvaluationError when it has ended by itself."""
        if (code := self._process.poll()) is not None:
            raise EvaluationError(f"the daemon ended with {code}: {self._said}")

    def resources(self) -> Resources:
        """As they are now. Raises EvaluationError when it has ended by itself."""
        self.require_alive()
        return resources_of(self._process.pid)

    def logged(self) -> list[tuple[float, dict[str, Any]]]:
        """Its log so far: seconds since the start, and the record."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        records = [json.loads(line) for line in lines if line.startswith("{")]
        return [
            (datetime.fromisoformat(record["time"]).timestamp() - self.started_s, record)
            for record in records
        ]

    def stop(self) -> int:
        """SIGTERM, and SIGKILL where that does not help; the exit code. Safe to call twice."""
        self._socket.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    @property
    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def resources_of(pid: int) -> Resources:
    """What a process holds now."""
    proc = Path("/proc", str(pid))
    sizes = dict(_sizes((proc / "smaps_rollup").read_text(encoding="ascii")))
    # The name in parentheses may hold anything; after it the fields are numbers.
    fields = (proc / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return Resources(
        sizes["Rss"] / 2**10,
        sizes["Pss"] / 2**10,
        len(os.listdir(proc / "fd")),  # noqa: PTH208  (names are enough)
        int(fields[17]),
        (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
    )


def _sizes(rollup: str) -> list[tuple[str, float]]:
    """Names and KiB of the lines of smaps_rollup."""
    rows = [line.split() for line in rollup.splitlines()[1:]]
    return [(row[0].rstrip(":"), float(row[1])) for row in rows if len(row) == 3]
