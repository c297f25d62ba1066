"""The recipe from data to package, on a tiny sample: every step as a person would call it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.package import load_package
from edgeface.inference.passive_liveness import PassiveLiveness
from models.training import pad_pool, scenes
from models.training.__main__ import main
from models.training.package import open_folder
from models.training.pad_views import attack, random_view
from models.training.scene_views import LOOK_PX, View, paste_face
from models.training.tests.conftest import MODELS, pooling_teacher

STEPS = ["--steps", "4", "--checkpoint-steps", "2", "--batch", "4"]


@pytest.fixture(scope="module")
def cache(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared pool; the shipped detector stands in for the detector teacher."""
    cache = tmp_path_factory.mktemp("cache")
    shipped = open_folder(MODELS / "face_detector")
    assert isinstance(shipped, Detector)

    def faces(_: object, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = shipped.detect(image)
        boxes = [[f.box.left, f.box.top, f.box.right, f.box.bottom] for f in found]
        return (
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array([f.landmarks for f in found], np.float32).reshape(-1, 5, 2),
            np.array([f.score for f in found], np.float32),
        )

    def face(_: object, image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        boxes, points, _ = faces(None, image)
        return (boxes[:1], points[:1]) if len(boxes) else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "teacher_faces", faces)
        patch.setattr(scenes, "aligned_face", face)
        patch.setattr(scenes.cv2.FaceDetectorYN, "create", lambda *_: None)
        common = ["--data", str(data), "--teacher", "none.onnx", "--cache", str(cache)]
        guide = pooling_teacher(cache)
        assert main(["prepare", *common, "--guide", str(guide)]) == 0
    return cache


def test_prepared_scenes_join_given_boxes_with_the_teachers_landmarks(cache: Path) -> None:
    loaded = scenes.Scenes(cache / scenes.SCENES)
    assert len(loaded) == 12
    assert all(np.isfinite(scene.landmarks[0]).all() for scene in loaded)
    assert all(scene.weight[0] == 1 for scene in loaded)


def test_a_photograph_is_either_trained_on_or_held_out(cache: Path) -> None:
    every, trained, tested = (
        {scene.name for scene in scenes.Scenes(cache / scenes.SCENES, trained=which)}
        for which in (None, True, False)
    )
    assert trained | tested == every
    assert not trained & tested
    assert all(scenes.held_out(name) for name in tested)


def test_a_pasted_face_brings_the_landmarks_that_it_has(cache: Path) -> None:
    pasted = scenes.Scenes(cache / scenes.PASTED)
    assert pasted
    face = pasted[0]
    assert face.boxes.shape == (1, 4)
    assert face.landmarks.shape == (1, 5, 2)
    empty = View(
        np.zeros((240, 320, 3), np.uint8),
        np.zeros((0, 4), np.float32),
        np.zeros((0, 5, 2), np.float32),
        np.zeros(0, np.float32),
    )
    rng = np.random.default_rng(0)
    shown = next(
        view
        for view in (paste_face(rng, empty, face, LOOK_PX) for _ in range(20))
        if len(view.boxes) and view.weight[0] > 0
    )
    detector = open_folder(MODELS / "face_detector")
    assert isinstance(detector, Detector)
    found = detector.detect(shown.image)[0]
    eyes = float(np.linalg.norm(shown.landmarks[0, 0] - shown.landmarks[0, 1]))
    apart = np.linalg.norm(found.landmarks - shown.landmarks[0], axis=1).mean()
    assert apart < 0.25 * eyes


def test_a_detector_is_trained_quantised_and_packaged(cache: Path, tmp_path: Path) -> None:
    where = ["--cache", str(cache), "--out", str(tmp_path)]
    target = ["--package", str(tmp_path / "package")]
    assert main(["train", "detector", *where, *STEPS]) == 0
    assert main(["train", "detector", *where, "--steps", "6", *STEPS[2:]]) == 0
    assert (tmp_path / "detector.jsonl").read_text().count("\n") == 3
    assert main(["quantise", "detector", *where, *target]) == 0
    # So short a training finds nothing; a threshold near zero gives the golden run its faces.
    assert main(["package", "detector", *target, "--version", "0", "--score", "0.0001"]) == 0
    assert isinstance(open_folder(tmp_path / "package"), Detector)


def test_an_embedder_is_trained_resumed_packaged_calibrated_and_finetuned(
    cache: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--cache", str(cache), "--out", str(tmp_path)]
    package = tmp_path / "package"
    target = ["--package", str(package), "--detector", str(MODELS / "face_detector")]
    guide = ["--guide", str(cache / "teacher.xml"), "--held-out", "8"]
    assert main(["train", "blocks", *where, *STEPS, *guide]) == 0
    assert main(["train", "blocks", *where, "--steps", "6", *STEPS[2:], *guide]) == 0
    assert (tmp_path / "blocks.jsonl").read_text().count("\n") == 3
    assert main(["finish", *where]) == 0
    with pytest.raises(SystemExit, match="--guide"):
        main(["train", "chain", *where, *STEPS])
    assert main(["finish", *where]) == 1  # rather than replace it
    assert main(["train", "chain", *where, *STEPS, *guide]) == 0
    (tmp_path / "embedder.pt").unlink()
    (tmp_path / "embedder.jsonl").unlink()
    # From the committed weights, at a low rate: a network that knows nothing of faces cannot pass
    # the golden run, which asks for another answer to a picture with red and blue swapped.
    assert main(["restore", "embedder", "--out", str(tmp_path)]) == 0
    low = ["--rate", "0.00001", *guide]
    assert main(["train", "chain", *where, *STEPS, *low]) == 0
    assert main(["train", "chain", *where, "--steps", "6", *STEPS[2:], *low]) == 0
    log = (tmp_path / "embedder.jsonl").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ['{"step": 2', '{"step": 4', '{"step": 6']
    assert main(["quantise", "embedder", *where, *target[:2]]) == 0
    assert main(["package", "embedder", *target, "--version", "0"]) == 0
    pairs = ["--pairs", str(people / "pairs.csv"), "--root", str(people)]
    assert main(["calibrate", *target, *pairs]) == 0
    assert main(["evaluate", *where[2:], *target[2:], *pairs]) == 0
    assert main(["stress", *where[:2], *target[:2]]) == 0
    shown = capsys.readouterr().out
    assert "| made | 40 |" in shown
    assert "| adults, female | 40 |" in shown
    assert load_package(package).calibration.smallest_fmr < 1
    assert isinstance(open_folder(package), Embedder)
    old_space = load_package(package).space_id

    tuned = tmp_path / "tuned"
    people_of = ["--people", str(people), "--checkpoint", str(tmp_path / "embedder.pt")]
    for loss in ("triplet", "arcface"):
        tune = ["finetune", *people_of, *target[2:], "--out", str(tuned), "--loss", loss]
        assert main([*tune, "--steps", "2"]) == 0
    again = ["--package", str(tuned / "package")]
    assert main(["quantise", "embedder", *where[:2], "--out", str(tuned), *again]) == 0
    assert main(["package", "embedder", *again, *target[2:], "--version", "1"]) == 0
    assert load_package(tuned / "package").space_id != old_space


def test_an_attack_detector_is_trained_resumed_quantised_packaged_and_calibrated(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = pad_pool.load(cache)
    trained = pad_pool.trained_rows(pool)
    assert set(pool.sources[~trained & ~pool.photographs]) == {"msu"}
    assert not {pool.people[i] for i in np.flatnonzero(trained) if pool.folds[i] == 0} & {
        pool.people[i] for i in np.flatnonzero(pad_pool.trained_rows(pool, (), 0))
    }
    where = ["--cache", str(cache), "--out", str(tmp_path)]
    assert main(["train", "pad", *where, *STEPS]) == 0
    assert main(["train", "pad", *where, "--steps", "6", *STEPS[2:]]) == 0
    assert (tmp_path / "pad.jsonl").read_text().count("\n") == 3
    assert main(["attacks", *where]) == 0
    assert main(["train", "pad", *where, *STEPS, "--fold", "0"]) == 0
    for fold in range(1, pad_pool.FOLDS):
        shutil.copytree(tmp_path / "fold-0", tmp_path / f"fold-{fold}")
    assert main(["attacks", *where, "--folds"]) == 0
    # So short a training sees no colors; the committed weights do, and pass the golden run.
    (tmp_path / "pad.pt").unlink()
    target = ["--package", str(tmp_path / "package")]
    assert main(["restore", "pad", "--out", str(tmp_path)]) == 0
    assert main(["quantise", "pad", *where, *target]) == 0
    detector = ["--detector", str(MODELS / "face_detector")]
    assert main(["package", "pad", *target, *detector, "--version", "0"]) == 0
    capsys.readouterr()
    assert main(["attacks", *where, *target]) == 0
    shown = capsys.readouterr().out
    assert "| msu | phone | 4, 4 |" in shown
    assert isinstance(open_folder(tmp_path / "package"), PassiveLiveness)
    assert load_package(tmp_path / "package").calibrated


def test_an_attack_has_its_face_where_the_live_picture_has_it() -> None:
    """Something else in the middle would not have been found as a face."""
    rng = np.random.default_rng(0)
    live, room = np.zeros((128, 128, 3), np.uint8), np.full((128, 128, 3), 90, np.uint8)
    live[52:76, 52:76] = (40, 60, 220)
    for _ in range(50):
        made = attack(rng, live, room)
        assert made.shape == live.shape
        middle, around = (made[part, part, 2].mean() for part in (slice(56, 72), slice(44, 48)))
        assert middle > around
        assert random_view(rng, made).shape == (80, 80, 3)


@pytest.mark.parametrize("network", ["detector", "pad"])
def test_the_committed_weights_fit(network: str, tmp_path: Path) -> None:
    assert main(["restore", network, "--out", str(tmp_path)]) == 0


def test_weights_of_several_files_are_blended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.training.embedder import Embedder as Network
    from models.training.run import load_checkpoint

    weights = {name: value.numpy() for name, value in Network().state_dict().items()}
    files = []
    for number in (1, 3):
        files += ["--weights", str(tmp_path / f"{number}.npz")]
        np.savez(tmp_path / f"{number}.npz", **{k: v * number for k, v in weights.items()})
    out = ["--out", str(tmp_path)]
    assert main(["restore", "embedder", *out, *files]) == 0
    saved = load_checkpoint(tmp_path / "embedder.pt")
    assert saved is not None
    for name, value in saved["average"].items():
        assert np.allclose(value, 2 * weights[name], atol=1e-6)
    (tmp_path / "embedder.pt").unlink()
    np.savez(tmp_path / "3.npz", a=np.zeros(3, np.float16))
    assert main(["restore", "embedder", *out, *files]) == 1
    assert "3.npz: not the weights of such a network" in capsys.readouterr().err
    (tmp_path / "3.npz").write_text("no weights\n")
    assert main(["restore", "embedder", *out, *files]) == 1
    assert "3.npz: not a file of weights" in capsys.readouterr().err


def test_kept_weights_restore_to_a_start_for_more_training(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.training import checkpoints

    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path / "weights")
    where = ["--cache", str(cache), "--out", str(tmp_path / "first")]
    assert main(["train", "detector", *where, *STEPS]) == 0
    assert main(["keep", "detector", *where[2:]]) == 0
    assert main(["restore", "detector", "--out", str(tmp_path / "second")]) == 0
    assert main(["restore", "detector", "--out", str(tmp_path / "second")]) == 1
    again = [*where[:2], "--out", str(tmp_path / "second")]
    assert main(["train", "detector", *again, *STEPS]) == 0
    digests = {
        hashlib.sha256((tmp_path / name / "detector.pt").read_bytes()).hexdigest()
        for name in ("first", "second")
    }
    assert len(digests) == 2
