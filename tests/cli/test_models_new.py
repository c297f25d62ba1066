"""`edgeface models new`, with small networks of random weights."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.inference.package import load_package
from edgeface.inference.package_files import write_calibration
from edgeface.recognition.alignment import ARCFACE
from tests.cli.conftest import Edgeface
from tests.support.packages import CALIBRATION, detector_model, embedder_model
from tests.support.tflite import OPS, Graph


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Of 112x112, with embeddings of 512 numbers."""
    path = tmp_path / "network.tflite"
    path.write_bytes(embedder_model(dimensions=512))
    return path


def test_a_network_of_512_numbers_enrolls_and_identifies(
    edgeface: Edgeface, network: Path, tmp_path: Path
) -> None:
    code, out, err = edgeface("models", "new", "mine", "--tflite", network)
    assert (code, err) == (0, "")
    assert "embedding  512 numbers" in out
    assert "alignment  arcface-112" in out
    code, _, err = edgeface("models", "check", "mine")
    assert (code, err.count("\n")) == (1, 1)
    assert "calibration: missing" in err
    write_calibration(Path("mine"), CALIBRATION)
    assert edgeface("models", "check", "mine")[0] == 0
    Path("edgeface.yaml").write_text(
        "site: hq\ndevice: door-1\nstate_dir: state\ncamera: {source: images, folder: .}\n"
        "models: {embedder: ./mine}\n"
    )
    config = ("-c", "edgeface.yaml")
    for name, photograph in (("Eileen", COLLINS), ("Grace", HOPPER)):
        code, _, err = edgeface("enroll", photograph, "--name", name, "--force", *config)
        assert code == 0, err
    code, out, err = edgeface("identify", HOPPER, "--all", *config)
    assert code in (0, 1), err
    assert out.splitlines()[1].split()[-1] == "Grace"


def test_it_is_told_as_json(edgeface: Edgeface, network: Path) -> None:
    options = ("--mean", "127.5,128,129", "--std", "128", "--channels", "BGR", "--name", "other")
    code, out, err = edgeface("models", "new", "mine", "--tflite", network, *options, "--json")
    assert code == 0, err
    told = json.loads(out)
    package = load_package("mine")
    assert told["space_id"] == package.space_id
    assert (told["name"], told["channels"], told["mean"]) == ("other", "BGR", [127.5, 128.0, 129.0])
    assert (told["dimensions"], told["faults"]) == (512, [])
    assert package.description.input.mean == (127.5, 128.0, 129.0)


def test_an_input_of_another_size_takes_the_template_scaled_or_points_of_its_own(
    edgeface: Edgeface, network: Path
) -> None:
    network.write_bytes(embedder_model(160))
    assert edgeface("models", "new", "scaled", "--tflite", network)[0] == 0
    scaled = load_package("scaled").description.template  # type: ignore[union-attr]
    assert scaled.size_px == 160
    np.testing.assert_allclose(scaled.template, ARCFACE.template * 160 / 112, atol=1e-3)
    points = "50,60,110,60,80,90,60,120,100,120"
    assert edgeface("models", "new", "own", "--tflite", network, "--alignment", points)[0] == 0
    own = load_package("own").description.template  # type: ignore[union-attr]
    assert ",".join(f"{value:g}" for value in own.template.reshape(-1)) == points
    assert load_package("own").space_id != load_package("scaled").space_id
    assert edgeface("embed", COLLINS.parent, "-o", "x.npz", "--embedder", "./own")[0] == 0


def channels_first() -> bytes:
    graph = Graph()
    image = graph.tensor("image", (1, 3, 112, 112), scale=0.01)
    output = graph.tensor("embedding", (1, 128), scale=0.05)
    graph.op(OPS.RELU, [image], [output], version=2)
    return graph.build([image], [output])


def colorless() -> bytes:
    """Gives the same whatever it sees."""
    graph = Graph()
    image = graph.tensor("image", (1, 112, 112, 3), scale=0.01)
    output = graph.tensor("embedding", (1, 1, 1, 128), scale=0.05)
    weights = np.zeros((128, 112, 112, 3), np.int8)
    bias = np.arange(1, 129, dtype=np.int32) * 100
    graph.conv(image, output, weights, bias, stride=112, scale=0.01, bias_scale=0.0001)
    return graph.build([image], [output])


@pytest.mark.parametrize(
    ("content", "options", "status", "said"),
    [
        pytest.param(b"x" * 100, [], 3, "network.tflite: not a TFLite flatbuffer", id="no model"),
        pytest.param(detector_model(), [], 3, "1 inputs and 6 outputs; an embedder", id="detector"),
        pytest.param(channels_first(), [], 3, "channels first; TFLite takes them last", id="NCHW"),
        pytest.param(colorless(), [], 3, "red and blue swapped give the same", id="no colors"),
        pytest.param(embedder_model(dimensions=100), [], 3, "100 is none", id="100 numbers"),
        pytest.param(embedder_model(), ["--std", "0"], 3, "--std: numbers above 0", id="std"),
        pytest.param(embedder_model(), ["--name", "A b"], 3, "another with --name", id="name"),
        pytest.param(
            embedder_model(),
            ["--alignment", "5,5,5,5,5,5,5,5,5,5"],
            3,
            "no orientation",
            id="points on one",
        ),
    ],
)
def test_what_cannot_become_a_package_is_told_and_leaves_nothing(
    edgeface: Edgeface, network: Path, content: bytes, options: list[str], status: int, said: str
) -> None:
    network.write_bytes(content)
    before = sorted(path.name for path in Path().iterdir())
    code, _, err = edgeface("models", "new", "mine", "--tflite", network, *options)
    assert (code, said in err) == (status, True), err
    assert sorted(path.name for path in Path().iterdir()) == before


def test_a_folder_that_is_there_is_not_touched(edgeface: Edgeface, network: Path) -> None:
    Path("mine").mkdir()
    code, _, err = edgeface("models", "new", "mine", "--tflite", network)
    assert code == 2
    assert "mine: is there already, and nothing is overwritten" in err


@pytest.mark.parametrize("wrong", [["--mean", "a"], ["--std", "1,2"], ["--alignment", "1,2"]])
def test_numbers_that_are_none_end_with_2(
    wrong: list[str], network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "new", "mine", "--tflite", str(network), *wrong])
    assert ended.value.code == 2
    assert wrong[1] in capsys.readouterr().err


def test_an_onnx_file_wants_photographs_and_the_converter(
    edgeface: Edgeface, network: Path
) -> None:
    code, _, err = edgeface("models", "new", "mine", "--onnx", network)
    assert code == 3
    assert "--photographs DIR is needed with --onnx" in err
    if importlib.util.find_spec("onnx") is None:
        given = ("--onnx", network, "--photographs", COLLINS.parent)
        code, _, err = edgeface("models", "new", "mine", *given)
        assert code == 3
        assert "pip install -c constraints/onnx.txt 'edgeface[onnx]'" in err


def test_a_calibration_that_is_written_leaves_the_rest(edgeface: Edgeface, network: Path) -> None:
    assert edgeface("models", "new", "mine", "--tflite", network)[0] == 0
    before = yaml.safe_load(Path("mine/model.yaml").read_text())
    write_calibration(Path("mine"), CALIBRATION | {"tail_scale": 0.0412345678})
    after = yaml.safe_load(Path("mine/model.yaml").read_text())
    assert after.pop("calibration")["tail_scale"] == 0.04123457
    assert after == before
