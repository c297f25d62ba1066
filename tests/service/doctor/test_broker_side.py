"""The broker and its access list, with a real mosquitto."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from edgeface.base.errors import BrokerError
from edgeface.contract.topics import Topics
from edgeface.mqtt.localbroker import LocalBroker, free_port
from edgeface.service.doctor.broker_side import broker
from edgeface.service.doctor.finding import Finding, NotTriedError, Patient
from edgeface.settings.loading import load_settings
from tests.support.broker import Witness, running_broker
from tests.support.daemon import write_config
from tests.support.hardened import HardenedBroker, make_authority

DEVICE = "device.hq.door-1"
TOPICS = Topics("hq", "door-1")


def patient(folder: Path, port: int, **mqtt: object) -> Patient:
    file = write_config(folder, port, camera={"source": "images", "folder": "."})
    content = yaml.safe_load(file.read_text())
    content["mqtt"] |= mqtt
    file.write_text(yaml.safe_dump(content))
    return Patient(load_settings(file))


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HardenedBroker]:
    folder = tmp_path_factory.mktemp("hardened")
    authority = make_authority(folder / "authority", "device.home.door-1", "door.home.front")
    (folder / "broker").mkdir()
    with HardenedBroker(folder / "broker", authority) as one:
        yield one


def as_user(folder: Path, one: HardenedBroker, user: str, device: str = "door-1") -> Finding:
    files = {
        "tls": "required",
        "ca_file": f"{one.authority}/ca.pem",
        "cert_file": f"{one.authority}/{user}.pem",
        "key_file": f"{one.authority}/{user}.key",
    }
    file = write_config(
        folder,
        one.port,
        site="home",
        device=device,
        camera={"source": "images", "folder": "."},
        mqtt={"host": one.host, "port": one.port, **files},
    )
    return broker(Patient(load_settings(file)))


def test_the_broker_that_ships_lets_a_device_do_what_it_has_to_and_no_more(
    tmp_path: Path, hardened: HardenedBroker
) -> None:
    found = as_user(tmp_path, hardened, "device.home.door-1")
    assert "with TLS" in found.detail
    assert "the user is device.home.door-1" in found.detail
    assert "may publish what a device has to" in found.detail
    assert "may not give commands" in found.detail
    # Made for ten days, as its authority for thirty.
    assert (found.verdict, found.detail.count("ends on")) == ("warn", 2)


@pytest.mark.parametrize(
    ("user", "device"), [("door.home.front", "door-1"), ("device.home.door-1", "door-2")]
)
def test_a_user_of_another_role_or_device_is_told(
    tmp_path: Path, hardened: HardenedBroker, user: str, device: str
) -> None:
    found = as_user(tmp_path, hardened, user, device)
    assert found.verdict == "fail"
    assert f"the user is {user}, and for" in found.detail
    assert f"this user may not publish edgeface/v1/home/{device}/rsp/doctor" in found.detail
    assert "edgeface certs acl" in found.cure


def test_a_broker_without_an_access_list_is_told(tmp_path: Path) -> None:
    with running_broker(tmp_path / "broker") as one, Witness(one.port) as witness:
        found = broker(patient(tmp_path, one.port))
        witness.wait_on(f"{TOPICS.base}/cmd/doctor/edgeface-doctor", 1)
        published = {(arrival.topic, arrival.message.payload) for arrival in witness.arrivals}
    assert found.verdict == "warn"
    assert "this user may give commands" in found.detail
    own = ("rsp/doctor/edgeface-doctor", "alert/doctor", "cmd/doctor/edgeface-doctor")
    assert published == {(f"{TOPICS.base}/{topic}", b"") for topic in own}
    assert not any(arrival.message.retain for arrival in witness.arrivals)


def test_an_access_list_that_forbids_a_topic_is_told(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic write {TOPICS.base}/rsp/+/+\n")
    acl.chmod(0o600)
    with LocalBroker(tmp_path / "broker", extra=[f"acl_file {acl}"]) as one:
        found = broker(patient(tmp_path, one.port))
    assert found.verdict == "fail"
    assert f"this user may not publish {TOPICS.base}/alert/doctor\n" in found.detail


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    one = patient(tmp_path, free_port())
    with pytest.raises(BrokerError):
        broker(one)
    with pytest.raises(NotTriedError):
        broker(Patient(None))
