from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from edgeface.bench.frame_path import FramePath, strangers

from edgeface.base.clock import ManualClock
from edgeface.base.errors import EvaluationError
from edgeface.bench.pipeline_bench import bench_pipeline
from edgeface.bench.stage_clock import MeteredInterpreter, StageClock
from edgeface.capture.images import ImagesSource
from edgeface.cli.main import main
from edgeface.evaluation.opening import Opener
from edgeface.recognition.frame import Frame


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

    def process(self, frame: Frame) -> None:
        with self.clock.stage("look"):
            self.frames += 1


def _source(folder: Path, pictures: int, *, loop: bool = True) -> ImagesSource:
    for number in range(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((24, 32, 3), number, np.uint8))
    return ImagesSource(folder, fps=20, loop=loop, clock=ManualClock())


def test_memory_that_grows_is_reported_per_thousand_frames(tmp_path: Path) -> None:
    clock = StageClock()
    pipeline = _Looking(clock)
    result = bench_pipeline(
        _source(tmp_path, 3),
        pipeline,
        clock,
        100,
        warm_up=5,
        resident_mib=lambda: 50 + pipeline.frames / 1024,
    )
    assert result.frames == 100
    assert pipeline.frames == 105
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


def test_the_frame_path_meters_every_stage_and_decides(
    tmp_path: Path, detector_package: Path, embedder_package: Path
) -> None:
    image = np.random.default_rng(1).integers(60, 200, (64, 96, 3), np.uint8)
    image[..., 2] = image[..., 0]
    image[16:48, 24:64] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "0.png"), cv2.resize(image, (960, 640)))
    clock = StageClock()
    opener = Opener(meter=lambda which, i: MeteredInterpreter(i, clock, f"invoke {which}"))
    detector = opener.detector(str(detector_package))
    embedder = opener.embedder(str(embedder_package))
    path = FramePath(
        detector,  # type: ignore[arg-type]
        embedder,
        embedder.package.calibration,
        strangers(20, embedder.space_id),
        clock,
    )
    source = ImagesSource(tmp_path, fps=10, loop=True, clock=ManualClock())
    result = bench_pipeline(source, path, clock, 60, warm_up=5)
    assert path.faces > 0
    assert {"decode", "detect", "invoke detector", "track", "align", "quality", "decide"} <= set(
        result.stage_ms
    )
    # Ratios only: what runs beside one another on a busy machine.
    assert 0 < result.other_share_of_cpu <= 1
    assert result.other_ms >= sum(
        spent_ms
        for name, spent_ms in result.stage_ms.items()
        if name != "decode" and not name.startswith("invoke")
    )


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
