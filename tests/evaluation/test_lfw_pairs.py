"""A pairs file in LFW's own form, over a folder in which not all is well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeface.cli.main import main
from tests.support.pages import assert_stands_alone
from tests.support.patterned_people import picture, png

PEOPLE = ("Ada_Lovelace", "Ben_Okri", "Cat_Deeley", "Dan_Brown")

PAIRS = """\
2\t2
Ada_Lovelace\t1\t2
Ben_Okri\t1\t2
Ada_Lovelace\t1\tBen_Okri\t1
Ada_Lovelace\t2\tCat_Deeley\t1
Cat_Deeley\t1\t2
Dan_Brown\t1\t3
Cat_Deeley\t1\tDan_Brown\t1
Nobody_Here\t1\tBen_Okri\t2
"""


@pytest.fixture
def given(tmp_path: Path, detector_package: Path, embedder_package: Path) -> list[str]:
    """Two pictures of each; Cat's second one has no face, Dan has no third, Nobody nothing."""
    for person, name in enumerate(PEOPLE):
        (tmp_path / "lfw" / name).mkdir(parents=True)
        for number in (1, 2):
            face = (name, number) != ("Cat_Deeley", 2)
            path = tmp_path / "lfw" / name / f"{name}_{number:04d}.png"
            path.write_bytes(png(picture(person, number, face=face)))
    (tmp_path / "pairs.txt").write_text(PAIRS)
    arguments = ["--pairs", str(tmp_path / "pairs.txt"), "--root", str(tmp_path / "lfw")]
    return [*arguments, "--detector", str(detector_package), "--embedder", str(embedder_package)]


def test_a_wrong_name_a_missing_and_a_faceless_picture_are_counted_and_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, given: list[str]
) -> None:
    wrong = f"{tmp_path}/lfw: has no picture Nobody_Here/Nobody_Here_0001.jpg, and no folder"
    missing = f"{tmp_path}/lfw: has no picture Dan_Brown/Dan_Brown_0003.jpg"
    faceless = "Cat_Deeley/Cat_Deeley_0002.jpg"
    page = tmp_path / "page.html"

    assert main(["evaluate", "verification", *given, "--json", "--report", str(page)]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["pairs"], measured["genuine_pairs"], measured["impostor_pairs"]) == (8, 4, 4)
    assert (measured["people"], measured["pictures"]) == (5, 9)
    assert (measured["faces_not_found"], measured["pairs_not_found"]) == (3, 3)
    assert measured["pictures_unread"] == [missing, f"{wrong} Nobody_Here"]
    assert measured["pictures_faceless"] == [faceless]
    # A genuine pair with two faces passes; one without counts as refused.
    assert measured["operating_points"][0]["tar"] == 0.5

    assert main(["evaluate", "verification", *given]) == 0
    output = capsys.readouterr()
    assert "3 of 9 pictures (2 of them not read), in 3 pairs" in output.out
    named = output.err.splitlines()[-3:]
    assert named == [missing, f"{wrong} Nobody_Here", f"{faceless}: no face found"]

    assert_stands_alone(page)
    assert all(said in page.read_text() for said in (missing, wrong, faceless))


def test_a_line_that_is_no_pair_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, given: list[str]
) -> None:
    (tmp_path / "pairs.txt").write_text(PAIRS.replace("Dan_Brown\t1\t3", "Dan Brown\t1\t3"))
    assert main(["evaluate", "verification", *given]) == 2
    assert "pairs.txt:7: expected `name n1 n2`" in capsys.readouterr().err
