"""TLS, certificates and passwords against the broker that ships: what works, and each refusal in
one line that says what to do."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgeface.contract.topics import Topics
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.certificates import Authority
from edgeface.security.keys import SigningKey
from edgeface.security.roles import User
from edgeface.settings.loading import load_settings
from tests.support.door import DoorProcess, pin
from tests.support.hardened import (
    Caller,
    HardenedBroker,
    certified,
    connect,
    make_authority,
    refusal,
    resign,
    set_password,
)
from tests.support.messages import Device

ROOT = Path(__file__).resolve().parents[2]
DEVICE, DOOR, LOG = "device.home.door-1", "door.home.front", "log.home.archive"
TOPICS = Topics("home", "door-1")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("fleet") / "ca", DEVICE, DOOR, LOG)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority of another fleet, with the same names."""
    return make_authority(tmp_path_factory.mktemp("others") / "ca", DEVICE)


@pytest.fixture(scope="module")
def broker(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HardenedBroker]:
    folder = tmp_path_factory.mktemp("broker")
    passwords = folder / "passwords"
    set_password(passwords, DEVICE, "correct horse")
    with HardenedBroker(folder / "broker", authority, passwords=passwords) as found:
        yield found


def test_an_event_goes_from_a_device_to_a_door_and_a_log_each_with_its_certificate(
    broker: HardenedBroker, authority: Path, tmp_path: Path
) -> None:
    (tmp_path / "edgeface.yaml").write_text(f"""
site: home
device: door-1
camera: {{source: v4l2}}
mqtt:
  host: 127.0.0.1
  port: {broker.port}
  tls: required
  ca_file: {authority}/ca.pem
  cert_file: {authority}/{DEVICE}.pem
  key_file: {authority}/{DEVICE}.key
""")
    settings = load_settings(tmp_path / "edgeface.yaml")
    options = ConnectionOptions.from_settings(settings.mqtt, "edgeface-home-door-1", 5.0)
    access = ["--same-clock", "--host", "127.0.0.1", "--port", broker.port, "--tls", "required"]
    access += ["--ca", authority / "ca.pem", "--cert", authority / f"{DOOR}.pem"]
    access += ["--cert-key", authority / f"{DOOR}.key"]
    key = SigningKey.generate()
    device = Device(tmp_path, broker.port, key=key, topics=TOPICS, options=options)
    door = DoorProcess(pin(tmp_path, key), *access, topics=TOPICS)
    with Caller(certified(broker, LOG)) as log, door:
        log.subscribe(f"{TOPICS.base}/#")
        assert door.next("ready")["topic"] == TOPICS.event
        with device:
            device.wait_connected()
            device.see(age_s=0.0)
            assert door.verdict() == "ok"
            log.wait(lambda: bool(log.got))
            assert [topic for topic, _ in log.got] == [TOPICS.event_log]
            # Everything the daemon sends at birth and after is within its rights.
            assert device.presence.alerts == {}


def test_a_user_and_a_password_of_a_credential_are_enough_where_they_are_allowed(
    broker: HardenedBroker, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    password = tmp_path / "edgeface.mqtt-password"
    (tmp_path / "edgeface.yaml").write_text(f"""
site: home
device: door-1
camera: {{source: v4l2}}
mqtt:
  host: localhost
  port: {broker.password_port}
  tls: required
  ca_file: {authority}/ca.pem
  username: {DEVICE}
  password_file: credential:edgeface.mqtt-password
""")
    settings = load_settings(tmp_path / "edgeface.yaml")
    options = ConnectionOptions.from_settings(settings.mqtt, "edgeface-home-door-1", 5.0)
    password.write_text("correct horse\n")
    password.chmod(0o400)
    with Caller(options) as caller:
        assert caller.publish(TOPICS.event) < 0x80
        assert caller.publish(f"{TOPICS.base}/cmd/ping") >= 0x80
    password.chmod(0o600)
    password.write_text("wrong\n")
    where = f"broker localhost:{broker.password_port} refused: Not authorized: wrong user name"
    assert refusal(options) == f"{where} ({DEVICE!r}) or password"
    nobody = replace(options, username=None, password_file=None)
    assert refusal(nobody).endswith("it wants a user and password or a client's certificate")
    # The passwords count for nothing where certificates are asked for.
    password.write_text("correct horse\n")
    assert "certificate" in refusal(replace(options, port=broker.port))


def test_a_broker_under_another_authority_is_refused(broker: HardenedBroker, other: Path) -> None:
    ca_file = other / "ca.pem"
    found = refusal(certified(broker, DEVICE, ca_file=ca_file))
    assert found == (
        f"broker 127.0.0.1:{broker.port}: its certificate is refused: "
        f"it is not signed by an authority in {ca_file}"
    )
    assert "by the authorities of this system" in refusal(certified(broker, DEVICE, ca_file=None))


@pytest.mark.parametrize(
    ("hosts", "dates", "expected"),
    [
        pytest.param(
            ["127.0.0.1"],
            (LONG_AGO, LONG_AGO + timedelta(days=30)),
            "its certificate is refused: it has expired by this machine's clock, which says 20",
            id="expired",
        ),
        pytest.param(
            ["127.0.0.1"],
            (datetime.now(UTC) + timedelta(days=2), datetime.now(UTC) + timedelta(days=9)),
            "it is not valid yet by this machine's clock, which says 20",
            id="not valid yet",
        ),
        pytest.param(["broker.example"], None, "it is not for the name 127.0.0.1", id="name"),
        pytest.param(["192.0.2.7"], None, "it is not for the name 127.0.0.1", id="address"),
        pytest.param(None, None, "it is not a server's", id="a device's certificate"),
    ],
)
def test_a_broker_with_a_wrong_certificate_is_refused(
    tmp_path: Path,
    hosts: list[str] | None,
    dates: tuple[datetime, datetime] | None,
    expected: str,
) -> None:
    folder = tmp_path / "ca"
    made = Authority.create(folder)
    if hosts is not None:
        made.issue_broker(hosts)
    if dates is not None:
        resign(folder, "broker", *dates)
    authority = make_clients(made)
    if hosts is None:
        for ending in ("pem", "key"):
            shutil.copy(folder / f"{DEVICE}.{ending}", folder / f"broker.{ending}")
    with HardenedBroker(tmp_path / "broker", authority) as broker:
        assert expected in refusal(certified(broker, DEVICE))
        arguments = ["--host", "127.0.0.1", "--port", broker.port, "--tls", "required"]
        key = SigningKey.generate()
        with DoorProcess(
            pin(tmp_path, key), *arguments, "--ca", folder / "ca.pem", topics=TOPICS
        ) as door:
            assert expected in door.next("unreachable")["reason"]


def make_clients(made: Authority) -> Path:
    made.issue_client(User.parse(DEVICE), days=10)
    return made.folder


def _spoil(folder: Path, how: str, other: Path) -> None:
    if how == "foreign":
        for ending in ("pem", "key"):
            shutil.copy(other / f"{DEVICE}.{ending}", folder / f"{DEVICE}.{ending}")
    elif how == "expired":
        resign(folder, DEVICE, LONG_AGO, LONG_AGO + timedelta(days=30))
    elif how == "broker's":
        for ending in ("pem", "key"):
            shutil.copy(folder / f"broker.{ending}", folder / f"{DEVICE}.{ending}")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("missing", "it wants a certificate of this client, and there is none"),
        ("foreign", "it does not know the authority of this client's certificate"),
        ("expired", "it says that this client's certificate has expired"),
        ("broker's", "it does not take this certificate for a client's"),
    ],
)
def test_a_client_with_a_wrong_certificate_is_told_what_is_wrong(
    broker: HardenedBroker, authority: Path, other: Path, tmp_path: Path, how: str, expected: str
) -> None:
    folder = tmp_path / "ca"
    shutil.copytree(authority, folder)
    _spoil(folder, how, other)
    options = certified(broker, DEVICE)
    if how == "missing":
        options = replace(options, cert_file=None, key_file=None)
    else:
        options = replace(
            options, cert_file=folder / f"{DEVICE}.pem", key_file=folder / f"{DEVICE}.key"
        )
    # The alert may be lost when the broker closes at once; the certificate is named even then.
    found = refusal(options)
    closed = ("may not accept this client's certificate", "may want a certificate of this client")
    assert expected in found or closed[how == "missing"] in found


def test_a_revoked_certificate_is_refused_and_the_name_can_be_issued_anew(tmp_path: Path) -> None:
    folder = make_authority(tmp_path / "ca", DEVICE, DOOR)
    stolen = tmp_path / "stolen"
    shutil.copytree(folder, stolen)
    with HardenedBroker(tmp_path / "broker", folder) as broker:
        connect(certified(broker, DEVICE))
        made = Authority.open(folder)
        assert made.revoke(DEVICE) == 1
        make_clients(made)
        broker.stop()
        broker.start()
        connect(certified(broker, DEVICE))
        connect(certified(broker, DOOR))
        thief = replace(
            certified(broker, DEVICE),
            cert_file=stolen / f"{DEVICE}.pem",
            key_file=stolen / f"{DEVICE}.key",
        )
        found = refusal(thief)
        assert "revoked" in found or "may not accept this client's certificate" in found


def test_a_renewed_certificate_works_at_the_next_connection_and_the_old_one_until_revoked(
    tmp_path: Path,
) -> None:
    folder = make_authority(tmp_path / "ca", DEVICE)
    before = tmp_path / "before"
    shutil.copytree(folder, before)
    made = Authority.open(folder)
    made.renew(DEVICE, days=5)
    made.renew("broker", days=5)
    with HardenedBroker(tmp_path / "broker", folder) as broker:
        old = replace(
            certified(broker, DEVICE),
            cert_file=before / f"{DEVICE}.pem",
            key_file=before / f"{DEVICE}.key",
        )
        connect(certified(broker, DEVICE))
        connect(old)
        assert made.revoke(DEVICE, replaced_only=True) == 1
        broker.stop()
        broker.start()
        connect(certified(broker, DEVICE))
        assert "certificate" in refusal(old)


def test_two_authorities_overlap_while_a_fleet_moves_from_one_to_the_other(
    tmp_path: Path, authority: Path, other: Path
) -> None:
    both = tmp_path / "both"
    shutil.copytree(authority, both)
    for name in ("ca.pem", "revoked.pem"):
        (both / name).write_bytes((authority / name).read_bytes() + (other / name).read_bytes())
    with HardenedBroker(tmp_path / "broker", both) as broker:
        connect(certified(broker, DEVICE))
        moved = {"cert_file": other / f"{DEVICE}.pem", "key_file": other / f"{DEVICE}.key"}
        connect(replace(certified(broker, DEVICE), **moved))


def test_tls_before_1_2_is_refused(broker: HardenedBroker, authority: Path) -> None:
    context = ssl.create_default_context(cafile=authority / "ca.pem")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((broker.host, broker.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname=broker.host)


def test_tls_where_there_is_none_and_none_where_it_is_wanted(
    broker: HardenedBroker, tmp_path: Path
) -> None:
    plain = replace(
        certified(broker, DEVICE), tls=False, ca_file=None, cert_file=None, key_file=None
    )
    assert refusal(plain).endswith("the connection was closed; it may want TLS")
    with LocalBroker(tmp_path / "plain") as open_broker:
        found = refusal(replace(certified(broker, DEVICE), port=open_broker.port))
        assert "TLS" in found
