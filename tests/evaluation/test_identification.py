"""`edgeface evaluate identification`: on synthetic people, on small real models, on photographs."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.cli.main import main
from edgeface.evaluation.identification import Portraits
from edgeface.evaluation.identification_run import (
    Sampling,
    drawn_sizes,
    embed_people,
    gallery_sizes,
)
from edgeface.evaluation.opener import Opener
from edgeface.evaluation.operating_points import SIZES
from edgeface.evaluation.pictures import PictureRoot
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.values import Embedding
from tests.support.pages import assert_stands_alone
from tests.support.people import identity, uniform_calibration, view

CALIBRATION = uniform_calibration()


def portraits(
    people: dict[str, Embedding], each: int, rng: np.random.Generator, likeness: float = 0.85
) -> Portraits:
    """`each` pictures of each of them, at this cosine to their direction."""
    rows = [view(person, rng, likeness) for person in people.values() for _ in range(each)]
    subjects = np.repeat(np.arange(len(people)), each).astype(np.int32)
    return Portraits(np.stack(rows), subjects, tuple(people))


def crowd(count: int, rng: np.random.Generator, first: int = 0) -> dict[str, Embedding]:
    return {f"{number:03d}": identity(rng) for number in range(first, first + count)}


def test_the_rate_asked_for_is_delivered_where_the_calibration_is_exact(
    rng: np.random.Generator,
) -> None:
    rules = DecisionRules(target_fpir=0.15, min_margin=0.0)
    found = drawn_sizes(portraits(crowd(120, rng), 9, rng), CALIBRATION, rules, Sampling(rounds=3))
    assert [row["people"] for row in found] == list(SIZES)
    assert [row["enrolled"] for row in found] == [12, 60, 60, 60]
    assert [row["scaled"] for row in found] == [False, True, True, True]
    small = found[0]
    still, track = small["still"], small["track"]
    assert still["fpir_asked"] == pytest.approx(0.05)
    assert still["probes"] == 3 * 12 * 6
    assert still["stranger_probes"] == 3 * 108 * 9
    assert still["false_names"] > 50
    assert still["within_factor_two"]
    low, high = still["fpir_interval_95"]
    assert low < still["fpir"] < high
    # A track's name needs three frames that agree besides.
    assert track["kept"]
    assert track["probes"] == 3 * 12
    assert (still["named"], track["named"], still["rank_1"], still["misnamed"]) == (1, 1, 1, 0)
    assert small["missed_most"] == []


def test_a_larger_gallery_is_measured_at_its_own_threshold(rng: np.random.Generator) -> None:
    rules = DecisionRules(target_fpir=0.09, min_margin=0.0)
    found = drawn_sizes(portraits(crowd(100, rng), 6, rng), CALIBRATION, rules, Sampling(rounds=2))
    for row in found:
        needed = CALIBRATION.identification_threshold(0.09, 3, row["people"])
        assert row["templates"] == row["people"]
        assert row["threshold"] == needed.value
        assert row["threshold_extrapolated"] == needed.extrapolated
    stated = found[1]["still"]
    measured = stated["false_names"] / stated["stranger_probes"]
    assert stated["fpir"] == pytest.approx(1 - (1 - measured) ** 2)
    assert found[3]["still"]["named"] <= found[0]["still"]["named"]


def test_the_same_seed_draws_the_same_people(rng: np.random.Generator) -> None:
    faces = portraits(crowd(30, rng), 5, rng, likeness=0.6)
    first, again, other = (
        drawn_sizes(faces, CALIBRATION, DecisionRules(), Sampling(rounds=2, seed=seed))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_it_names_who_is_missed_and_which_stranger_is_taken_for_whom(
    rng: np.random.Generator,
) -> None:
    staff = crowd(20, rng)
    gallery = portraits(staff, 3, rng)
    visitors = staff | {"007": identity(rng), "double": staff["003"]} | crowd(30, rng, 100)
    found = gallery_sizes(gallery, portraits(visitors, 8, rng), CALIBRATION, DecisionRules())
    assert [(row["people"], row["scaled"]) for row in found] == [
        (20, False),
        (100, True),
        (1000, True),
        (10_000, True),
    ]
    own = found[0]
    assert own["missed_most"] == [
        {"person": "007", "stills": 8, "stills_missed": 1.0, "tracks": 1, "tracks_missed": 1.0}
    ]
    assert own["strangers_named"] == [{"person": "double", "as": "003", "times": 9}]
    assert own["track"]["named"] == pytest.approx(19 / 20)
    assert own["track"]["fpir"] == pytest.approx(1 / 31)
    assert not own["track"]["kept"]


def test_the_det_falls_and_meets_what_is_measured_at_the_threshold(
    rng: np.random.Generator,
) -> None:
    rules = DecisionRules(target_fpir=0.15, min_margin=0.0)
    faces = portraits(crowd(60, rng), 9, rng, likeness=0.5)
    for row in drawn_sizes(faces, CALIBRATION, rules, Sampling(rounds=2))[:2]:
        still = row["still"]
        curve = np.array([(p["threshold"], p["fnir"], p["fpir"]) for p in still["det"]])
        assert len(curve) > 20
        assert (np.diff(curve, axis=0)[:, 1] >= 0).all()
        assert (np.diff(curve, axis=0)[:, 2] <= 0).all()
        assert curve[0, 2] == pytest.approx(1.0)
        fnir, fpir = (np.interp(row["threshold"], curve[:, 0], curve[:, k]) for k in (1, 2))
        assert fnir == pytest.approx(1 - still["named"], abs=0.05)
        assert fpir == pytest.approx(still["fpir"], rel=0.5)


def test_twins_are_ambiguous_and_no_false_name(rng: np.random.Generator) -> None:
    staff = crowd(6, rng)
    staff["twin"] = staff["000"]
    probes = portraits({"000": staff["000"]}, 8, rng)
    gallery = portraits(staff, 3, rng)
    strict, loose = (
        gallery_sizes(gallery, probes, CALIBRATION, DecisionRules(min_margin=margin))[0]
        for margin in (0.2, 0.0)
    )
    assert (strict["still"]["named"], strict["still"]["misnamed"]) == (0, 0)
    assert strict["still"]["fpir"] is None
    assert loose["still"]["named"] + loose["still"]["misnamed"] == 1
    assert loose["still"]["rank_1"] == loose["still"]["named"]


def test_no_false_name_is_no_proof_of_the_rate(rng: np.random.Generator) -> None:
    staff = crowd(5, rng)
    strangers = crowd(10, rng, 100)
    probes = portraits(staff | strangers, 8, rng)
    rules = DecisionRules()
    own = gallery_sizes(portraits(staff, 3, rng), probes, CALIBRATION, rules)[0]
    assert own["track"]["fpir"] == 0
    assert own["track"]["fpir_interval_95"] == (0, pytest.approx(3 / 10))
    assert own["track"]["named_interval_95"] == (pytest.approx(1 - 3 / 5), 1)
    assert (own["track"]["kept"], own["track"]["proven"]) == (True, False)


@pytest.fixture
def models(detector_package: Path, embedder_package: Path) -> list[str]:
    return ["--detector", str(detector_package), "--embedder", str(embedder_package)]


def test_a_zip_of_people_is_measured_and_the_faceless_picture_named(
    capsys: pytest.CaptureFixture[str], people: Path, models: list[str], tmp_path: Path
) -> None:
    arguments = ["evaluate", "identification", "--people", str(people), "--photographs", "1"]
    arguments += ["--rounds", "2", *models]
    assert main([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    measured: dict[str, Any] = json.loads(output.out)
    assert (measured["pictures"], measured["pictures_faceless"]) == (24, ["07/frontal/2.png"])
    assert [row["enrolled"] for row in measured["sizes"]] == [4] * 4
    assert "pictures 24/24" in output.err
    assert "rounds 8/8" in output.err
    page = tmp_path / "page.html"
    assert main([*arguments, "--report", str(page)]) == 0
    output = capsys.readouterr()
    assert output.err.endswith("07/frontal/2.png: no face found\n")
    assert "*  measured with the 4 people" in output.out
    assert_stands_alone(page)
    assert page.read_text().count("<img") == 10 + 10
    assert page.read_text().count("<svg") == 1  # two photographs are no track


def test_a_gallery_and_who_comes_to_the_door(
    capsys: pytest.CaptureFixture[str], people: Path, models: list[str], tmp_path: Path
) -> None:
    with zipfile.ZipFile(people) as archive:
        archive.extractall(tmp_path / "probes")
    for person in ("00", "01", "02"):
        enrolled = tmp_path / "gallery" / person
        enrolled.mkdir(parents=True)
        shutil.move(tmp_path / "probes" / person / "frontal" / "0.png", enrolled / "a.png")
    (tmp_path / "probes" / "01" / "frontal" / "1.png").write_bytes(b"no picture")
    given = ["--gallery", str(tmp_path / "gallery"), "--probes", str(tmp_path / "probes"), *models]
    assert main(["evaluate", "identification", *given, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    own = measured["sizes"][0]
    assert (own["people"], own["scaled"], own["still"]["probes"]) == (3, False, 5)
    assert own["still"]["stranger_probes"] == 14
    assert (measured["pictures"], len(measured["pictures_unread"])) == (24, 1)
    assert "not a picture" in measured["pictures_unread"][0]
    hardest = own["hardest"]
    assert {entry["person"] for entry in hardest["own"]} == {"00", "01", "02"}
    assert {entry["nearest"] for entry in hardest["strangers"]} <= {"00", "01", "02"}
    for kind, order in (("own", 1), ("strangers", -1)):
        scores = [entry["score"] for entry in hardest[kind]]
        assert scores == sorted(scores)[::order]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(["--gallery", "."], "--gallery needs --probes", id="no-probes"),
        pytest.param(["--people", ".", "--probes", "."], "goes with --gallery", id="no-gallery"),
        pytest.param(["--people", "none.zip"], "none.zip: no such file", id="no-people"),
        pytest.param(["--people", "ZIP", "--only", "x"], "one folder a person", id="no-names"),
        pytest.param(["--people", "ZIP"], "0 of 8 people have faces in more than 3", id="too-few"),
        pytest.param(["--people", "ZIP", "-c", "none.yaml"], "none.yaml", id="no-config"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    capsys: pytest.CaptureFixture[str],
    people: Path,
    models: list[str],
    given: list[str],
    message: str,
) -> None:
    given = [str(people) if word == "ZIP" else word for word in given]
    assert main(["evaluate", "identification", *given, *models]) == 2
    error = capsys.readouterr().err.splitlines()
    assert [line for line in error if line.startswith("edgeface: error: ")] == error[-1:]
    assert message in error[-1]


def test_the_shipped_models_name_photographed_people(shared: Path) -> None:
    pictures = shared / "data" / "cfp.zip"
    if not pictures.is_file():
        pytest.skip(f"no {pictures}")
    wanted = {f"{number:03d}" for number in range(401, 417)}
    opener = Opener()
    embedder = opener.embedder()
    with PictureRoot(pictures) as root:
        faces, account = embed_people(
            root, opener.detector(), embedder, only="frontal", wanted=wanted
        )
    assert account["pictures_faceless"] == account["pictures_unread"] == []
    row = drawn_sizes(faces, embedder.package.calibration, DecisionRules(), Sampling(rounds=5))[0]
    assert row["enrolled"] == 8
    assert row["still"]["rank_1"] > 0.95
    assert row["still"]["named"] > 0.7
    assert row["track"]["named"] > 0.9
    assert row["still"]["misnamed"] == 0
