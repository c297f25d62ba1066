"""`import edgeface` on the photographs and the models that ship."""

from __future__ import annotations

import pydoc
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import edgeface
from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.gallery.gate import Portrait, open_gate
from edgeface.inference.models import open_models
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.pipeline import Gallery as PipelineGallery
from edgeface.recognition.pipeline import Pipeline, PipelineRules
from edgeface.recognition.values import Alignment, FaceEmbedder, Image
from edgeface.settings.models import ModelsSettings
from edgeface.settings.recognition import DetectionSettings, QualitySettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def bgr(path: Path) -> Image:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def test_every_block_of_the_page_runs(
    engine: edgeface.Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 5
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    said = capsys.readouterr().out
    for expected in ("different", "(3, 128) True", "recognized Eileen Collins", "None was given"):
        assert expected in said
    assert names["claim"].opens


def test_every_name_is_there_and_the_help_reads() -> None:
    assert set(edgeface.__all__) <= set(dir(edgeface))
    for name in edgeface.__all__:
        assert getattr(edgeface, name).__doc__
    text = pydoc.plain(pydoc.render_doc(edgeface))
    assert "class Engine" in text
    assert "open_engine" in text
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = edgeface.nothing  # type: ignore[attr-defined]


class Overheard:
    """An embedder that keeps what it said."""

    def __init__(self, inner: FaceEmbedder) -> None:
        self._inner = inner
        self.said: list[NDArray[np.float32]] = []

    @property
    def alignment(self) -> Alignment:
        return self._inner.alignment

    def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        rows = self._inner.embed(crops)
        self.said.extend(rows)
        return rows


@pytest.mark.parametrize("photograph", [COLLINS, HOPPER], ids=lambda path: path.stem)
def test_library_enrollment_and_daemon_have_the_same_embedding(
    photograph: Path, engine: edgeface.Engine
) -> None:
    (face,) = engine.faces(photograph)
    gate, _ = open_gate(ModelsSettings(), DetectionSettings(), QualitySettings())
    enrolled = gate.examine_file(photograph)
    assert isinstance(enrolled, Portrait)
    assert np.array_equal(face.embedding, enrolled.embedding)

    detector, embedder, _ = open_models(ModelsSettings(accelerator="cpu"))
    overheard = Overheard(embedder)
    pipeline = Pipeline(detector, overheard, embedder.package.calibration, PipelineRules())
    nobody = PipelineGallery(GalleryIndex.empty(), np.zeros(0, np.bool_))
    frame = Frame(bgr(photograph), "file", 1, datetime(2026, 1, 1, tzinfo=UTC), 1)
    pipeline.process(frame, nobody)
    assert np.array_equal(face.embedding, overheard.said[0])
    assert np.array_equal(engine.embed([photograph])[0], face.embedding)
    assert face.embedding.shape == (128,)
    assert face.embedding.dtype == np.float32


class Picture:
    """As a PIL image looks to somebody who does not import PIL."""

    def __init__(self, rgb: Image, orientation: int) -> None:
        self.size = (rgb.shape[1], rgb.shape[0])
        self._rgb, self._orientation = rgb, orientation

    def convert(self, _: str) -> Image:
        return self._rgb

    def getexif(self) -> dict[int, int]:
        return {0x0112: self._orientation}


def test_each_form_of_a_picture_is_the_same_picture(engine: edgeface.Engine) -> None:
    image = bgr(COLLINS)
    rgb = np.ascontiguousarray(image[..., ::-1])
    expected = engine.face(COLLINS).embedding
    assert np.array_equal(engine.face(str(COLLINS)).embedding, expected)
    assert np.array_equal(engine.face(COLLINS.read_bytes()).embedding, expected)
    assert np.array_equal(engine.face(image).embedding, expected)
    assert np.array_equal(engine.face(rgb, color="rgb").embedding, expected)
    assert not np.array_equal(engine.face(rgb).embedding, expected)
    stored = {
        1: rgb,
        2: rgb[:, ::-1],
        3: rgb[::-1, ::-1],
        4: rgb[::-1],
        5: rgb.transpose(1, 0, 2),
        6: np.rot90(rgb, 1),
        7: rgb[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(rgb, 3),
    }
    for orientation, turned in stored.items():
        assert np.array_equal(engine.face(Picture(turned, orientation)).embedding, expected)
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    assert engine.compare(gray, COLLINS).verdict == "same"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "None was given, which cv2.imread returns"),
        ("nowhere.jpg", "nowhere.jpg: cannot be read: No such file"),
        (b"", "the 0 bytes: the file is empty"),
        (b"hello", "the 5 bytes: not a picture"),
        (7, "the int was given; a path, the bytes"),
        ([COLLINS], "the list was given; a path"),
        (np.zeros((0, 0, 3), np.uint8), r"\(0, 0, 3\) was given: it is empty"),
        (np.zeros((99, 99, 3)), r"float64 \(99, 99, 3\) was given; uint8 is taken"),
        (np.zeros((99, 99, 4), np.uint8), "without the alpha channel"),
        (np.zeros((99, 99, 2), np.uint8), r"\(height, width, 3\) or \(height, width\) is taken"),
        (np.zeros((4, 4, 3), np.uint8), "only 4x4 pixels"),
        (np.zeros((99, 99, 3), np.uint8), "no face found"),
    ],
)
def test_what_is_no_picture_of_somebody_is_named(
    engine: edgeface.Engine, given: object, said: str
) -> None:
    with pytest.raises(edgeface.PictureError, match=said):
        engine.face(given)


def test_other_wrong_input_is_named(engine: edgeface.Engine, gallery: edgeface.Gallery) -> None:
    with pytest.raises(edgeface.PictureError, match="color='RGB'"):
        engine.faces(COLLINS, color="RGB")
    with pytest.raises(edgeface.PictureError, match="a list of pictures is taken"):
        engine.embed(str(COLLINS))
    with pytest.raises(edgeface.EdgefaceError, match="fmr=2: a share"):
        engine.compare(COLLINS, HOPPER, fmr=2)
    with pytest.raises(edgeface.GalleryError, match="'people' was given as the gallery"):
        engine.identify(COLLINS, "people")  # type: ignore[arg-type]
    with pytest.raises(edgeface.GalleryError, match="Nobody: no such person"):
        engine.verify(COLLINS, gallery, "Nobody")
    with pytest.raises(edgeface.EdgefaceError, match="accelerator='gpu'"):
        edgeface.open(accelerator="gpu")
    with pytest.raises(edgeface.EdgefaceError, match="Edge TPU cannot be used"):
        edgeface.open(accelerator="edgetpu")
    with pytest.raises(edgeface.GalleryError, match="nowhere: no such folder"):
        edgeface.Gallery.from_folder("nowhere", engine)


def test_a_closed_engine_says_so() -> None:
    with edgeface.open() as engine:
        face = engine.face(COLLINS)
    with pytest.raises(edgeface.EdgefaceError, match="closed"):
        engine.faces(COLLINS)
    with pytest.raises(edgeface.EdgefaceError, match="closed"):
        _ = face.embedding


def test_compare_gives_both_measures_and_a_verdict(engine: edgeface.Engine, tree: Path) -> None:
    (other,) = (tree / "Eileen Collins").iterdir()
    same, different = engine.compare(COLLINS, other), engine.compare(COLLINS, HOPPER)
    assert (same.verdict, different.verdict) == ("same", "different")
    assert same.similarity >= same.threshold > different.doubt_threshold > different.similarity
    assert same.distance == pytest.approx((2 - 2 * same.similarity) ** 0.5, abs=1e-3)
    strict = engine.compare(COLLINS, other, fmr=1e-30)
    assert strict.verdict == "unsure"
    assert strict.extrapolated


def test_the_gallery_of_a_folder_names_and_refuses(
    engine: edgeface.Engine, gallery: edgeface.Gallery
) -> None:
    assert sorted(map(str, gallery.people.values())) == ["Eileen Collins", "Grace Hopper"]
    found = engine.identify(COLLINS, gallery, nearest=1)
    assert (found.outcome, found.display_name) == ("recognized", "Eileen Collins")
    assert [person.name for person in found.candidates] == ["Eileen Collins", "Grace Hopper"]
    assert [person.name for person in found.nearest_templates] == ["Eileen Collins"]
    calibration = engine.package.calibration
    assert found.threshold == calibration.identification_threshold(1e-3, 3, 2).value
    claim = engine.verify(COLLINS, gallery, "Eileen Collins")
    assert claim.opens
    assert claim.threshold == calibration.identification_threshold(1e-4, 3, 1).value
    assert engine.verify(HOPPER, gallery, "Eileen Collins").outcome == "no_match"


def test_nobody_is_an_answer(engine: edgeface.Engine, tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "Grace Hopper", tmp_path / "people" / "Grace Hopper")
    (tmp_path / "people" / "Empty").mkdir()
    (tmp_path / "people" / "Grace Hopper" / "broken.jpg").write_text("no picture")
    gallery = edgeface.Gallery.from_folder(tmp_path / "people", engine)
    assert len(gallery) == 1
    said = "\n".join(gallery.problems)
    assert "broken.jpg: not a picture" in said
    assert "Empty: left out" in said
    found = engine.identify(COLLINS, gallery)
    assert (found.outcome, found.person, found.display_name) == ("unknown", None, None)
    small = cv2.resize(bgr(COLLINS), (96, 96), interpolation=cv2.INTER_AREA)
    refused = engine.identify(engine.faces(small)[0], gallery)
    assert refused.outcome == "rejected_quality"
    assert refused.gate == "too_small"


def test_the_daemons_gallery_is_read_and_not_made(
    engine: edgeface.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = tmp_path / "edgeface.yaml"
    config.write_text(
        "site: hq\ndevice: door-1\nstate_dir: state\ncamera: {source: images, folder: .}\n"
        "decision: {target_fpir: 0.01}\n"
    )
    with pytest.raises(edgeface.GalleryError, match="no gallery; enroll somebody"):
        edgeface.Gallery.open(config)
    assert not (tmp_path / "state").exists()
    assert main(["enroll", str(HOPPER), "--name", "Grace", "-c", str(config)]) == 0
    gallery = edgeface.Gallery.open(config)
    found = engine.identify(HOPPER, gallery)
    assert found.display_name == "Grace"
    expected = engine.package.calibration.identification_threshold(0.01, 3, 1)
    assert found.threshold == expected.value
    (tmp_path / "state" / "gallery.key").write_bytes(b"k" * 32)
    with pytest.raises(edgeface.GalleryError) as wrong:
        edgeface.Gallery.open(config)
    assert wrong.value.exit_code == 2
