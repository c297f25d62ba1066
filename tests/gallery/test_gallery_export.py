from __future__ import annotations

import hashlib
import json
import math
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeface.base.errors import GalleryError, StateError
from edgeface.gallery.cipher import DamagedRowError
from edgeface.gallery.person import Person
from edgeface.gallery.portable import export_gallery, import_gallery
from edgeface.gallery.store import GalleryStore
from tests.support.gallery import ALICE, BOB, CAROL, KEY, OTHER_SPACE, SPACE, direction, put, stored

EXPORT_KEY = bytes(32)


def fill(store: GalleryStore) -> None:
    put(store, ALICE, 1, 2, name="Ålice")
    with store.change() as change:
        change.put_person(Person(BOB, "Bob", 5.0, math.inf, "card", 3.0))
        change.put_templates(BOB, SPACE, [stored(direction(3))])
        change.put_person(Person(CAROL, "Carol"))
        change.put_templates(CAROL, OTHER_SPACE, [stored(direction(4))])


@pytest.mark.parametrize("key", [None, EXPORT_KEY], ids=["plain", "encrypted"])
def test_an_export_is_imported_whole(
    tmp_path: Path, store: GalleryStore, key: bytes | None
) -> None:
    fill(store)
    file = tmp_path / "out.jsonl"
    report = export_gallery(store, SPACE, file, key)
    assert (report.people, report.templates, report.left_out) == (2, 3, (CAROL,))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (b'"Bob"' in file.read_bytes()) == (key is None), (
        "quoted: three letters may be in what is sealed"
    )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out.jsonl", "state"]
    with GalleryStore(tmp_path / "other.sqlite", None) as other:
        done = import_gallery(other, SPACE, file, key)
        assert (done.added, done.replaced, done.templates) == (2, 0, 3)
        assert other.position().changes == 1
        for person_id in (ALICE, BOB):
            assert other.person(person_id) == store.person(person_id)
            mine, theirs = (s.templates(person_id, SPACE) for s in (store, other))
            assert [t.template for t in mine] == [t.template for t in theirs]
            np.testing.assert_allclose([t.quality for t in mine], [t.quality for t in theirs])


def test_people_who_are_there_are_replaced_only_on_demand(
    tmp_path: Path, store: GalleryStore
) -> None:
    fill(store)
    file = tmp_path / "out.jsonl"
    export_gallery(store, SPACE, file, None)
    put(store, ALICE, 7, name="Changed")
    with pytest.raises(GalleryError, match=rf"out.jsonl:2: {ALICE} is in the gallery already"):
        import_gallery(store, SPACE, file, None)
    done = import_gallery(store, SPACE, file, None, replace=True)
    assert (done.added, done.replaced) == (0, 2)
    person = store.person(ALICE)
    assert person is not None
    assert person.display_name == "Ålice"


def test_a_foreign_space_is_refused(tmp_path: Path, store: GalleryStore) -> None:
    fill(store)
    export_gallery(store, SPACE, tmp_path / "out", None)
    with pytest.raises(GalleryError, match=r"out:1: the templates are of another model"):
        import_gallery(store, OTHER_SPACE, tmp_path / "out", None)


@pytest.mark.parametrize(
    ("key", "message"),
    [(None, "1: the file is encrypted"), (bytes(31) + b"x", "2: it was changed")],
)
def test_an_encrypted_file_needs_its_key(
    tmp_path: Path, store: GalleryStore, key: bytes | None, message: str
) -> None:
    fill(store)
    export_gallery(store, SPACE, tmp_path / "out", EXPORT_KEY)
    with GalleryStore(tmp_path / "other", KEY) as other:
        with pytest.raises(GalleryError, match=f"out:{message}"):
            import_gallery(other, SPACE, tmp_path / "out", key)
        assert other.count() == 0


def resummed(lines: list[str]) -> list[str]:
    """With a checksum that fits, as somebody who edits the file would make it."""
    trailer = json.loads(lines[-1])
    trailer["people"] = len(lines) - 2
    trailer["sha256"] = hashlib.sha256("".join(lines[:-1]).encode()).hexdigest()
    return [*lines[:-1], json.dumps(trailer) + "\n"]


def edited(line: str, **fields: object) -> str:
    return json.dumps({**json.loads(line), **fields}) + "\n"


def in_template(line: str, **fields: object) -> str:
    content = json.loads(line)
    content["templates"][0].update(fields)
    return json.dumps(content) + "\n"


Edit = Callable[[list[str]], list[str]]
PLAIN_EDITS: list[tuple[str, Edit, str]] = [
    ("empty", lambda x: [], "1: the file is cut off"),
    ("no trailer", lambda x: x[:-1], "4: the file is cut off"),
    ("half a trailer", lambda x: [*x[:-1], x[-1][:20]], "4: no JSON"),
    ("more after the end", lambda x: [*x, "{}\n"], "5: there is more after the end"),
    ("changed name", lambda x: [x[0], x[1].replace("lice", "lixe"), *x[2:]], "4: the checksum"),
    ("lost line", lambda x: [x[0], *x[2:]], "3: the checksum"),
    ("wrong count", lambda x: [*x[:-1], edited(x[-1], people=7)], "4: 2 people instead of 7"),
    ("twice", lambda x: resummed([x[0], x[1], x[1], x[-1]]), f"3: {ALICE} appears twice"),
    ("no header", lambda x: x[1:], "1: not an export"),
    ("no text", lambda x: ["\x89PNG\n", *x[1:]], "1: not an export"),
    ("version", lambda x: [edited(x[0], version=2), *x[1:]], "1: version 2"),
    ("list", lambda x: [x[0], "[]\n", *x[2:]], "2: no JSON object"),
    ("deep", lambda x: [x[0], "[" * 100_000 + "\n", *x[2:]], "2: "),
    ("long", lambda x: [x[0], " " * (1 << 20) + "{}\n", *x[2:]], "2: the line is longer"),
    ("id", lambda x: [x[0], edited(x[1], person_id="alice"), *x[2:]], "2: 'alice' is no person"),
    ("name", lambda x: [x[0], edited(x[1], display_name=7), *x[2:]], "2: display_name is not"),
    ("time", lambda x: [x[0], edited(x[1], valid_to_s="x"), *x[2:]], "2: valid_to_s is not a num"),
    ("huge", lambda x: [x[0], edited(x[1], created_s=10**400), *x[2:]], "2: "),
    ("none", lambda x: [x[0], edited(x[1], templates=[]), *x[2:]], "2: .* has no templates"),
    (
        "codes",
        lambda x: [x[0], in_template(x[1], codes="AAAA"), *x[2:]],
        "2: an embedding or",
    ),
    ("base64", lambda x: [x[0], in_template(x[1], codes="é"), *x[2:]], "2: codes is not base64"),
    ("scale", lambda x: [x[0], in_template(x[1], scale=-1), *x[2:]], "2: template scale"),
    ("no scale", lambda x: [x[0], in_template(x[1], scale=None), *x[2:]], "2: a template lacks"),
    ("quality", lambda x: [x[0], in_template(x[1], quality=2), *x[2:]], "2: a template's quality"),
]


@pytest.mark.parametrize(
    ("edit", "message"), [pytest.param(edit, text, id=name) for name, edit, text in PLAIN_EDITS]
)
def test_a_faulty_file_is_refused_with_its_line_and_imports_nobody(
    tmp_path: Path, store: GalleryStore, edit: Edit, message: str
) -> None:
    fill(store)
    file = tmp_path / "out"
    export_gallery(store, SPACE, file, None)
    file.write_text("".join(edit(file.read_text().splitlines(keepends=True))))
    with GalleryStore(tmp_path / "other", KEY) as other:
        with pytest.raises(GalleryError, match=rf"out:{message}.*nothing was imported"):
            import_gallery(other, SPACE, file, None)
        assert (other.count(), other.position().changes) == (0, 0)


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        pytest.param(lambda x: resummed([x[0], x[2], x[-1]]), 3, id="line left out"),
        pytest.param(lambda x: resummed([x[0], x[2], x[1], x[-1]]), 4, id="order changed"),
        pytest.param(
            lambda x: resummed(
                [x[0], edited(x[1], sealed=json.loads(x[2])["sealed"]), x[2], x[-1]]
            ),
            2,
            id="persons swapped",
        ),
        pytest.param(lambda x: resummed([edited(x[0], export="0"), *x[1:]]), 2, id="other export"),
        pytest.param(
            lambda x: resummed([edited(x[0], encrypted=False), *x[1:]]), 2, id="called plain"
        ),
    ],
)
def test_an_encrypted_file_cannot_be_edited_even_with_a_fitting_checksum(
    tmp_path: Path, store: GalleryStore, edit: Edit, line: int
) -> None:
    fill(store)
    file = tmp_path / "out"
    export_gallery(store, SPACE, file, EXPORT_KEY)
    file.write_text("".join(edit(file.read_text().splitlines(keepends=True))))
    with GalleryStore(tmp_path / "other", KEY) as other:
        with pytest.raises(GalleryError, match=f"out:{line}: "):
            import_gallery(other, SPACE, file, EXPORT_KEY)
        assert other.count() == 0


def test_an_export_of_damaged_data_fails_and_leaves_no_file(
    tmp_path: Path, store: GalleryStore
) -> None:
    fill(store)
    store._connection().execute("UPDATE people SET body = x'00' WHERE person_id = ?", (BOB,))
    with pytest.raises(DamagedRowError, match=BOB):
        export_gallery(store, SPACE, tmp_path / "out", None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_a_place_that_cannot_be_written_or_read_is_named(
    tmp_path: Path, store: GalleryStore
) -> None:
    with pytest.raises(StateError, match="cannot write the export"):
        export_gallery(store, SPACE, tmp_path / "none" / "out", None)
    with pytest.raises(StateError, match="cannot read the export"):
        import_gallery(store, SPACE, tmp_path / "none", None)
