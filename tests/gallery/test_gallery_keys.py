from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from edgeface.base.errors import GalleryError, StateError
from edgeface.gallery.cipher import DamagedRowError, RowCipher
from edgeface.gallery.key_file import CREDENTIAL, KEY_NAME, key_path, load_key


def test_an_absent_key_is_made_private_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "gallery.key"
    key = load_key(path, create=True)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path, create=False) == key
    assert [entry.name for entry in path.parent.iterdir()] == ["gallery.key"]


def test_two_who_make_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    path, keys = tmp_path / "gallery.key", []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        keys.append(load_key(path, create=True))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_missing_key_of_an_existing_gallery_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="key is missing"):
        load_key(tmp_path / "gallery.key", create=False)
    assert not (tmp_path / "gallery.key").exists()


@pytest.mark.parametrize("content", [bytes(range(200, 232)), b"c8" * 32 + b"\n", b"C8" * 32])
def test_raw_and_hexadecimal_keys_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    path.chmod(0o400)
    assert len(load_key(path, create=False)) == 32


@pytest.mark.parametrize("content", [b"", b"short\n", b"g0" * 32, b"c8" * 31, b"\0" * 33])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(GalleryError, match="no key of 32 bytes"):
        load_key(path, create=True)


def test_a_key_that_others_may_read_or_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_bytes(bytes(32))
    path.chmod(0o604)
    with pytest.raises(StateError, match="chmod 600"):
        load_key(path, create=False)


def test_a_folder_in_place_of_the_key_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot read"):
        load_key(tmp_path, create=True)


def test_the_key_comes_from_the_setting_then_the_credential_then_the_state(tmp_path: Path) -> None:
    credentials, state = tmp_path / "credentials", tmp_path / "state"
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert key_path(None, state, environment) == state / KEY_NAME
    credentials.mkdir()
    (credentials / CREDENTIAL).write_bytes(bytes(32))
    assert key_path(None, state, environment) == credentials / CREDENTIAL
    assert key_path(tmp_path / "mine", state, environment) == tmp_path / "mine"


@pytest.mark.parametrize("key", [None, bytes(32)], ids=["plain", "encrypted"])
def test_a_row_opens_only_where_it_was_sealed_and_unchanged(key: bytes | None) -> None:
    cipher = RowCipher(key)
    sealed = cipher.seal(b"secret", "people", "p_a11ce00000")
    assert cipher.open(sealed, "people", "p_a11ce00000") == b"secret"
    assert (b"secret" in sealed) == (key is None)
    for place in [("people", "p_b0b0000000"), ("templates", "p_a11ce00000"), ("people",)]:
        with pytest.raises(DamagedRowError):
            cipher.open(sealed, *place)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(DamagedRowError):
            cipher.open(bytes(changed), "people", "p_a11ce00000")
    with pytest.raises(DamagedRowError):
        cipher.open(b"", "people", "p_a11ce00000")


def test_the_same_row_is_sealed_differently_each_time() -> None:
    cipher = RowCipher(bytes(32))
    assert len({cipher.seal(b"secret", "people")[:12] for _ in range(100)}) == 100


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(GalleryError, match="32 bytes"):
        RowCipher(bytes(16))
