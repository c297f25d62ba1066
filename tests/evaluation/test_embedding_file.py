"""`edgeface embed` and what is measured with its file, through the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.evaluation.embedding_file import Origin, embed_into
from edgeface.evaluation.opener import Opener
from edgeface.evaluation.pictures import PictureRoot
from edgeface.recognition.templates import decode_codes
from tests.support.packages import write_embedder
from tests.support.patterned_people import picture, png


@pytest.fixture
def models(detector_package: Path, embedder_package: Path) -> list[str]:
    return ["--detector", str(detector_package), "--embedder", str(embedder_package)]


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_verification_measures_the_same_with_the_file_as_with_the_pictures(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "people.npz"
    done = _json(capsys, "embed", str(people), "-o", str(file), *models)
    assert (done["pictures"], done["faces"], done["kept"]) == (24, 23, 0)
    assert done["pictures_faceless"] == ["07/frontal/2.png"]
    verify = ("evaluate", "verification", "--pairs", str(pairs))
    with_file = _json(capsys, *verify, "--embeddings", str(file), *models[2:])
    with_pictures = _json(capsys, *verify, "--root", str(people), *models)
    assert with_file.pop("stage_ms") == {}
    assert with_pictures.pop("stage_ms")
    before, now = with_file.pop("models"), with_pictures.pop("models")
    assert [model["sha256"] for model in before] == [model["sha256"] for model in now]
    assert with_file == with_pictures
    assert main([*verify, "--embeddings", str(file), *models[2:]]) == 0
    assert "median ms" not in capsys.readouterr().out


def test_embeddings_of_another_space_are_refused(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "people.npz"
    assert main(["embed", str(people), "-o", str(file), *models]) == 0
    verify = ["evaluate", "verification", "--pairs", str(pairs), "--embeddings", str(file)]
    assert main(verify) == 2
    assert "of the space" in capsys.readouterr().err
    assert main([*verify, *models]) == 2
    assert "--detector goes with --root" in capsys.readouterr().err
    assert main(["embed", str(people), "-o", str(file)]) == 2
    assert "made with another model" in capsys.readouterr().err
    file.write_bytes(b"no embeddings")
    assert main([*verify, *models[2:]]) == 2
    assert "no embeddings that" in capsys.readouterr().err


@pytest.mark.parametrize("form", [(), ("--int8",)])
def test_a_damaged_file_is_told_in_one_line_wherever_the_damage_is(
    capsys: pytest.CaptureFixture[str],
    pairs: Path,
    people: Path,
    models: list[str],
    tmp_path: Path,
    form: tuple[str, ...],
) -> None:
    file = tmp_path / "x.npz"
    assert main(["embed", str(people), "-o", str(file), *models, *form]) == 0
    verify = ["evaluate", "verification", "--pairs", str(pairs), "--embeddings", str(file)]
    verify += models[2:]
    assert main(verify) == 0
    whole = file.read_bytes()
    random = np.random.default_rng(1)
    for place in random.integers(0, len(whole), 60).tolist():
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert main(verify) in (0, 2)
    with np.load(io.BytesIO(whole), allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    column = "codes" if form else "embeddings"
    for changed, told in (
        (np.zeros_like(arrays[column]), "is damaged"),
        (arrays[column][:, :5], "does not fit"),
        (arrays[column].astype(np.str_), "does not fit"),
    ):
        np.savez(file, **(arrays | {column: changed}))
        capsys.readouterr()
        assert main(verify) == 2
        assert told in capsys.readouterr().err


def test_a_second_run_embeds_what_is_new_or_changed(
    capsys: pytest.CaptureFixture[str], models: list[str], tmp_path: Path
) -> None:
    folder, file = tmp_path / "pictures", tmp_path / "x.npz"
    folder.mkdir()
    for person in range(3):
        (folder / f"{person}.png").write_bytes(png(picture(person, 0)))
    (folder / "torn.png").write_bytes(b"\x89PNG")
    command = ("embed", str(folder), "-o", str(file), *models)
    first = _json(capsys, *command)
    assert (first["faces"], first["kept"], len(first["pictures_unread"])) == (3, 0, 1)
    (folder / "1.png").write_bytes(png(picture(5, 1)))
    (folder / "2.png").unlink()
    (folder / "torn.png").write_bytes(png(picture(4, 0)))
    second = _json(capsys, *command)
    assert (second["faces"], second["kept"], second["pictures_unread"]) == (3, 1, [])
    with np.load(file, allow_pickle=False) as arrays:
        assert arrays["names"].tolist() == ["0.png", "1.png", "torn.png"]


def test_what_was_done_is_kept_when_the_work_is_broken_off(
    people: Path, tmp_path: Path, detector_package: Path, embedder_package: Path
) -> None:
    opener, file = Opener(), tmp_path / "x.npz"
    detector = opener.detector(str(detector_package))
    embedder = opener.embedder(str(embedder_package))
    origin = Origin(embedder.space_id, "d", int8=False)

    class Interrupted(PictureRoot):
        def read(self, name: str) -> Any:
            if name == "03/frontal/0.png":
                raise KeyboardInterrupt
            return super().read(name)

    with Interrupted(people) as broken, pytest.raises(KeyboardInterrupt):
        embed_into(file, broken, detector, embedder, origin)
    with PictureRoot(people) as root:
        done = embed_into(file, root, detector, embedder, origin)
    assert (done["kept"], done["faces"]) == (9, 23)


def test_the_shipped_models_fill_every_column_and_bytes_hold_nearly_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    collins, hopper = (cv2.imread(str(path)) for path in (COLLINS, HOPPER))
    assert collins is not None
    assert hopper is not None
    both = np.hstack([hopper, hopper[:, ::-1]])
    for name, image in (("a", collins), ("both", both), ("none", np.zeros((90, 90, 3), np.uint8))):
        cv2.imwrite(str(folder / f"{name}.png"), image)
    for file, form in (("f.npz", ()), ("b.npz", ("--int8",))):
        assert main(["embed", str(folder), "-o", str(tmp_path / file), *form]) == 0
    printed = capsys.readouterr()
    assert "2 faces of 3 pictures" in printed.out
    assert "none.png: no face found" in printed.err
    assert "both.png: several faces, the central taken" in printed.err
    floats = np.load(tmp_path / "f.npz", allow_pickle=False)
    coded = np.load(tmp_path / "b.npz", allow_pickle=False)
    assert floats["names"].tolist() == ["a.png", "both.png", "none.png"]
    assert floats["found"].tolist() == [True, True, False]
    assert floats["rivals"].tolist() == [0, 1, 0]
    assert floats["landmarks"].shape == (3, 5, 2)
    assert floats["boxes"][0, 2] - floats["boxes"][0, 0] == pytest.approx(
        floats["quality"][0, floats["quality_names"].tolist().index("face_px")], rel=0.5
    )
    assert "embeddings" not in coded
    cosines = np.sum(decode_codes(coded["codes"][:2]) * floats["embeddings"][:2], axis=1)
    assert cosines == pytest.approx([1.0, 1.0], abs=1e-3)


def test_a_folder_without_a_face_or_picture_is_of_no_use(
    capsys: pytest.CaptureFixture[str], models: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    assert main(["embed", str(folder), "-o", str(tmp_path / "x.npz"), *models]) == 2
    assert "has no pictures" in capsys.readouterr().err
    (folder / "0.png").write_bytes(png(picture(0, 0, face=False)))
    assert main(["embed", str(folder), "-o", str(tmp_path / "x.npz"), *models]) == 2
    assert "no face in 1 picture" in capsys.readouterr().err


@pytest.mark.parametrize("form", [[], ["--int8"]])
def test_an_embedder_of_512_numbers_is_measured_likewise(
    capsys: pytest.CaptureFixture[str],
    people: Path,
    pairs: Path,
    detector_package: Path,
    tmp_path: Path,
    form: list[str],
) -> None:
    embedder = str(write_embedder(tmp_path / "wide", dimensions=512))
    models = ["--detector", str(detector_package), "--embedder", embedder]
    file = tmp_path / "x.npz"
    assert _json(capsys, "embed", str(people), "-o", str(file), *models, *form)["faces"] > 0
    with np.load(file, allow_pickle=False) as arrays:
        assert arrays["codes" if form else "embeddings"].shape[1] == 512
    verify = ["evaluate", "verification", "--pairs", str(pairs)]
    with_file = _json(capsys, *verify, "--embeddings", str(file), *models[2:])
    with_pictures = _json(capsys, *verify, "--root", str(people), *models)
    assert with_file["accuracy"] == pytest.approx(with_pictures["accuracy"], abs=0.05)
