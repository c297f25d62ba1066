from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from edgeface.base.clock import ManualClock
from edgeface.base.errors import ClosedError, EndOfStreamError, EvaluationError
from edgeface.bench.cost_charts import FACES_FILE, MATCH_FILE
from edgeface.bench.pipeline_bench import (
    Process,
    Yardstick,
    bench_idle,
    bench_pipeline,
    metered_pipeline,
    strangers,
)
from edgeface.bench.stage_clock import StageClock
from edgeface.capture.images import ImagesSource
from edgeface.capture.source import FrameSource
from edgeface.cli.bench import add_arguments
from edgeface.cli.main import main
from edgeface.inference.models import open_models
from edgeface.recognition.frame import Frame
from edgeface.recognition.idling import IdleRules
from edgeface.recognition.pipeline import FrameResult
from edgeface.service.board import Board
from edgeface.service.recognizing import Recognizer
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse
from tests.support.cameras import images, simulated, video_file
from tests.support.doorstep import Scene
from tests.support.people import face, gallery, identity
from tests.support.settings import settings_of


def _ticks(*times_s: float) -> Iterator[float]:
    return iter(times_s)


def test_a_stage_within_another_counts_for_itself_only() -> None:
    ticks = _ticks(0.0, 1.0, 4.0, 10.0, 20.0, 21.0)
    clock = StageClock(1, now_s=lambda: next(ticks))
    with clock.stage("detect"), clock.stage("invoke"):
        pass
    clock.end_frame()
    with clock.stage("invoke"):
        pass
    clock.end_frame()
    assert clock.frames == 2
    assert clock.per_frame_ms("invoke").tolist() == [3000.0, 1000.0]
    assert clock.per_frame_ms("detect").tolist() == [7000.0, 0.0]
    assert clock.per_frame_ms("detect", "invoke", "unknown").tolist() == [10_000.0, 1000.0]


def test_a_stage_that_fails_is_closed_and_a_warm_up_forgotten() -> None:
    clock = StageClock()
    with pytest.raises(ZeroDivisionError), clock.stage("a"):
        _ = 1 / 0
    clock.end_frame()
    clock.forget()
    assert clock.frames == 0
    with clock.stage("b"):
        pass
    clock.end_frame()
    assert clock.per_frame_ms("a").tolist() == [0.0]


class _Looking:
    """A pipeline that spends time in a stage and none outside."""

    def __init__(self, clock: StageClock) -> None:
        self.clock = clock
        self.frames = 0

    def __call__(self, frame: Frame) -> FrameResult:
        with self.clock.stage("look"):
            self.frames += 1
        return FrameResult((), ())


def _source(folder: Path, pictures: int, *, loop: bool = True) -> ImagesSource:
    for number in range(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((24, 32, 3), number, np.uint8))
    return images(folder, fps=20, loop=loop, clock=ManualClock())


def test_memory_that_grows_is_reported_per_thousand_frames(tmp_path: Path) -> None:
    clock = StageClock()
    process = _Looking(clock)
    result = bench_pipeline(
        _source(tmp_path, 3),
        process,
        clock,
        100,
        warm_up=5,
        resident_mib=lambda: 50 + process.frames / 1024,
    )
    assert result.frames == 100
    assert process.frames == 105
    assert result.frame_size_px == (32, 24)
    assert result.growth_kib_per_1000_frames == pytest.approx(1000)
    assert result.growth_mib == pytest.approx(100 / 1024)
    assert set(result.stage_ms) == {"decode", "look"}
    assert result.other_in_yardsticks > 0


def test_a_source_that_ends_early_is_measured_as_far_as_it_went(tmp_path: Path) -> None:
    clock = StageClock()
    result = bench_pipeline(
        _source(tmp_path, 12, loop=False), _Looking(clock), clock, 100, warm_up=2
    )
    assert result.frames == 10


@pytest.mark.parametrize(("pictures", "message"), [(3, "within 5 frames"), (7, "gave 2 frames")])
def test_too_short_a_source_is_refused(tmp_path: Path, pictures: int, message: str) -> None:
    clock = StageClock()
    source = _source(tmp_path, pictures, loop=False)
    with pytest.raises(EvaluationError, match=message):
        bench_pipeline(source, _Looking(clock), clock, 100, warm_up=5)


@pytest.fixture
def visitor(tmp_path: Path) -> Path:
    """A picture in which the simple detector finds a face and a good crop."""
    image = np.random.default_rng(1).integers(60, 200, (64, 96, 3), np.uint8)
    image[..., 2] = image[..., 0]
    image[16:48, 24:64] = (0, 0, 255)
    path = tmp_path / "visitor" / "0.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), cv2.resize(image, (960, 640)))
    return path


def test_every_stage_of_the_pipeline_is_metered(
    visitor: Path, detector_package: Path, embedder_package: Path
) -> None:
    clock = StageClock()
    process = metered_pipeline(clock, 20, str(detector_package), str(embedder_package))
    source = images(visitor.parent, fps=10, loop=True, clock=ManualClock())
    result = bench_pipeline(source, process, clock, 60, warm_up=5)
    assert result.faces_per_frame > 0
    assert {
        "decode",
        "detect",
        "invoke detector",
        "track",
        "look again",
        "align",
        "quality",
        "decide",
    } <= set(result.stage_ms)
    # Ratios only: what runs beside one another on a busy machine.
    assert 0 < result.other_share_of_cpu <= 1
    assert result.other_ms >= sum(
        spent_ms
        for name, spent_ms in result.stage_ms.items()
        if name != "decode" and not name.startswith("invoke")
    )


def test_a_face_beside_the_models_costs_little_more_than_one_yardstick() -> None:
    rng = np.random.default_rng(1)
    clock, yardstick = StageClock(), Yardstick()
    scene = Scene(gallery([identity(rng) for _ in range(1000)]), stopwatch=clock.stage)
    scene.stage.actors = [(replace(face(300.0, 150.0, 300.0), zoom=0.25), identity(rng))]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for _ in range(60):
            scene.step()
            with clock.stage("yardstick"):
                yardstick.run()
            clock.end_frame()
    finally:
        cv2.setNumThreads(threads)
    beside = clock.per_frame_ms("track", "align", "quality", "decide")
    beside_median, unit = np.median(beside), np.median(clock.per_frame_ms("yardstick"))
    assert beside_median < 1.5 * unit, (beside_median, unit)
    assert beside.mean() < 1.5 * clock.per_frame_ms("yardstick").mean()


def embedded_by_bench(source: FrameSource, process: Process, clock: StageClock) -> int:
    result = bench_pipeline(source, process, clock, 10_000, warm_up=0)
    return round(result.embeddings_per_frame * result.frames)


def embedded_by_daemon(source: FrameSource, folder: Path, models: dict[str, str]) -> int:
    """The same frames and gallery, through the daemon's worker with its default settings."""
    settings = settings_of(models={"accelerator": "cpu", **models})
    board = Board(settings)
    _, embedder, _ = open_models(settings.models)
    board.by_gallery.index = strangers(20, embedder)

    class Slot:
        def get(self, timeout_s: float) -> Frame:
            try:
                return source.read(timeout_s)
            except EndOfStreamError as error:
                raise ClosedError("played to its end") from error

    floor = TimeFloor(folder / "time", ManualClock())
    with source:
        Recognizer(board, cast(Any, Slot()), lambda _: None, floor).run(Pulse(10))
    return board.meters.counters()["embeddings"]


def test_the_benchmark_embeds_the_crops_of_simulated_frames_that_the_daemon_embeds(
    tmp_path: Path, visitor: Path, detector_package: Path, embedder_package: Path
) -> None:
    def source() -> FrameSource:
        return simulated(visitor, clock=ManualClock())

    models = {"detector": str(detector_package), "embedder": str(embedder_package)}
    clock = StageClock()
    bench = embedded_by_bench(source(), metered_pipeline(clock, 20, **models), clock)
    assert 0 < bench == embedded_by_daemon(source(), tmp_path, models)


@pytest.mark.parametrize("name", ["landscape", "talking_portrait", "talking_portrait_2"])
def test_the_benchmark_embeds_the_crops_of_a_clip_that_the_daemon_embeds(
    tmp_path: Path, shared: Path, name: str
) -> None:
    clip = shared / "data" / "clips" / f"{name}.mp4"
    if not clip.is_file():
        pytest.skip(f"no clip {clip}")

    def source() -> FrameSource:
        return video_file(clip, clock=ManualClock())

    clock = StageClock()
    bench = embedded_by_bench(source(), metered_pipeline(clock, 20), clock)
    assert 0 < bench == embedded_by_daemon(source(), tmp_path, {})
    # A person who stays costs two embeddings a second, not one a frame.
    assert bench < 0.25 * clock.frames


def test_the_verb_prints_one_object(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    detector_package: Path,
    embedder_package: Path,
) -> None:
    photograph = tmp_path / "visitor.png"
    cv2.imwrite(str(photograph), np.full((300, 240, 3), (20, 20, 230), np.uint8))
    models = ["--detector", str(detector_package), "--embedder", str(embedder_package)]
    arguments = ["--photograph", str(photograph), "--frames", "20", "--gallery", "5", *models]
    assert main(["bench", "pipeline", *arguments, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["frames"] == 20
    assert measured["frame_size_px"] == [1280, 720]
    assert measured["gallery"] == 5
    assert main(["bench", "pipeline", *arguments]) == 0
    assert "yardsticks" in capsys.readouterr().out


def test_rest_is_measured_on_the_same_frames_as_no_rest(
    tmp_path: Path, detector_package: Path, embedder_package: Path
) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.full((240, 320, 3), 120, np.uint8))
    source = images(tmp_path, fps=10, loop=True, clock=ManualClock())
    packages = (str(detector_package), str(embedder_package))
    awake, idle = (
        metered_pipeline(StageClock(), 5, *packages, rules) for rules in (None, IdleRules(1.0))
    )
    result = bench_idle(source, awake, idle, 40, warm_up=20)
    assert result.frames == 40
    assert result.idle_ms > 0
    assert result.idle_share == result.idle_ms / result.awake_ms
    with pytest.raises(EvaluationError, match="ended after 1 frames"):
        bench_idle(images(tmp_path, clock=ManualClock()), awake, idle, 40)


@pytest.mark.timeout(300)
def test_everything_runs_quickly(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bench", "all", "--quick", "--json", "--pictures", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    parts = ["pipeline", "models", "match", "events", "start", "sync", "fleet", "soak"]
    assert list(found) == [*parts, "status"]
    assert found["status"] == 0
    assert found["fleet"]["arguments"].startswith("--devices 2 ")
    assert (found["fleet"]["devices"], found["fleet"]["lost"]) == (2, 0)
    assert (found["sync"]["devices"], found["sync"]["wrong"]) == (1, [])
    assert (found["soak"]["flat"], found["soak"]["exit_code"]) == (None, 0)
    cells = found["pipeline"]["cells"]
    assert [(cell["faces"], cell["rests"]) for cell in cells] == [(0, True), (0, False), (1, False)]
    assert cells[2]["result"]["faces_per_frame"] == pytest.approx(1)
    assert cells[0]["result"]["frames_per_s"] > cells[1]["result"]["frames_per_s"]
    assert {row["model"] for row in found["models"]["speeds"]} == {
        "face_detector",
        "facenet",
        "pad",
    }
    assert all(0 < row["share_of_product"] < 2 for row in found["models"]["speeds"])
    own = [row for row in found["match"]["speeds"] if row["way"] == "edgeface"]
    assert [row["templates"] for row in own] == [100, 10_000]
    assert all(row["same_top"] and row["largest_error"] < 1e-5 for row in own)
    assert own[1]["bytes_a_template"] <= 140
    for name, text in ((FACES_FILE, "faces"), (MATCH_FILE, "templates")):
        picture = ET.fromstring((tmp_path / name).read_text(encoding="utf-8"))
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
        assert text in "".join(picture.itertext())


def options_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Of each verb below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for kind in action.choices.values():
                yield from options_of(kind)
        elif action.option_strings and not isinstance(action, argparse._HelpAction):
            yield action


def test_the_help_of_every_option_says_what_it_is_and_what_it_is_without_it() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = list(options_of(parser))
    assert len(options) > 40
    for option in options:
        told = option.help or ""
        assert told, option.option_strings
        assert not told.startswith("default"), option.option_strings
        if option.default not in {None, False}:
            default = option.default
            written = f"{default:g}" if isinstance(default, float) else str(default)
            assert f"default {written}" in told, (option.option_strings, told)


def test_tables_of_the_parts_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    crowd = ["--faces", "2", "--size", "640x480", "--frames", "10", "--gallery", "5"]
    assert main(["bench", "pipeline", *crowd]) == 0
    assert "640x480" in capsys.readouterr().out
    assert main(["bench", "match", "--templates", "50", "--runs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "edgeface" in shown
    assert "OTHER" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--faces 1 --size 640", "640: expected WIDTHxHEIGHT"),
        ("--clip a.mp4 --size 640x480", "--size and --threads go with --faces"),
    ],
)
def test_a_size_that_cannot_be_meant_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert main(["bench", "pipeline", *arguments.split()]) == 2
    assert message in capsys.readouterr().err
