from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edgeface.cli.graph_drawing import draw_graph
from edgeface.cli.main import main
from edgeface.inference import check
from edgeface.inference.check import check_package, check_together
from edgeface.inference.edgetpu_rules import EDGETPU_OPERATOR
from edgeface.inference.flatbuffer import read_model
from edgeface.inference.layers import layers_of
from edgeface.inference.package import packages_in
from edgeface.inference.runtimes import find_runtime
from edgeface.settings.places import shipped_models
from tests.support.packages import (
    INPUT_SCALE,
    edit_description,
    embedder_model,
    rectify_model,
    seal,
    write_detector,
    write_embedder,
)
from tests.support.tflite import OPS, Graph

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


def test_check_says_what_a_compiled_file_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is mapped whole, as the compiler would make it, and one that is not."""
    graph = Graph()
    image = graph.tensor("image", (1, 112, 112, 3), scale=INPUT_SCALE)
    embedding = graph.tensor("embedding", (1, 128), scale=0.05)
    graph.op(OPS.CUSTOM, [image], [embedding], custom=EDGETPU_OPERATOR, payload=b"..DWN1..")
    write_embedder(tmp_path / "whole", compiled=graph.build([image], [embedding]))
    assert main(["models", "check", str(tmp_path / "whole")]) == 0
    assert "compiled    0.00 MB, whole on the Edge TPU; not run" in capsys.readouterr().out
    write_embedder(tmp_path / "part", compiled=embedder_model(compiled=True))
    assert main(["models", "check", str(tmp_path / "part")]) == 1
    shown = capsys.readouterr()
    assert ", 2 operators of it on the CPU; not run" in shown.out
    assert "model_edgetpu.tflite: not mapped whole: 2 operators stay on the CPU" in shown.err


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


@pytest.mark.skipif(not SHIPPED, reason="no model packages in models/ yet")
def test_a_model_that_ships_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models", "list", "pad"]) == 0
    assert capsys.readouterr().out.split()[-1] == str(shipped_models() / "pad")
    assert main(["models", "list", "nowhere"]) == 3
    assert "a name alone is one of `edgeface models list`" in capsys.readouterr().err


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


def test_show_prints_what_each_layer_gives_holds_and_costs(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", str(packages / "embedder")]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    # 7x7 places of 8 kernels of 16x16x3; 392 numbers to 128.
    assert ["1", "0", "CONV_2D", "16x16", "/16", "1x7x7x8", "6,152", "301,056"] in lines
    assert ["2", "1", "FULLY_CONNECTED", "1x128", "50,304", "50,176"] in lines
    assert ["all", "56,456", "351,232"] in lines


def test_show_as_json_agrees_with_the_file(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", str(packages / "embedder" / "model.tflite"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["parameters"] == sum(layer["parameters"] for layer in shown["layers"]) == 56_456
    assert shown["inputs"] == [{"name": "image", "dtype": "INT8", "shape": [1, 112, 112, 3]}]
    assert [layer["ends"] for layer in shown["layers"]] == [[], ["embedding"]]


def test_show_names_and_frames_what_an_edge_tpu_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, drawing = tmp_path / "relu.tflite", tmp_path / "relu.svg"
    model.write_bytes(rectify_model())
    assert main(["models", "show", str(model), "-o", str(drawing)]) == 0
    assert "layer 1: RELU: XNNPACK does not take it" in capsys.readouterr().out
    text = drawing.read_text()
    assert "Framed in red" in text
    assert [element.tag.rpartition("}")[2] for element in ET.fromstring(text)][-1] == "text"


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (["nobody.tflite"], 3, "nobody.tflite: cannot be read: No such file"),
        (["nobody"], 3, "no such model package"),
    ],
)
def test_show_says_what_was_wrong(
    given: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", *given]) == status
    assert said in capsys.readouterr().err


def test_a_graph_is_written_as_svg_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", "show", "facenet", "-o", "graph.png"])
    assert "graph.png: a name that ends in .svg is taken" in capsys.readouterr().err


@pytest.mark.skipif(not SHIPPED, reason="no model packages in models/ yet")
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_a_drawing_has_a_box_for_every_layer_none_over_another(folder: Path) -> None:
    graph = read_model((folder / "model.tflite").read_bytes())
    layers = layers_of(graph)
    drawing = ET.fromstring(draw_graph("x", (1, 8, 8, 3), layers))
    boxes = [
        (element.get("x"), element.get("y"))
        for element in drawing
        if element.tag.endswith("rect") and element.get("x")
    ]
    assert len(boxes) == len(set(boxes)) == len(layers) + 1
    assert sum(layer.parameters for layer in layers) == graph.parameters
