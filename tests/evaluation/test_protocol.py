from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.base.errors import EvaluationError, PictureError
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import read_protocol

LFW = """2\t1
Abel_Pacheco\t1\t4
Abdel_Madi_Shabneh\t1\tDean_Barker\t1
Akhmed_Zakayev\t1\t3
Akhmed_Zakayev\t2\tHu_Jintao\t12
"""


def _write(folder: Path, text: str) -> Path:
    file = folder / "pairs"
    file.write_text(text, encoding="utf-8")
    return file


def test_lfws_own_file_has_sets_of_same_and_different_pairs(tmp_path: Path) -> None:
    protocol = read_protocol(_write(tmp_path, LFW))
    assert [(pair.fold, pair.same) for pair in protocol.pairs] == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    assert protocol.pairs[0].a == "Abel_Pacheco/Abel_Pacheco_0001.jpg"
    assert protocol.pairs[3].b == "Hu_Jintao/Hu_Jintao_0012.jpg"
    assert protocol.identities_known
    # The three pictures of one person have one subject.
    zakayev = [s for n, s in zip(protocol.pictures, protocol.subject_of, strict=True) if "Akh" in n]
    assert len(zakayev) == 3
    assert len(set(zakayev)) == 1


def test_a_development_file_with_one_number_is_one_set(tmp_path: Path) -> None:
    protocol = read_protocol(_write(tmp_path, "1\nA\t1\t2\nA\t1\tB\t1\n"))
    assert set(protocol.folds.tolist()) == {1}
    assert protocol.same.tolist() == [True, False]


def test_a_csv_takes_the_first_folder_as_the_person(tmp_path: Path) -> None:
    text = "fold,a,b,same\n1,001/f/1.jpg,001/p/2.jpg,1\n2,001/f/1.jpg,002/p/1.jpg,0\n"
    protocol = read_protocol(_write(tmp_path, text))
    assert protocol.people == ("001", "002")
    assert protocol.a.tolist() == [0, 0]
    assert protocol.b.tolist() == [1, 2]
    assert protocol.identities_known


def test_a_flat_csv_joins_the_pictures_of_same_pairs(tmp_path: Path) -> None:
    text = "fold,a,b,same\n1,x.jpg,y.jpg,1\n1,y.jpg,z.jpg,1\n2,x.jpg,q.jpg,0\n"
    protocol = read_protocol(_write(tmp_path, text))
    assert not protocol.identities_known
    assert protocol.subject_of == (0, 0, 0, 1)


def test_a_part_keeps_only_its_folds_and_their_pictures(tmp_path: Path) -> None:
    protocol = read_protocol(_write(tmp_path, LFW)).part([2])
    assert len(protocol.pairs) == 2
    assert len(protocol.pictures) == 4
    assert protocol.people == ("Akhmed_Zakayev", "Hu_Jintao")
    with pytest.raises(EvaluationError, match="folds"):
        protocol.part([9])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "neither a CSV", id="empty"),
        pytest.param("fold,a,b,same\n", "has no pairs", id="header-only"),
        pytest.param("fold,a,b,same\n1,a/1.jpg,a/2.jpg,yes\n", ":2: expected", id="bad-flag"),
        pytest.param("fold,a,b,same\n1,a/1.jpg\n", ":2: expected", id="short-row"),
        pytest.param("1\t1\nA\t1\t2\n", "promises 2 pairs, 1 follow", id="truncated-lfw"),
        pytest.param("1\t1\nA\t1\t2\nA\t1\t2\n", ":3: expected `name1", id="wrong-kind"),
        pytest.param("1 1 1\nA\t1\t2\n", ":1: expected `sets", id="three-numbers"),
    ],
)
def test_a_faulty_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read_protocol(_write(tmp_path, text))


def _picture() -> bytes:
    return cv2.imencode(".png", np.full((8, 6, 3), 77, np.uint8))[1].tobytes()


def test_pictures_come_from_a_folder_and_from_a_zip_alike(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "person"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(_picture())
    flat, nested = tmp_path / "flat.zip", tmp_path / "nested.zip"
    for file, prefix in ((flat, ""), (nested, "lfw/")):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"{prefix}person/1.png", _picture())
            archive.writestr(f"{prefix}other/2.png", _picture())
    for path in (tmp_path / "data", flat, nested):
        with PictureRoot(path) as root:
            # A protocol says .jpg, the data set was kept as .png.
            assert root.read("person/1.jpg").shape == (8, 6, 3)
            assert root.names("person/1")[0].endswith("person/1.png")


def test_a_missing_or_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    root = PictureRoot(tmp_path)
    for name, message in (
        ("none.jpg", "has no picture none"),
        ("broken.jpg", "broken.jpg: not a picture"),
        ("empty.jpg", "empty.jpg: the file is empty"),
    ):
        with pytest.raises(PictureError, match=message):
            root.read(name)
    with pytest.raises(EvaluationError, match="neither a folder nor a zip"):
        PictureRoot(tmp_path / "broken.jpg")
