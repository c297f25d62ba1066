"""Every configuration that ships reaches a broker that is set up by what ships."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeface.base.errors import BrokerError
from edgeface.base.messages import FAILURE, Acknowledged, Publication, Signal
from edgeface.contract.topics import Topics
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.localbroker import find_mosquitto, free_port
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.roles import User, acl_file
from edgeface.settings.base import is_loopback
from edgeface.settings.fleet import load_fleet
from edgeface.settings.loading import load_settings
from edgeface.settings.tree import Settings
from tests.support.broker import eventually
from tests.support.hardened import HardenedBroker, connect, make_authority, set_password

CONFIG = Path(__file__).resolve().parents[2] / "config"
SHIPPED: dict[str, Settings] = {
    path.name: load_settings(path)
    for path in (CONFIG / "edgeface.yaml", *CONFIG.glob("examples/*"))
} | {
    f"fleet/{device.path.name}": device.settings
    for device in load_fleet(CONFIG / "fleet").devices
    if device.settings is not None
}
ELSEWHERE = sorted(name for name, found in SHIPPED.items() if not is_loopback(found.mqtt.host))
HERE = sorted(set(SHIPPED) - set(ELSEWHERE))


def user_of(settings: Settings) -> str:
    return f"device.{settings.site}.{settings.device}"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HardenedBroker]:
    """`config/mosquitto`, with a certificate, a password and the rights for each device."""
    folder = tmp_path_factory.mktemp("shipped")
    users = sorted({user_of(SHIPPED[name]) for name in ELSEWHERE})
    for user in users:
        set_password(folder / "passwords", user, "secret")
    (folder / "password").write_text("secret\n")
    (folder / "password").chmod(0o600)
    authority = make_authority(folder / "certs", *users)
    broker = HardenedBroker(folder / "broker", authority, passwords=folder / "passwords")
    broker.acl.write_text(acl_file([User.parse(user) for user in users]))
    with broker:
        yield broker


def placed(settings: Settings, broker: HardenedBroker) -> ConnectionOptions:
    """What the example says, with this broker's name, ports and files for those of the example."""
    authority, user = broker.authority, user_of(settings)
    files: dict[str, Path] = {
        "ca_file": authority / "ca.pem",
        "cert_file": authority / f"{user}.pem",
        "key_file": authority / f"{user}.key",
        "password_file": authority.parent / "password",
    }
    found = ConnectionOptions.from_settings(settings.mqtt, f"edgeface-{settings.device}", 5.0)
    given: dict[str, Any] = {name: file for name, file in files.items() if getattr(found, name)}
    port = {8883: broker.port, 8884: broker.password_port}[found.port]
    return dataclasses.replace(found, host=broker.host, port=port, **given)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_example_with_a_broker_elsewhere_fits_the_shipped_broker(
    broker: HardenedBroker, name: str
) -> None:
    settings = SHIPPED[name]
    connection = Connection(placed(settings, broker))
    connection.open()
    status = Topics(settings.site, settings.device).status
    connection.publish(Publication(status, b"{}", retain=True))
    heard: list[Signal] = []
    eventually(lambda: bool(heard.extend(connection.poll(0.1)) or heard))
    connection.close()
    (answer,) = heard
    assert isinstance(answer, Acknowledged)
    assert answer.reason < FAILURE, "the access list does not let it write its own status"


def test_examples_show_both_ways_of_access() -> None:
    shown = [SHIPPED[name].mqtt for name in ELSEWHERE]
    assert any(mqtt.cert_file for mqtt in shown)
    assert any(mqtt.password_file for mqtt in shown)


@pytest.mark.parametrize("name", HERE)
def test_an_example_with_the_broker_of_this_machine_fits_a_mosquitto_without_a_configuration(
    name: str,
) -> None:
    options = ConnectionOptions.from_settings(SHIPPED[name].mqtt, "edgeface-example", 5.0)
    assert (options.host, options.port, options.tls) == ("localhost", 1883, False)
    options = dataclasses.replace(options, port=free_port())
    command = [str(find_mosquitto()), "-p", str(options.port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _answers(options))
        finally:
            process.terminate()


def _answers(options: ConnectionOptions) -> bool:
    try:
        connect(options)
    except BrokerError:
        return False
    return True
