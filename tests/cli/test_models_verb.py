from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.cli.main import main
from edgeface.inference import check
from edgeface.inference.check import check_package, check_together
from edgeface.inference.package import packages_in
from edgeface.inference.runtimes import find_runtime
from edgeface.settings.places import shipped_models
from tests.support.packages import (
    edit_description,
    rectify_model,
    seal,
    write_detector,
    write_embedder,
)

SHIPPED = packages_in(shipped_models())


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    write_detector(tmp_path / "detector")
    write_embedder(tmp_path / "embedder")
    return tmp_path


def test_check_prints_the_table_and_passes(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "check", str(packages)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for part in (
        "CONV_2D",
        "FULLY_CONNECTED",
        "model.tflite",
        "INT8",
        "[1, 112, 112, 3]",
        "56,456 parameters",
        "golden run  cosine 1.0000; red and blue swapped",
        "together 0.07 MB of parameters",
    ):
        assert part in printed.out


def test_check_of_one_package(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", str(packages / "embedder")]) == 0
    assert "test_detector" not in capsys.readouterr().out


def test_a_changed_file_fails_with_the_reason(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (packages / "embedder" / "model.tflite").open("ab") as file:
        file.write(b"x")
    assert main(["models", "check", str(packages)]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "model.tflite: differs from model.yaml: sha256" in printed.err
    assert "REFUSED: cannot be loaded" in printed.out


def test_a_broken_rule_fails_with_the_reason(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (packages / "detector" / "model.tflite").write_bytes(rectify_model())
    seal(packages / "detector")
    assert main(["models", "check", str(packages)]) == 1
    errors = capsys.readouterr().err
    assert "detector: model.tflite: RELU: XNNPACK does not take it" in errors
    assert "no tensor 'image'" in errors


def test_an_embedder_without_calibration_fails(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_description(packages / "embedder", lambda d: d.pop("calibration"))
    assert main(["models", "check", str(packages)]) == 1
    assert "calibration: missing" in capsys.readouterr().err


def test_a_folder_without_packages_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "check", str(tmp_path)]) == 3
    assert "no model packages there" in capsys.readouterr().err


def test_the_packages_together_must_fit_the_edge_tpu(
    packages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "PARAMETER_LIMIT_BYTES", 60_000)
    assert main(["models", "check", str(packages)]) == 1
    assert "all packages: 0.07 MB of parameters together; 0.06 MB fit" in capsys.readouterr().err


def test_list_prints_a_line_for_each(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", str(packages)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["test_detector", "1", "face-detection"],
        ["test_embedder", "1", "face-embedding"],
    ]


def test_list_names_a_package_that_cannot_be_loaded(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (packages / "detector" / "model.tflite").unlink()
    assert main(["models", "list", str(packages)]) == 3
    printed = capsys.readouterr()
    assert "model.tflite: cannot be read" in printed.err
    assert "test_embedder" in printed.out


@pytest.mark.skipif(not SHIPPED, reason="no model packages in models/ yet")
def test_what_ships_keeps_the_rules() -> None:
    reports = [check_package(path, find_runtime()) for path in SHIPPED]
    assert {str(report.folder): report.faults for report in reports if report.faults} == {}
    assert check_together(reports) == ()
