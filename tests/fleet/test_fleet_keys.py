"""Keys, bundles, rotation, and the site folder."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from edgeface.base.errors import BadIdError, BrokerError, GalleryError, SettingsError, StateError
from edgeface.cli.main import main
from edgeface.fleet.admin.devices import Extras, add_device, registered, remove_device
from edgeface.fleet.admin.ledger import Ledger
from edgeface.fleet.admin.master import Master
from edgeface.fleet.admin.site import SiteFolder, key_file, make_keys
from edgeface.fleet.protocol.floor import Floor
from edgeface.fleet.protocol.keyring import KeyRing
from edgeface.fleet.protocol.terms import Version
from edgeface.gallery.people import find_people
from edgeface.security.keys import SigningKey
from edgeface.settings.loading import load_settings
from tests.support.fleet_site import (
    PASSPHRASE,
    BreakingBroker,
    FleetSite,
    counts,
    new_site,
    person_id,
    quick_broker,
    ring_of,
    seen,
)


class TestKeys:
    def test_keys_and_galleries_are_for_the_owner_alone(self, site: FleetSite) -> None:
        site.add_device("door-1")
        private = [
            path
            for path in site.path.rglob("*")
            if path.is_file() and (path.suffix == ".key" or path.suffix == ".sqlite")
        ]
        assert len(private) == 5 + 2 + 2
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}

    def test_the_administrators_key_needs_its_passphrase(self, site: FleetSite) -> None:
        site.put({1: [1]})
        with site.fleet() as fleet, pytest.raises(StateError, match="passphrase"):
            fleet.publish(lambda: b"wrong horse")
        assert not site.retained()
        (path,) = site.folder.keys.glob("administrator-*.key")
        assert SigningKey.load(path, PASSPHRASE).kid in path.name
        path.chmod(0o644)
        with pytest.raises(StateError, match="chmod 600"):
            SigningKey.load(path, PASSPHRASE)
        with pytest.raises(StateError, match="shorter"):
            make_keys(site.folder.keys, b"short")

    def test_a_bundle_holds_what_the_device_needs_and_no_more(self, site: FleetSite) -> None:
        site.publish()
        bundle = site.add_device("door-1")
        names = sorted(
            str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()
        )
        kinds = [name.split("-")[0] for name in names]
        assert kinds == [
            "README.txt",
            "conf.d/30",
            "state/device.key",
            "state/device.key.pub",
            "state/fleet/administrator",
            "state/fleet/encryption",
            "state/fleet/floor.json",
            "state/fleet/sealing.pub",
        ]
        assert "source: fleet" in (bundle / "conf.d" / "30-device.yaml").read_text()
        key = SigningKey.load(bundle / "state" / "device.key")
        assert registered(site.folder)["door-1"].kid == key.kid
        floor = Floor.load(bundle / "state" / "fleet" / "floor.json")
        assert floor.version == Version(1, 1)
        with pytest.raises(StateError, match="there already"):
            site.add_device("door-1")
        remove_device(site.folder, "door-1")
        assert registered(site.folder) == {}
        assert not bundle.exists()
        with pytest.raises(GalleryError, match="no such device"):
            remove_device(site.folder, "door-1")

    def test_the_drop_in_makes_a_configuration_a_devices_own(
        self, site: FleetSite, tmp_path: Path
    ) -> None:
        for name in ("crt", "key"):
            (tmp_path / f"door.{name}").write_text(f"the {name}")
        extras = Extras(
            certificate=tmp_path / "door.crt",
            certificate_key=tmp_path / "door.key",
            state_dir=tmp_path / "state",
        )
        with Ledger(site.folder.ledger_file) as ledger:
            bundle = add_device(site.folder, ledger.state(), "door-7", extras)
        file = bundle / "edgeface.yaml"
        file.write_text(
            "site: x\ndevice: y\ncamera: {source: images, folder: .}\n"
            "mqtt: {host: broker.example.org}\n"
        )
        settings = load_settings(file)
        assert (settings.site, settings.device) == ("hq", "door-7")
        assert settings.gallery.source == "fleet"
        sealing = tmp_path / "state" / "fleet" / "sealing.pub"
        assert settings.commands.administrator_key_file == sealing
        assert settings.mqtt.cert_file == tmp_path / "state" / "mqtt-cert.pem"
        key = bundle / "state" / "mqtt-key.pem"
        assert (key.read_text(), stat.S_IMODE(key.stat().st_mode)) == ("the key", 0o600)

    def test_a_device_may_have_made_its_key_itself(self, site: FleetSite, tmp_path: Path) -> None:
        key = SigningKey.load_or_create(tmp_path / "device.key")
        extras = Extras(public_key=tmp_path / "device.key.pub")
        with Ledger(site.folder.ledger_file) as ledger:
            bundle = add_device(site.folder, ledger.state(), "door-8", extras)
        assert registered(site.folder)["door-8"].kid == key.kid
        assert not (bundle / "state" / "device.key").exists()

    @pytest.mark.parametrize("device", ["123", "true", "null", "1e3", "0x1f", "-", "---"])
    def test_an_id_that_yaml_would_not_take_for_a_text_stays_one(
        self, site: FleetSite, tmp_path: Path, device: str
    ) -> None:
        bundle = site.add_device(device)
        file = bundle / "edgeface.yaml"
        file.write_text("camera: {source: images, folder: .}\n")
        assert load_settings(file).device == device

    def test_a_device_that_could_not_be_added_can_be_added_again(
        self, site: FleetSite, tmp_path: Path
    ) -> None:
        extras = Extras(certificate=tmp_path / "nowhere", certificate_key=tmp_path / "nowhere")
        with Ledger(site.folder.ledger_file) as ledger, pytest.raises(StateError, match="nowhere"):
            add_device(site.folder, ledger.state(), "door-9", extras)
        assert not (site.folder.bundles / "door-9").exists()
        assert site.add_device("door-9").is_dir()

    def test_a_bundle_that_was_never_finished_is_removed_as_the_message_says(
        self, site: FleetSite
    ) -> None:
        half = site.folder.bundles / "door-9" / "state"
        half.mkdir(parents=True)
        (half / "device.key").write_text("a key")
        with pytest.raises(StateError, match="device remove door-9` first"):
            site.add_device("door-9")
        remove_device(site.folder, "door-9")
        assert site.add_device("door-9").is_dir()

    def test_keys_that_could_not_be_deleted_are_not_said_to_be_gone(
        self, site: FleetSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bundle = site.add_device("door-9")

        def refuse(path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("edgeface.fleet.admin.devices.shutil.rmtree", refuse)
        with pytest.raises(StateError, match=f"{bundle}: cannot be deleted: Permission denied"):
            remove_device(site.folder, "door-9")
        assert "door-9" in registered(site.folder)

    def test_only_an_id_names_what_is_removed(self, site: FleetSite, tmp_path: Path) -> None:
        with pytest.raises(BadIdError):
            remove_device(site.folder, "../keys")
        assert site.folder.keys.is_dir()

    def test_a_site_of_digits_is_a_text_as_well(self, site: FleetSite, tmp_path: Path) -> None:
        secret = tmp_path / "passphrase"
        secret.touch(0o600)
        secret.write_text("correct horse")
        folder = tmp_path / "2024"
        arguments = ["fleet", "init", "2024", "-s", str(folder), "--passphrase-file", str(secret)]
        assert main(arguments) == 0
        assert SiteFolder.open(folder).site == "2024"

    def test_a_site_is_not_made_twice(self, site: FleetSite) -> None:
        with pytest.raises(StateError, match="there already"):
            new_site(site.path, site.port)
        with pytest.raises(SettingsError, match="fleet init"):
            SiteFolder.open(site.path / "nowhere")


class TestRekey:
    def test_both_keys_hold_until_the_old_ones_are_dropped(self, site: FleetSite) -> None:
        site.put({1: [1], 2: [2], 3: [3]})
        site.publish()
        site.remove(3)
        site.publish()
        old_ring = ring_of(site)
        bundle = site.folder.bundles / "door-1" / "state" / "fleet"
        before = site.retained()
        floor = Floor.load(bundle / "floor.json")
        with site.fleet() as fleet:
            keys = fleet.prepare_rekey(lambda: b"battery staple")
            with pytest.raises(GalleryError, match="prepared already"):
                fleet.prepare_rekey(lambda: b"battery staple")
        assert site.retained() == before
        both = KeyRing.load(bundle)
        assert both.administrators.keys() == old_ring.administrators.keys() | {keys.signing}
        site.put({4: [4]})
        with site.fleet() as fleet:
            with pytest.raises(StateError, match="passphrase"):
                fleet.rekey(lambda: PASSPHRASE)
            published = fleet.rekey(lambda: b"battery staple")
        assert published.version == Version(2, 3)
        manifest, people = seen(site)
        assert sorted(people) == [person_id(n) for n in (1, 2, 4)]
        assert manifest.signing_key == keys.signing
        assert floor.admit(manifest)
        after = site.retained()
        assert all(before[topic] != after[topic] for topic in before if "/bucket/" not in topic)
        with site.fleet() as fleet:
            fleet.drop_old_keys()
            with pytest.raises(GalleryError, match="no old keys"):
                fleet.drop_old_keys()
        assert KeyRing.load(bundle).administrators.keys() == {keys.signing}
        assert len(list(site.folder.keys.glob("administrator-*"))) == 2
        assert key_file(site.folder.keys, "encryption", keys.encryption).exists()
        site.put({5: [5]})
        with site.fleet() as fleet:
            fleet.publish(lambda: b"battery staple")
        assert person_id(5) in counts(site)
        assert Floor.load(bundle / "floor.json").retired == tuple(sorted(old_ring.administrators))

    @pytest.mark.parametrize("after", [0, 2, 5])
    def test_an_interrupted_rekey_is_finished_by_the_next_publish(
        self, site: FleetSite, after: int
    ) -> None:
        site.put({1: [1], 2: [2]})
        site.publish()
        with site.fleet() as fleet:
            fleet.prepare_rekey(lambda: b"battery staple")
        site.connect = lambda options: BreakingBroker(options, after, noted=False)
        with site.fleet() as fleet, pytest.raises(BrokerError):
            fleet.rekey(lambda: b"battery staple")
        site.connect = quick_broker
        with site.fleet() as fleet, pytest.raises(GalleryError, match="publish` finishes it"):
            fleet.rekey(lambda: b"battery staple")
        with site.fleet() as fleet:
            with pytest.raises(GalleryError, match="not finished"):
                fleet.drop_old_keys()
            assert fleet.publish(lambda: b"battery staple").finished
        assert counts(site) == {person_id(1): [1], person_id(2): [1]}

    def test_it_needs_prepared_keys(self, site: FleetSite) -> None:
        with site.fleet() as fleet, pytest.raises(GalleryError, match="--prepare"):
            fleet.rekey(lambda: PASSPHRASE)


def test_people_are_found_by_id_or_whole_name(site: FleetSite) -> None:
    site.put({1: [1], 2: [2]})
    with Master(site.folder) as master:
        master.update([person_id(2)], {"display_name": "Ann"})
        assert find_people(master.store, ["Ann", person_id(1), "Ann"]) == [
            person_id(2),
            person_id(1),
        ]
        with pytest.raises(GalleryError, match="no such person"):
            find_people(master.store, ["An"])
        master.update([person_id(1)], {"display_name": "Ann"})
        with pytest.raises(GalleryError, match="2 people"):
            find_people(master.store, ["Ann"])


def test_faults_of_the_settings_are_told_with_their_lines(site: FleetSite) -> None:
    file = site.path / "site.yaml"
    file.write_text(file.read_text() + "tombstone_days: 0\nfreshness: 3\n")
    with pytest.raises(ValueError, match="tombstone_days") as caught:
        SiteFolder.open(site.path)
    lines = str(caught.value).splitlines()
    assert [line.split("site.yaml:")[1].split(":")[0] for line in lines] == ["6", "7"]
    assert json.dumps(lines[1]).endswith('freshness: is not a known key"')
