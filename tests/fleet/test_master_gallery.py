"""The administrator's gallery is missing, older than what was published, or damaged: nobody is
erased on the devices for it, and nobody comes back."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from edgeface.base.errors import GalleryError, StateError
from edgeface.cli.main import main
from edgeface.fleet.admin.master import Master
from edgeface.gallery.database import GalleryCorruptError
from tests.support.fleet_site import PASSPHRASE, FleetSite, counts, person_id


def prepare(site: FleetSite) -> None:
    with site.fleet() as fleet:
        fleet.prepare_rekey(lambda: PASSPHRASE)


def rekey(site: FleetSite) -> None:
    with site.fleet() as fleet:
        fleet.rekey(lambda: PASSPHRASE)


def test_without_the_gallery_nobody_is_erased_everywhere(site: FleetSite) -> None:
    site.put({1: [1], 2: [2]})
    site.publish()
    before = counts(site)
    prepare(site)
    site.folder.gallery_file.unlink()
    for act in (rekey, FleetSite.publish):
        with pytest.raises(StateError, match=r"missing; .* bring back its newest copy"):
            act(site)
    assert not site.folder.gallery_file.exists()
    site.folder.gallery_file.touch()  # as an interrupted copy leaves it
    with pytest.raises(GalleryError, match=rf"2 people \({person_id(1)}.*published and not in it"):
        rekey(site)
    assert counts(site) == before


def test_with_an_older_copy_of_the_gallery_nobody_who_was_removed_comes_back(
    site: FleetSite, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = site.folder.gallery_file
    old = gallery.with_name("old")
    site.put({1: [1], 2: [2]})
    site.publish()
    shutil.copy(gallery, old)
    site.remove(2)
    site.put({3: [3], 4: [4]})
    site.publish()
    prepare(site)
    shutil.copy(old, gallery)
    expected = (
        rf"2 people \({person_id(3)}, {person_id(4)}\) are published and not in it; "
        rf"1 person \({person_id(2)}\) is in it and not published"
    )
    for act in (rekey, FleetSite.publish):
        with pytest.raises(GalleryError, match=expected):
            act(site)
    assert set(counts(site)) == {person_id(number) for number in (1, 3, 4)}
    # The way out, where there is no newer copy.
    folder = ["--site-dir", str(site.path)]
    assert main(["fleet", "remove", *folder, person_id(2), person_id(4)]) == 0
    assert main(["fleet", "remove", *folder, person_id(9)]) == 2
    site.put({3: [3]})
    rekey(site)
    assert set(counts(site)) == {person_id(1), person_id(3)}
    assert f"removed {person_id(4)}" in capsys.readouterr().out


def test_who_has_lost_all_templates_is_no_stranger_to_the_ledger(site: FleetSite) -> None:
    site.put({1: [1], 2: [2]})
    site.publish()
    site.put({2: []})
    for _ in range(2):
        site.publish()
    assert set(counts(site)) == {person_id(1)}


def test_damage_that_is_met_when_a_page_is_read_has_the_same_way_out(site: FleetSite) -> None:
    def read() -> None:
        with Master(site.folder) as master:
            with sqlite3.connect(site.folder.gallery_file) as connection:
                connection.execute("DELETE FROM position")
            connection.close()
            master.store.position()

    site.put({1: [1]})
    with pytest.raises(GalleryCorruptError, match="position; bring back its newest copy"):
        read()
    site.folder.gallery_file.write_bytes(b"rubbish" * 1000)
    with pytest.raises(GalleryCorruptError, match="bring back its newest copy"):
        Master(site.folder)
