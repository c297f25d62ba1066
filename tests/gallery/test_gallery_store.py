from __future__ import annotations

import math
import signal
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeface.base.errors import ClosedError, GalleryError, StateError
from edgeface.gallery.cipher import DamagedRowError
from edgeface.gallery.database import MIGRATIONS, GalleryCorruptError, set_aside
from edgeface.gallery.person import MAX_TEMPLATES, Person, StoredTemplate
from edgeface.gallery.store import GalleryStore
from tests.support.gallery import ALICE, BOB, CAROL, KEY, OTHER_SPACE, SPACE, direction, put, stored


def same(one: tuple[StoredTemplate, ...], other: tuple[StoredTemplate, ...]) -> bool:
    return [(t.template, t.quality, t.created_s) for t in one] == [
        (t.template, t.quality, t.created_s) for t in other
    ]


def break_off(store: GalleryStore, person_id: str) -> None:
    """Begin a change and fail in the middle of it."""
    with store.change() as change:
        change.put_person(Person(CAROL, "Carol"))
        change.remove(person_id)
        raise ZeroDivisionError


def test_what_was_put_is_read_back_after_reopening(path: Path) -> None:
    person = Person(ALICE, "Ålice Ω", 1.5, 2e9, "card 7", 1.7e9)
    templates = (stored(direction(1)), stored(direction(2)))
    with GalleryStore(path, KEY) as store, store.change() as change:
        change.put_person(person)
        change.put_templates(ALICE, SPACE, templates)
        change.put_templates(ALICE, OTHER_SPACE, templates[:1])
    with GalleryStore(path, KEY) as store:
        assert store.person(ALICE) == person
        assert same(store.templates(ALICE, SPACE), templates)
        assert store.spaces() == {SPACE: 2, OTHER_SPACE: 1}
        assert store.spaces(BOB) == {}
        assert (store.ids(), store.count(), ALICE in store) == ((ALICE,), 1, True)
        assert store.person(BOB) is None
        assert store.templates(BOB, SPACE) == ()


def test_the_file_is_private_and_made_as_the_design_says(path: Path, store: GalleryStore) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    put(store, ALICE, 1)
    assert stat.S_IMODE(Path(f"{path}-wal").stat().st_mode) == 0o600
    connection = store._connection()
    pragmas = ("journal_mode", "synchronous", "secure_delete", "busy_timeout", "user_version")
    values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert values == ["wal", 2, 1, 200, len(MIGRATIONS)]


def test_nothing_readable_is_in_an_encrypted_file(path: Path, store: GalleryStore) -> None:
    with store.change() as change:
        change.put_person(Person(ALICE, "Grace Hopper", card="4711471147"))
        change.put_templates(ALICE, SPACE, [stored(direction(1))])
    codes = stored(direction(1)).template.codes.tobytes()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert ALICE.encode() in content
    assert b"Hopper" not in content
    assert b"4711471147" not in content
    assert codes not in content


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize("how", ["remove", "overwrite"])
def test_what_was_erased_is_nowhere_in_the_state_folder(
    path: Path, key: bytes | None, how: str
) -> None:
    with GalleryStore(path, key) as store:
        put(store, BOB, *range(50, 70))
        put(store, ALICE, 1, 2, name="Grace Hopper")
        rows = store._connection().execute(
            "SELECT body FROM people WHERE person_id = ?1 UNION ALL "
            "SELECT body FROM templates WHERE person_id = ?1",
            (ALICE,),
        )
        traces = [row[0][12:] for row in rows]
        traces += [stored(direction(n)).template.codes.tobytes() for n in (1, 2)]
        files = list(path.parent.iterdir())
        assert any(trace in b"".join(f.read_bytes() for f in files) for trace in traces)
        with store.change() as change:
            if how == "remove":
                assert change.remove(ALICE)
            else:
                change.put_person(Person(ALICE, "Somebody Else"))
                change.put_templates(ALICE, SPACE, [stored(direction(3))])
        assert not store.erasure_pending
        content = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert not [trace for trace in traces if trace in content]
        assert b"Hopper" not in content
        assert same(store.templates(BOB, SPACE), tuple(stored(direction(n)) for n in range(50, 70)))


def test_an_erasure_held_up_by_a_reader_is_finished_by_the_next_opening(
    path: Path, store: GalleryStore
) -> None:
    put(store, ALICE, 1)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM people").fetchone()
    with store.change() as change:
        change.remove(ALICE)
    assert store.erasure_pending
    assert Path(f"{path}-wal").stat().st_size > 0
    reader.execute("ROLLBACK")
    with GalleryStore(path, KEY):
        assert Path(f"{path}-wal").stat().st_size == 0
    assert store.scrub()
    assert not store.erasure_pending
    reader.close()


def test_a_change_that_raises_leaves_no_trace(store: GalleryStore) -> None:
    put(store, ALICE, 1)
    before = store.position()
    with pytest.raises(ZeroDivisionError):
        break_off(store, ALICE)
    assert store.ids() == (ALICE,)
    assert store.position() == before


def test_changes_are_counted_and_a_fleet_sets_its_own_position(store: GalleryStore) -> None:
    assert (store.position().epoch, store.position().revision) == (0, 0)
    put(store, ALICE, 1)
    put(store, BOB, 2)
    assert (store.position().revision, store.position().changes) == (2, 2)
    with store.change() as change:
        assert not change.remove(CAROL)
    assert store.position().changes == 2
    for _ in range(2):
        with store.change() as change:
            change.set_position(3, 318)
    position = store.position()
    assert (position.epoch, position.revision, position.changes) == (3, 318, 4)


def test_no_templates_of_a_person_take_the_row_away(store: GalleryStore) -> None:
    put(store, ALICE, 1)
    with store.change() as change:
        change.put_templates(ALICE, SPACE, [])
    assert store.spaces() == {}
    assert store.count() == 1


def test_templates_need_a_person_and_have_a_limit(store: GalleryStore) -> None:
    with pytest.raises(GalleryError, match="no such person"), store.change() as change:
        change.put_templates(ALICE, SPACE, [stored(direction(1))])
    with pytest.raises(GalleryError, match="at most 32"):
        put(store, ALICE, *range(MAX_TEMPLATES + 1))
    assert store.count() == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"person_id": "alice"}, "no person id", id="id"),
        pytest.param({"display_name": ""}, "display name", id="empty name"),
        pytest.param({"display_name": "a\nb"}, "display name", id="line break"),
        pytest.param({"display_name": "x" * 129}, "display name", id="long name"),
        pytest.param({"card": " "}, "card", id="card"),
        pytest.param({"valid_from_s": 2.0, "valid_to_s": 2.0}, "ends before", id="window"),
        pytest.param({"valid_to_s": math.nan}, "not a number", id="nan"),
        pytest.param({"created_s": math.inf}, "not finite", id="created"),
    ],
)
def test_a_person_that_cannot_be_stored_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(GalleryError, match=message):
        Person(**{"person_id": ALICE, **fields})  # type: ignore[arg-type]


def test_a_wrong_key_is_told_and_changes_nothing(path: Path, store: GalleryStore) -> None:
    put(store, ALICE, 1)
    store.close()
    for key, message in [
        (bytes(32), "key does not fit"),
        (None, "is encrypted, but no key"),
    ]:
        with pytest.raises(GalleryError, match=message):
            GalleryStore(path, key)
    with GalleryStore(path, KEY) as again:
        assert again.ids() == (ALICE,)


def test_a_key_for_a_plain_gallery_is_told(path: Path) -> None:
    GalleryStore(path, None).close()
    with pytest.raises(GalleryError, match="is not encrypted, but a key"):
        GalleryStore(path, KEY)


def test_a_file_that_is_no_database_is_damaged_and_set_aside_whole(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(GalleryCorruptError, match="damaged"):
        GalleryStore(path, KEY)
    at = datetime(2026, 11, 21, 16, 51, 39, tzinfo=UTC)
    aside = set_aside(path, at)
    assert aside.name == "gallery.sqlite.corrupt-20261121T165139Z"
    assert aside.read_bytes() == b"no database" * 1000
    GalleryStore(path, KEY).close()
    assert set_aside(path, at).name == "gallery.sqlite.corrupt-20261121T165139Z-2"


def test_damage_in_the_middle_of_the_file_is_noticed_when_opened(path: Path) -> None:
    with GalleryStore(path, KEY) as store:
        for number in range(40):
            put(store, f"p_{number:010d}", *range(8))
    content = bytearray(path.read_bytes())
    content[8192:16384] = bytes([0xFF]) * 8192
    path.write_bytes(content)
    with pytest.raises(GalleryCorruptError, match="damaged"):
        GalleryStore(path, KEY)


def test_a_damaged_row_hides_one_person_and_can_be_removed(store: GalleryStore) -> None:
    put(store, ALICE, 1)
    put(store, BOB, 2)
    store._connection().execute(
        "UPDATE templates SET body = (SELECT body FROM templates WHERE person_id = ?)"
        " WHERE person_id = ?",
        (ALICE, BOB),
    )
    index, damaged = store.load(SPACE)
    assert index.people == (ALICE,)
    assert damaged == (BOB,)
    with pytest.raises(DamagedRowError, match=BOB):
        store.templates(BOB, SPACE)
    with store.change() as change:
        assert change.remove(BOB)
    assert store.load(SPACE)[1] == ()


def test_a_gallery_of_a_newer_edgeface_is_left_alone(path: Path) -> None:
    GalleryStore(path, KEY).close()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE something_newer (x)")
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(GalleryError, match="newer edgeface"):
        GalleryStore(path, KEY)


def test_a_gallery_of_the_first_format_is_brought_up_to_date(path: Path) -> None:
    with GalleryStore(path, KEY) as store:
        put(store, ALICE, 1)
    with sqlite3.connect(path) as connection:
        for table in ("fleet", "fleet_records", "fleet_receipts"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with GalleryStore(path, KEY) as store:
        assert store.ids() == (ALICE,)
        with store.reading() as reader:
            assert reader.execute("SELECT erased_epoch, manifest FROM fleet").fetchone() == (
                0,
                None,
            )


def test_a_foreign_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (x)")
    connection.close()
    with pytest.raises(GalleryError, match="no gallery of edgeface"):
        GalleryStore(path, KEY)


def test_a_second_writer_waits_and_then_says_who_is_in_the_way(
    path: Path, store: GalleryStore
) -> None:
    with (
        GalleryStore(path, KEY, busy_timeout_s=0.05) as other,
        store.change(),
        pytest.raises(StateError, match="another process is changing"),
        other.change(),
    ):
        pass
    put(store, ALICE, 1)


def test_a_place_that_cannot_be_written_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError, match="cannot make"):
        GalleryStore(tmp_path / "file" / "gallery.sqlite", KEY)
    with pytest.raises(StateError, match="cannot use"):
        GalleryStore(tmp_path, KEY)


def test_a_closed_store_says_so(path: Path) -> None:
    store = GalleryStore(path, KEY)
    store.close()
    store.close()
    assert "closed" in repr(store)
    with pytest.raises(ClosedError):
        store.ids()
    with pytest.raises(ClosedError), store.change():
        pass


def test_a_writer_killed_at_any_moment_loses_nothing_it_was_told_is_stored(path: Path) -> None:
    program = f"""
from pathlib import Path
from edgeface.gallery.store import GalleryStore
from tests.support.gallery import KEY, put
store = GalleryStore(Path({str(path)!r}), KEY)
for number in range(100000):
    put(store, f"p_{{number:010d}}", number, number + 1)
    print(number, flush=True)
"""
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for _ in range(25):
        last = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    last = max([last, *(int(line) for line in child.stdout if line.endswith("\n"))])
    child.wait()
    with GalleryStore(path, KEY) as store:
        ids = store.ids()
        assert set(ids) >= {f"p_{number:010d}" for number in range(last + 1)}
        assert store.position().changes == len(ids)
        index, _ = store.load(SPACE)
        assert (len(index.people), len(index.matrix)) == (len(ids), 2 * len(ids))


PEOPLE = (ALICE, BOB, CAROL)
ACTIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(PEOPLE), st.lists(st.integers(0, 9), max_size=4)),
    st.tuples(st.just("remove"), st.sampled_from(PEOPLE), st.just([])),
    st.tuples(st.just("reopen"), st.just(""), st.just([])),
    st.tuples(st.just("fail"), st.sampled_from(PEOPLE), st.just([])),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=st.lists(ACTIONS, max_size=12), encrypted=st.booleans())
def test_the_store_behaves_like_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[tuple[str, str, list[int]]],
    encrypted: bool,
) -> None:
    path = tmp_path_factory.mktemp("model") / "gallery.sqlite"
    key = KEY if encrypted else None
    expected: dict[str, list[int]] = {}
    store = GalleryStore(path, key)
    for action, person_id, numbers in actions:
        if action == "put":
            put(store, person_id, *numbers)
            expected[person_id] = numbers
        elif action == "remove":
            with store.change() as change:
                assert change.remove(person_id) == (expected.pop(person_id, None) is not None)
        elif action == "fail":
            with pytest.raises(ZeroDivisionError):
                break_off(store, person_id)
        else:
            store.close()
            store = GalleryStore(path, key)
    index, _ = store.load(SPACE)
    assert store.ids() == tuple(sorted(expected))
    owned = {
        person_id: index.matrix.codes[index.owners == number]
        for number, person_id in enumerate(index.people)
    }
    assert set(owned) == {person_id for person_id, numbers in expected.items() if numbers}
    for person_id, codes in owned.items():
        wanted = [stored(direction(n)).template.codes for n in expected[person_id]]
        np.testing.assert_array_equal(codes, wanted)
    store.close()
