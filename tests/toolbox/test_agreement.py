"""The daemon, `edgeface inspect` and the library give the same embeddings, to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edgeface
from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.recognition.frame import Frame
from edgeface.recognition.pipeline import FrameResult
from edgeface.service.composition import Composition
from edgeface.service.daemon import Daemon
from edgeface.service.signals import SignalQueue
from edgeface.settings.loading import load_settings
from tests.support.clips import film_visits, play
from tests.support.daemon import write_config

LEAST = 10
"""So many faces of a clip the daemon embeds at least."""


@pytest.fixture(params=["simulated", "filmed"])
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """No face in them is so large that the library looks at the still once more."""
    if request.param == "simulated":
        return film_visits(tmp_path / "visits.mp4", COLLINS, HOPPER, visit_s=4.0)
    shared: Path = request.getfixturevalue("shared")
    return shared / "data" / "clips" / "landscape.mp4"


def test_one_clip_gives_the_same_embeddings_in_three_ways(
    clip: Path,
    engine: edgeface.Engine,
    broker: LocalBroker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_daemon: dict[int, list[bytes]] = {}

    def observe(frame: Frame, result: FrameResult) -> None:
        embedded = [sight.embedding for sight in result.sights if sight.embedding is not None]
        if embedded:
            by_daemon[frame.sequence] = [embedding.tobytes() for embedding in embedded]

    camera = {"source": "stream", "url": str(clip), "pace": "as_fast_as_possible"}
    file = write_config(tmp_path, broker.port, camera=camera)
    with SignalQueue() as signals:
        settings = load_settings(file)
        assert Daemon(Composition(settings, observe=observe), file).run(signals).code == 0
    assert sum(map(len, by_daemon.values())) >= LEAST

    capsys.readouterr()
    assert main(["inspect", str(clip), "--json"]) == 0
    by_inspect: dict[int, list[bytes]] = {}
    for line in capsys.readouterr().out.splitlines():
        face = json.loads(line)
        numbers = np.array(face["embedding"], np.float32).tobytes()
        by_inspect.setdefault(face["frame"], []).append(numbers)

    by_library = {
        frame.sequence: [face.embedding.tobytes() for face in engine.faces(frame.image)]
        for frame in play(clip)
        if frame.sequence in by_daemon
    }
    for number, embeddings in by_daemon.items():
        assert set(embeddings) <= set(by_inspect[number])
        assert set(embeddings) <= set(by_library[number])
