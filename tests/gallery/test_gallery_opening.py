from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from edgeface.base.errors import GalleryError
from edgeface.gallery.database import GalleryCorruptError
from edgeface.gallery.key_file import CREDENTIAL
from edgeface.gallery.opening import (
    gallery_key,
    last_set_aside,
    open_gallery,
    open_or_replace,
)
from edgeface.gallery.store import GalleryStore
from edgeface.settings.loading import load_settings
from edgeface.settings.tree import Settings
from tests.support.gallery import ALICE, put


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))


def settings(folder: Path, gallery: str = "{}") -> Settings:
    path = folder / "edgeface.yaml"
    path.write_text(
        "site: hq\ndevice: door-1\nstate_dir: state\n"
        f"camera: {{source: images, folder: .}}\ngallery: {gallery}\n"
    )
    return load_settings(path)


def test_the_first_opening_makes_key_and_gallery(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    with open_gallery(configured) as store:
        put(store, ALICE, 1)
    with pytest.raises(GalleryError, match="the gallery is encrypted"):
        GalleryStore(configured.gallery_file, None)
    assert {"gallery.key", "gallery.sqlite"} <= {
        entry.name for entry in (tmp_path / "state").iterdir()
    }
    with open_or_replace(configured) as store:
        assert store.ids() == (ALICE,)


def test_no_key_is_made_where_encryption_is_off(tmp_path: Path) -> None:
    configured = settings(tmp_path, "{encrypt: false}")
    with open_gallery(configured):
        pass
    GalleryStore(configured.gallery_file, None).close()
    assert gallery_key(configured) is None
    assert not (tmp_path / "state" / "gallery.key").exists()


def test_the_key_may_be_a_systemd_credential(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / CREDENTIAL).write_text("ab" * 32)
    (tmp_path / "credentials" / CREDENTIAL).chmod(0o440)
    configured = settings(tmp_path)
    assert gallery_key(configured) == b"\xab" * 32
    with open_gallery(configured):
        pass
    assert not (tmp_path / "state" / "gallery.key").exists()


def test_a_lost_key_does_not_become_a_new_one(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    with open_gallery(configured):
        pass
    (tmp_path / "state" / "gallery.key").unlink()
    with pytest.raises(GalleryError, match="key is missing"):
        open_or_replace(configured)


@pytest.mark.parametrize(
    ("source", "way_out"), [("local", "gallery import"), ("fleet", "fetched again from the broker")]
)
def test_a_damaged_gallery_is_told_to_people_and_replaced_for_the_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str, way_out: str
) -> None:
    configured = settings(tmp_path, f"{{source: {source}}}")
    with open_gallery(configured):
        pass
    configured.gallery_file.write_bytes(b"no database" * 1000)
    with pytest.raises(GalleryCorruptError, match=way_out), open_gallery(configured):
        pass
    assert not configured.gallery_file.exists()
    configured.gallery_file.write_bytes(b"no database" * 1000)
    with caplog.at_level(logging.ERROR):
        store = open_or_replace(configured)
    with store:
        assert store.ids() == ()
    aside = last_set_aside(configured)
    assert aside is not None
    assert aside.read_bytes() == b"no database" * 1000
    assert way_out in caplog.text
    assert len(list((tmp_path / "state").glob("*.corrupt-*"))) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_owner_of_the_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 12345, 12345)
    with open_gallery(settings(tmp_path)) as store:
        put(store, ALICE, 1)
        owners = {entry.name: entry.stat().st_uid for entry in state.iterdir()}
    assert owners == dict.fromkeys(
        ("gallery.key", "gallery.sqlite", "gallery.sqlite-wal", "gallery.sqlite-shm"), 12345
    )
