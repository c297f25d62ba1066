from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.base.errors import ModelError
from edgeface.inference.description import Preprocessing
from edgeface.inference.package import find_package, load_package, packages_in, space_id
from edgeface.settings.places import shipped_models
from tests.support.packages import edit_description, seal


def test_a_package_loads_with_its_typed_description(pristine: Path) -> None:
    package = load_package(pristine / "embedder")
    assert package.description.task == "face-embedding"
    assert package.description.input.mean_by_channel == (127.5, 127.5, 127.5)
    assert not package.compiled
    assert package.calibration.smallest_fmr == 1e-5
    assert package.golden()["embedding"].shape == (128,)


@pytest.mark.parametrize("file", ["model.tflite", "golden.npz"])
def test_a_file_that_differs_by_one_bit_is_refused(packages: Path, file: str) -> None:
    path = packages / "detector" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"{file}: differs from model.yaml: sha256"):
        load_package(packages / "detector")


def test_a_file_that_changes_after_loading_is_refused_when_read(packages: Path) -> None:
    package = load_package(packages / "detector")
    (packages / "detector" / "model.tflite").write_bytes(b"other")
    with pytest.raises(ModelError, match="differs"):
        package.read("model.tflite")


def test_a_missing_file_is_named(packages: Path) -> None:
    (packages / "detector" / "golden.npz").unlink()
    with pytest.raises(ModelError, match=r"golden\.npz: cannot be read: No such file"):
        load_package(packages / "detector")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere: no such model package"):
        load_package(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param(lambda d: d.pop("licence"), r"licence: Field required", id="missing"),
        pytest.param(lambda d: d.update(color=1), r"color: Extra inputs", id="unknown"),
        pytest.param(lambda d: d.update(task="cooking"), r"'task'", id="task"),
        pytest.param(lambda d: d.update(format=2), r"format: Input should be 1", id="format"),
        pytest.param(
            lambda d: d["input"].update(width="wide"), r"input\.width: ", id="nested-type"
        ),
        pytest.param(lambda d: d["input"].update(std=0), r"input: .*std must be", id="zero-std"),
        pytest.param(
            lambda d: d["output"]["levels"][1].pop("stride"),
            r"output\.levels\[1\]\.stride: Field required",
            id="in-a-list",
        ),
        pytest.param(
            lambda d: d["files"].update({"../../etc/passwd": "0" * 64}),
            r"is not the name of a file",
            id="path-out-of-the-folder",
        ),
        pytest.param(
            lambda d: d["files"].update({"model.tflite": "abc"}),
            r"files\.model\.tflite: ",
            id="no-sha256",
        ),
        pytest.param(
            lambda d: d["files"].pop("golden.npz"), r"golden\.npz missing", id="no-golden"
        ),
        pytest.param(
            lambda d: d["output"].update(score_threshold=1.0),
            r"output\.score_threshold: ",
            id="threshold",
        ),
    ],
)
def test_a_fault_in_the_description_names_file_and_field(
    packages: Path, change: Callable[[dict[str, Any]], object], fault: str
) -> None:
    edit_description(packages / "detector", change)
    with pytest.raises(ModelError, match=rf"detector/model\.yaml: .*{fault}"):
        load_package(packages / "detector")


def test_all_faults_are_reported_at_once(packages: Path) -> None:
    edit_description(packages / "detector", lambda d: (d.pop("licence"), d.pop("version")))
    with pytest.raises(ModelError) as caught:
        load_package(packages / "detector")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("a: [1", "not valid YAML", id="syntax"),
        pytest.param("", "a mapping", id="empty"),
        pytest.param("- 1", "a mapping", id="list"),
        pytest.param(
            "input: {width: 1, width: 2}", r"input\.width: given twice \(line 1\)", id="twice"
        ),
        pytest.param("a: !!python/object:os.system {}", "not valid YAML", id="python-tag"),
    ],
)
def test_text_that_is_no_description_is_refused(packages: Path, text: str, fault: str) -> None:
    (packages / "detector" / "model.yaml").write_text(text)
    with pytest.raises(ModelError, match=rf"model\.yaml: {fault}"):
        load_package(packages / "detector")


def test_a_wrong_space_id_is_refused_with_the_right_one(packages: Path) -> None:
    expected = load_package(packages / "embedder").space_id
    edit_description(packages / "embedder", lambda d: d.update(space_id="f" * 64))
    with pytest.raises(ModelError, match=f"space_id: should be {expected}"):
        load_package(packages / "embedder")


def test_the_space_id_is_the_sha256_of_this_text() -> None:
    text = (
        '{"alignment":"arcface-112","model":"' + "0" * 64 + '","preprocessing":{"channels":"RGB",'
        '"fit":"letterbox","height":112,"mean":[127.5,127.5,127.5],"pad":0,'
        '"std":[128.0,128.0,128.0],"width":112}}'
    )
    rules = Preprocessing(tensor="image", width=112, height=112)
    assert space_id("0" * 64, rules, "arcface-112") == hashlib.sha256(text.encode()).hexdigest()


def test_the_space_id_follows_what_matters_and_nothing_else() -> None:
    rules = Preprocessing(tensor="image", width=112, height=112)
    base = space_id("0" * 64, rules, "arcface-112")
    same = rules.model_copy(update={"tensor": "x", "mean": (127.5, 127.5, 127.5)})
    assert space_id("0" * 64, same, "arcface-112") == base
    others = [
        space_id("1" * 64, rules, "arcface-112"),
        space_id("0" * 64, rules, "other"),
        space_id("0" * 64, rules.model_copy(update={"channels": "BGR"}), "arcface-112"),
        space_id("0" * 64, rules.model_copy(update={"std": 127.5}), "arcface-112"),
    ]
    assert len({base, *others}) == 5


def test_a_detector_has_neither_space_nor_calibration(pristine: Path) -> None:
    package = load_package(pristine / "detector")
    with pytest.raises(ModelError, match="embedding space"):
        _ = package.space_id
    with pytest.raises(ModelError, match="calibration"):
        _ = package.calibration


def test_an_embedder_without_calibration_loads_but_gives_no_threshold(packages: Path) -> None:
    edit_description(packages / "embedder", lambda d: d.pop("calibration"))
    package = load_package(packages / "embedder")
    with pytest.raises(ModelError, match=r"model\.yaml: calibration: missing"):
        _ = package.calibration


def test_a_broken_calibration_names_the_file(packages: Path) -> None:
    edit_description(packages / "embedder", lambda d: d["calibration"].pop("scores"))
    with pytest.raises(ModelError, match=r"model\.yaml: calibration: .*scores"):
        _ = load_package(packages / "embedder").calibration


def test_an_unlisted_compiled_file_is_refused(packages: Path) -> None:
    (packages / "detector" / "model_edgetpu.tflite").write_bytes(b"edgetpu-custom-op")
    with pytest.raises(ModelError, match=r"model_edgetpu\.tflite: not listed"):
        load_package(packages / "detector")


def test_a_plain_model_named_as_compiled_is_refused(packages: Path) -> None:
    folder = packages / "detector"
    (folder / "model_edgetpu.tflite").write_bytes((folder / "model.tflite").read_bytes())
    seal(folder)
    with pytest.raises(ModelError, match=r"model_edgetpu\.tflite: not compiled"):
        load_package(folder)


def test_a_golden_file_with_pickled_objects_is_refused(packages: Path) -> None:
    folder = packages / "detector"
    np.savez(folder / "golden.npz", input=np.array([{}], object), allow_pickle=True)
    seal(folder)
    with pytest.raises(ModelError, match=r"golden\.npz: not an npz file"):
        load_package(folder).golden()


def test_packages_are_found_in_a_folder_or_as_one(pristine: Path) -> None:
    assert [path.name for path in packages_in(pristine)] == ["detector", "embedder"]
    assert packages_in(pristine / "detector") == (pristine / "detector",)


def test_a_bare_name_means_a_model_that_ships(pristine: Path) -> None:
    assert find_package("facenet") == shipped_models() / "facenet"
    assert find_package(pristine / "detector") == pristine / "detector"
    assert find_package("./elsewhere/x") == Path("elsewhere/x")
