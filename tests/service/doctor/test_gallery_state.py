"""The gallery as it lies on the disk: damaged, with rows of others, of a fleet that is silent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.base.clock import NS, Clock
from edgeface.base.errors import GalleryError
from edgeface.gallery.opening import open_gallery
from edgeface.inference.package import load_package
from edgeface.service.doctor.finding import Patient
from edgeface.service.doctor.gallery_state import gallery
from edgeface.settings.loading import load_settings
from tests.support.fleet_device import DAY_S, FleetDevice, Times, memory_site
from tests.support.gallery import put
from tests.support.memory_broker import MemoryBroker


def patient(folder: Path, more: str = "") -> Patient:
    file = folder / "edgeface.yaml"
    file.write_text(
        "{site: hq, device: door-1, state_dir: ., camera: {source: images, folder: .}, "
        f"{more}}}\n"
    )
    return Patient(load_settings(file), file)


def test_a_gallery_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    found = gallery(patient(tmp_path))
    assert (found.verdict, "nobody is enrolled yet" in found.detail) == ("ok", True)
    assert not (tmp_path / "gallery.sqlite").exists()


def test_people_of_another_model_and_rows_that_do_not_open_are_told(tmp_path: Path) -> None:
    one = patient(tmp_path)
    assert one.settings is not None
    space = load_package(one.settings.models.embedder).space_id
    with open_gallery(one.settings) as store:
        put(store, "p_aaaaaaaaaa", 1)
        put(store, "p_bbbbbbbbbb", 2)
    found = gallery(one)
    assert found.verdict == "warn"
    assert "2 people without templates of the model in use" in found.detail
    with sqlite3.connect(tmp_path / "gallery.sqlite") as connection:
        connection.execute("UPDATE spaces SET space = ?", (space,))
    found = gallery(one)
    assert found.verdict == "warn"
    assert "2 people with rows that do not open" in found.detail  # the space is sealed with them


def test_a_damaged_gallery_is_told_and_left_where_it_is(tmp_path: Path) -> None:
    one = patient(tmp_path)
    assert one.settings is not None
    with open_gallery(one.settings) as store:
        put(store, "p_aaaaaaaaaa", 1)
    file = tmp_path / "gallery.sqlite"
    content = bytearray(file.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    file.write_bytes(content)
    with pytest.raises(GalleryError, match="damaged"):
        gallery(one)
    assert file.read_bytes() == bytes(content)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[FleetDevice]:
    broker = MemoryBroker()
    site = memory_site(tmp_path / "site", broker)
    (tmp_path / "door").mkdir()
    one = FleetDevice(tmp_path / "door", site, broker, Times(site.now_s), key=None)
    yield one
    one.store.close()


FLEET = "gallery: {source: fleet, encrypt: false, grace_days: 7}"


def test_a_fleets_gallery_that_has_not_come_is_told(device: FleetDevice) -> None:
    found = gallery(patient(device.path, FLEET))
    assert found.verdict == "warn"
    assert "no manifest of the fleet has come yet" in found.detail
    assert "fleet refresh" in found.cure


@pytest.mark.parametrize(
    ("days", "words", "verdict"),
    [
        (0, "manifest 1.1, confirmed until", "ok"),
        (3, "not confirmed since", "warn"),
        (9, "too old since", "fail"),
    ],
)
def test_how_old_a_fleets_gallery_is(
    device: FleetDevice,
    monkeypatch: pytest.MonkeyPatch,
    days: float,
    words: str,
    verdict: str,
) -> None:
    one = patient(device.path, FLEET)
    assert one.settings is not None
    device.site.put({1: [1]}, load_package(one.settings.models.embedder).space_id)
    device.site.publish()
    device.connect()
    device.settle()
    later_ns = round((device.site.now_s + days * DAY_S) * NS)
    monkeypatch.setattr(Clock, "utc_ns", lambda _: later_ns)
    found = gallery(one)
    assert found.verdict == verdict, found
    assert words in found.detail
    assert "1 person, 1 template" in found.detail


def test_a_device_without_the_fleets_keys_is_told(tmp_path: Path) -> None:
    found = gallery(patient(tmp_path, "gallery: {source: fleet}"))
    assert found.verdict == "fail"
    assert found.detail.endswith("no administrator-*.pub")
    assert found.cure == "copy the files that `edgeface fleet device add` made"
