"""What each operator of a network takes; times are not asserted, what adds up is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeface.bench.operator_profile import kinds_of, operator_times, prefixes
from edgeface.cli.main import main
from edgeface.inference.description import MODEL_FILE
from edgeface.inference.flatbuffer import read_model
from edgeface.inference.layers import layers_of
from edgeface.inference.package import find_package, load_package
from edgeface.inference.runtimes import find_runtime

PACKAGE = "pad"


@pytest.fixture(scope="module")
def content() -> bytes:
    return load_package(find_package(PACKAGE)).read(MODEL_FILE)


def given(content: bytes) -> list[bytes]:
    """What the network gives for one picture of noise."""
    network = find_runtime().interpreter(content)
    detail = network.get_input_details()[0]
    noise = np.random.default_rng(1).integers(-128, 128, tuple(detail["shape"]), np.int8)
    network.set_tensor(int(detail["index"]), noise)
    network.invoke()
    return [network.get_tensor(int(out["index"])).tobytes() for out in network.get_output_details()]


@pytest.mark.parametrize("package", ["face_detector", PACKAGE])
def test_each_piece_is_one_operator_longer_and_computes_all_that_the_rest_would_read(
    package: str,
) -> None:
    content = load_package(find_package(package)).read(MODEL_FILE)
    whole = read_model(content)
    pieces = list(map(read_model, prefixes(content)))
    for count, piece in enumerate(pieces, start=1):
        done, later = whole.operators[:count], whole.operators[count:]
        assert [item.outputs for item in piece.operators] == [item.outputs for item in done]
        made = {index for item in done for index in item.outputs}
        read = {index for item in later for index in item.inputs} | set(whole.outputs)
        assert set(piece.outputs) == made & read
    assert len(pieces) == len(whole.operators)


def test_the_longest_piece_is_the_network(content: bytes) -> None:
    assert given(list(prefixes(content))[-1]) == given(content)


def test_operators_add_up_to_the_network_and_none_takes_less_than_nothing(content: bytes) -> None:
    layers = layers_of(read_model(content))
    rising_ms = [0.5 * number for number in range(1, len(layers) + 1)]
    noisy_ms = [*rising_ms[:2], 1.2, *rising_ms[3:]]  # the third piece takes less than the second
    noisy_ms[1] = 1.4
    found = operator_times(layers, noisy_ms)
    assert [item.number for item in found] == list(range(1, len(layers) + 1))
    assert sum(item.ms for item in found) == pytest.approx(noisy_ms[-1])
    assert [item.ms for item in found[:4]] == pytest.approx([0.5, 0.8, 0.0, 0.7])
    assert [item.ms for item in operator_times(layers, rising_ms)] == pytest.approx(
        [0.5] * len(layers)
    )


def test_every_operator_is_named_once_in_the_profile(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "models", PACKAGE, "--operators", "--runs", "3", "--threads", "1"]
    assert main([*arguments, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["speeds"]
    operators, kinds = found["operators"], found["kinds"]
    assert [item["number"] for item in operators] == list(range(1, len(operators) + 1))
    assert sum(item["multiply_adds"] for item in operators) == found["multiply_adds"]
    assert sum(kind["operators"] for kind in kinds) == len(operators)
    assert len({kind["kind"] for kind in kinds}) == len(kinds)
    assert sum(kind["ms"] for kind in kinds) == pytest.approx(sum(i["ms"] for i in operators))
    assert sum(kind["share"] for kind in kinds) == pytest.approx(1)
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert all(kind["kind"] in shown for kind in kinds)


def test_a_kind_without_multiply_adds_has_no_share_of_the_product(content: bytes) -> None:
    layers = layers_of(read_model(content))
    times = operator_times(layers, [float(number + 1) for number in range(len(layers))])
    shares = {kind.kind: kind.share_of_product for kind in kinds_of(times, 1.0)}
    assert shares["MEAN"] == 0
    assert shares["CONV_2D 3x3"] > 0
