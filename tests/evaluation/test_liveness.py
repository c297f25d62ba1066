"""Rates of presentation attack detection, and `edgeface evaluate liveness`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.base.errors import EvaluationError
from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS
from edgeface.evaluation.attack_rates import (
    FUSED,
    LivenessTrial,
    SourceAnswer,
    measure_liveness,
    threshold_for,
)
from edgeface.evaluation.chart import Axis
from edgeface.evaluation.liveness_page import liveness_page
from tests.support.packages import write_liveness
from tests.support.pages import assert_stands_alone
from tests.support.patterned_people import picture, png


def shown(*answers: bool | float | None, person: str = "p", each: int = 1) -> list[LivenessTrial]:
    """By the passive source: a verdict, or a score with the threshold 0.5. `each` after one
    another are of one person."""
    found = []
    for number, answer in enumerate(answers):
        scored = isinstance(answer, float)
        live = answer >= 0.5 if isinstance(answer, float) else answer
        told = SourceAnswer(live, answer if scored else None)
        name = f"{person}{number // each}"
        found.append(
            LivenessTrial(
                f"{name}-{number}",
                name,
                {"passive": told, "motion": SourceAnswer(None), FUSED: told},
            )
        )
    return found


def point_of(measured: dict[str, Any], source: str = "passive", number: int = 0) -> dict[str, Any]:
    found = next(one for one in measured["sources"] if one["source"] == source)
    point: dict[str, Any] = found["operating_points"][number]
    return point


def test_the_worst_species_stands_first_and_what_is_not_answered_is_counted_apart() -> None:
    measured = measure_liveness(
        shown(True, True, True, False, None),
        {
            "print": shown(False, False, True, None),
            "phone": shown(True, False),
            "mask": shown(None),
        },
        0.01,
    )
    point = point_of(measured)
    assert point["threshold"] is None
    assert [(one["species"], one["rate"]) for one in point["apcer"]] == [
        ("phone", 0.5),
        ("print", 1 / 3),
        ("mask", None),
    ], "a species that was never answered is not one that was stopped"
    assert (point["bpcer"]["rate"], point["bpcer"]["of"]) == (0.25, 4)
    passive = measured["sources"][0]
    assert passive["live"]["non_response"]["rate"] == 0.2
    apart = passive["attacks"].items()
    assert {name: one["non_response"]["rate"] for name, one in apart} == {
        "print": 0.25,
        "phone": 0.0,
        "mask": 1.0,
    }
    assert [one["source"] for one in measured["sources"]] == ["passive", "motion", FUSED]
    assert measured["sources"][1]["live"]["non_response"]["rate"] == 1


def test_what_is_called_neither_passes_and_is_not_called_live() -> None:
    """A source that knows attacks alone leaves the rest open; so does motion that is too little."""
    unsure = LivenessTrial(
        "a", "a", {"passive": SourceAnswer(None, 0.9), FUSED: SourceAnswer(None, 0.9)}
    )
    caught = LivenessTrial(
        "b", "b", {"passive": SourceAnswer(False, 0.1), FUSED: SourceAnswer(False, 0.1)}
    )
    measured = measure_liveness([unsure], {"print": [unsure, caught]}, 0.01)
    point = point_of(measured)
    assert (point["apcer"][0]["rate"], point["bpcer"]["rate"]) == (0.5, 0)
    passive = measured["sources"][0]
    assert passive["live"]["called_live"]["rate"] == 0
    assert passive["attacks"]["print"]["non_response"]["rate"] == 0


def test_the_asked_bpcer_is_kept_by_the_highest_threshold_that_does() -> None:
    live = np.linspace(0.3, 0.99, 100)
    assert threshold_for(live, 0.05) == pytest.approx(live[5])
    assert (live < threshold_for(live, 0.05)).sum() == 5
    assert threshold_for(live, 0) == pytest.approx(live[0])
    assert threshold_for(live, 1) == pytest.approx(live[99])
    measured = measure_liveness(
        shown(*map(float, live)), {"print": shown(0.2, 0.33, 0.6, 0.1)}, 0.05
    )
    point = point_of(measured, number=1)
    assert point["bpcer"]["rate"] == pytest.approx(0.05)
    (attack,) = point["apcer"]
    assert (attack["count"], attack["of"]) == (1, 4)
    (det,) = measured["sources"][0]["det"]
    apcer = [one["apcer"] for one in det["points"]]
    assert apcer == sorted(apcer)
    assert all(0 <= one["bpcer"] <= 1 for one in det["points"])


def test_few_people_do_not_make_a_narrow_interval() -> None:
    """A hundred pictures of three people say as much of other people as three do."""
    live = shown(*[True] * 90, each=30)
    some = shown(*[False] * 30, *[True] * 30, *[False] * 30, each=30)
    measured = measure_liveness(live, {"print": some}, 0.01)
    point = point_of(measured)
    assert point["bpcer"]["interval_95"] == (0.0, 1.0), "rule of three over three people"
    low, high = point["apcer"][0]["interval_95"]
    assert low == 0.0
    assert high > 0.6
    alone = measure_liveness(live, {"print": shown(True, False, each=2)}, 0.01)
    assert point_of(alone)["apcer"][0]["interval_95"] is None
    many = measure_liveness(shown(*[True] * 300), {"print": shown(*[False] * 300)}, 0.01)
    assert point_of(many)["bpcer"]["interval_95"] == (0.0, 0.01)
    assert point_of(many)["apcer"][0]["interval_95"] == (0.0, 0.01)


@pytest.mark.parametrize(
    ("live", "attacks", "words"),
    [
        ([], {"print": shown(True)}, "no live picture or film has an answer"),
        (shown(None), {"print": shown(False)}, "no live picture or film has an answer"),
    ],
)
def test_what_cannot_be_measured_is_said(
    live: list[LivenessTrial], attacks: dict[str, list[LivenessTrial]], words: str
) -> None:
    with pytest.raises(EvaluationError, match=words):
        measure_liveness(live, attacks, 0.01)


def test_a_page_shows_every_species_and_stands_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    live = shown(*rng.uniform(0.4, 1, 40).tolist(), None)
    attacks = {name: shown(*rng.uniform(0, 0.7, 30).tolist()) for name in ("print", "phone")}
    measured = measure_liveness(live, attacks, 0.05)
    file = tmp_path / "page.html"
    liveness_page("ours", measured | {"models": []}).write(file)
    assert_stands_alone(file)
    page = file.read_text()
    for words in ("APCER print", "APCER phone", "BPCER live", "Source: motion", "Source: fused"):
        assert words in page
    assert page.count("<svg") == 4


def tinted(blue: int, number: int) -> bytes:
    """A face that the small detector finds; the bluer it is, the less the small scorer takes it for
    live: 90 is 0.5."""
    image = picture(1, number)
    image[..., 0] = np.where(image[..., 2] > 200, 0, blue)
    return png(image)


@pytest.fixture
def models(detector_package: Path, embedder_package: Path, tmp_path: Path) -> list[str]:
    pad = write_liveness(tmp_path / "pad")
    small = ["--detector", str(detector_package), "--embedder", str(embedder_package)]
    return [*small, "--pad", str(pad)]


def test_pictures_go_through_detector_and_scorer_to_a_table_by_species(
    tmp_path: Path, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    blues = {"live/anna": (80, 90), "live/bert": (90, 240), "print/anna": (250,) * 3}
    for folder, values in (blues | {"phone": (240, 90)}).items():
        path = tmp_path / "shown" / folder
        path.mkdir(parents=True)
        for number, blue in enumerate(values):
            (path / f"{number}.png").write_bytes(tinted(blue, number))
    shows = tmp_path / "shown"
    (shows / "live" / "bert" / "nobody.png").write_bytes(png(picture(1, 1, face=False)))
    (shows / "live" / "bert" / "broken.png").write_text("no picture")
    given = ["evaluate", "liveness", "--live", str(shows / "live")]
    given += ["--attack", f"print={shows / 'print'}", "--attack", f"phone={shows / 'phone'}"]
    page = tmp_path / "page.html"
    assert main([*given, *models, "--bpcer", "0.3", "--json", "--report", str(page)]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["live"] == {"presentations": 6, "people": 2}
    assert measured["attacks"]["phone"] == {"presentations": 2, "people": 2}, "each by itself"
    (source,) = measured["sources"]
    own, asked = source["operating_points"]
    assert [(one["species"], one["rate"]) for one in own["apcer"]] == [("phone", 0.5), ("print", 0)]
    assert (own["bpcer"]["rate"], own["bpcer"]["of"]) == (0.25, 4)
    assert source["live"]["non_response"]["count"] == 2
    assert asked["bpcer"]["rate"] == 0.25
    nobody, broken = sorted(measured["pictures_unread"], reverse=True)
    assert nobody == "bert/nobody.png: no face found"
    assert "broken.png: not a picture" in broken
    assert [model["name"] for model in measured["models"]][-1] == "test_liveness"
    assert_stands_alone(page)

    assert main([*given, *models]) == 0
    said = capsys.readouterr()
    assert "live: 6 presentations of 2 people" in said.out
    assert said.out.index("APCER phone") < said.out.index("APCER print")
    assert "bert/nobody.png: no face found" in said.err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--live", ".", "--attack", "prints"], "expected NAME=DIR"),
        (["--live", ".", "--attack", "print=/no/such"], "/no/such: no such file or folder"),
        (["--live", ".", "--attack", "print=."], "no picture and no film in it"),
        (["--live", ".", "--attack", "print=.", "--bpcer", "2"], "2 is not from 0 to 1"),
    ],
)
def test_a_wrong_command_line_is_said_to_be(
    given: list[str],
    words: str,
    models: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    try:
        status = main(["evaluate", "liveness", *given, *models])
    except SystemExit as exit_:
        status = int(str(exit_.code))
    assert (status, words in capsys.readouterr().err) == (2, True)


def film(path: Path, blue: float, frames: int = 8) -> None:
    """Somebody who moves a little, before a wall that is more or less blue."""
    photograph = cv2.imread(str(COLLINS))
    assert photograph is not None
    path.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (512, 512))
    for step in range(frames):
        wall = np.full((512, 512, 3), (blue, 0, 60), np.uint8)
        face = cv2.resize(photograph, (256, 256), interpolation=cv2.INTER_AREA)
        wall[128:384, 128 + step : 384 + step] = face
        writer.write(wall)
    writer.release()


def test_a_film_is_decided_on_as_a_track_at_the_door(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film(tmp_path / "live" / "eileen" / "film.avi", 60)
    film(tmp_path / "phone" / "eileen" / "film.avi", 255)
    (tmp_path / "phone" / "eileen" / "broken.avi").write_text("no film")
    given = ["evaluate", "liveness", "--live", str(tmp_path / "live"), "--json"]
    given += ["--attack", f"phone={tmp_path / 'phone'}"]
    assert main([*given, "--pad", str(write_liveness(tmp_path / "pad", surroundings=8.0))]) == 0
    measured = json.loads(capsys.readouterr().out)
    passive = next(one for one in measured["sources"] if one["source"] == "passive")
    point = passive["operating_points"][0]
    assert (point["bpcer"]["rate"], point["bpcer"]["of"]) == (0, 1)
    assert (point["apcer"][0]["rate"], point["apcer"][0]["of"]) == (0, 1)
    assert passive["attacks"]["phone"]["non_response"]["count"] == 1
    assert "broken.avi" in measured["pictures_unread"][0]


@pytest.mark.parametrize(
    ("low", "labels"),
    [
        (0.01, "0.01 0.02 0.05 0.1 0.2 0.5 1"),
        (0.005, "0.005 0.01 0.02 0.05 0.1 0.2 0.5 1"),
        (1e-6, "1e-06 1e-05 0.0001 0.001 0.01 0.1 1"),
    ],
)
def test_a_scale_of_few_powers_of_ten_has_labels_between_them(low: float, labels: str) -> None:
    axis = Axis("rate", low, 1.0, log=True)
    assert " ".join(axis.text(tick) for tick in axis.ticks()) == labels
