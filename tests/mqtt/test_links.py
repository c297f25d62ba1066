"""Bad links and secured ones: half-open connections, TLS, passwords, no broker at all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edgeface.base.clock import Clock
from edgeface.base.errors import BrokerError
from edgeface.base.messages import Acknowledged, Lost, Message, Publication, Subscription
from edgeface.contract.event import parse
from edgeface.door.policy import DoorPolicy
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.localbroker import LocalBroker, find_mosquitto, free_port
from edgeface.mqtt.options import ConnectionOptions
from edgeface.settings.mqtt import MqttSettings
from tests.support.broker import Witness, eventually
from tests.support.hardened import make_authority, set_password
from tests.support.messages import TOPICS, Device
from tests.support.proxy import StallingProxy


def options(broker: LocalBroker, **changes: object) -> ConnectionOptions:
    values = {"host": broker.host, "port": broker.port, "client_id": "test", **changes}
    return ConnectionOptions(**values)  # type: ignore[arg-type]


def exchange(found: ConnectionOptions) -> Message:
    """Connect, subscribe, and get one message of its own back."""
    connection = Connection(found)
    connection.open()
    connection.subscribe([Subscription("a/b")])
    connection.publish(Publication("a/b", b"x" * 50_000))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for signal in connection.poll(0.1):
            if isinstance(signal, Message):
                connection.close()
                return signal
    raise AssertionError("it did not come back")


def test_over_a_half_open_connection_the_log_arrives_and_what_comes_late_opens_nothing(
    broker: LocalBroker, tmp_path: Path
) -> None:
    with (
        Witness(broker.port) as witness,
        StallingProxy(broker.port) as proxy,
        Device(tmp_path, proxy.port, keepalive_s=1) as device,
    ):
        policy = DoorPolicy(TOPICS, device.key.public, Clock(), same_clock=True)
        device.wait_connected()
        device.see(age_s=0.0)  # captured after the door began
        (first,) = witness.wait_on(TOPICS.event, 1)
        assert policy.judge(first.message).open
        eventually(lambda: device.publisher.status.log_delivered == 1)
        proxy.stall()
        device.see(validity_s=2.0)
        (_, log) = witness.wait_on(TOPICS.event_log, 2)
        assert parse(log.message.payload).seq == 2
        proxy.release()
        device.wait_connected()
        device.see()
        verdicts: dict[int, str] = {}
        witness.wait_on(TOPICS.event_log, 3)
        witness.wait(lambda all_: any(b'"seq":3,' in a.message.payload for a in all_))
        for arrival in witness.on(TOPICS.event)[1:]:
            verdicts[parse(arrival.message.payload).seq] = policy.judge(arrival.message).reason
        # The broker drops the old connection for the new one of the same client; if what was held
        # back on it came through all the same, it came too late.
        assert verdicts.pop(2, "stale") == "stale"
        assert verdicts in ({3: "ok"}, {})
        eventually(lambda: device.outbox.status.depth == 0)


def test_a_connection_is_good_for_one_life_only(broker: LocalBroker) -> None:
    connection = Connection(options(broker))
    connection.open()
    mid = connection.publish(Publication("a/b", b"1"))
    signals = connection.poll(5.0)
    while not signals:
        signals = connection.poll(5.0)
    assert isinstance(signals[0], Acknowledged)
    assert signals[0].mid == mid
    broker.kill()
    eventually(lambda: any(isinstance(item, Lost) for item in connection.poll(0.1)))
    assert connection.free == 0
    with pytest.raises(BrokerError, match="over"):
        connection.publish(Publication("a/b", b"1"))
    connection.abort()
    connection.abort()


def test_an_expiry_of_zero_is_never_sent(broker: LocalBroker) -> None:
    connection = Connection(options(broker))
    connection.open()
    with pytest.raises(ValueError, match="for ever"):
        connection.publish(Publication("a/b", b"1", expiry_s=0))
    connection.close()


def test_a_broker_that_is_not_there_is_named() -> None:
    port = free_port()
    connection = Connection(ConnectionOptions("127.0.0.1", port, "test"))
    with pytest.raises(BrokerError, match=f"127.0.0.1:{port}"):
        connection.open()


def test_a_broker_that_never_answers_is_given_up(broker: LocalBroker) -> None:
    with StallingProxy(broker.port) as proxy:
        proxy._open.clear()
        connection = Connection(
            ConnectionOptions("127.0.0.1", proxy.port, "test", connect_timeout_s=0.3)
        )
        with pytest.raises(BrokerError, match="no answer"):
            connection.open()


def test_user_and_password_come_from_a_file(tmp_path: Path) -> None:
    users = tmp_path / "users"
    set_password(users, "device", "secret")
    password = tmp_path / "password"
    password.write_text("secret\nrest\n")
    password.chmod(0o600)
    extra = [f"password_file {users}"]
    with LocalBroker(tmp_path / "broker", extra=["allow_anonymous false", *extra]) as broker:
        good = options(broker, username="device", password_file=password)
        assert exchange(good).topic == "a/b"
        password.write_text("wrong\n")
        with pytest.raises(BrokerError, match=r"refused: .*[Aa]uthori"):
            exchange(good)
    password.unlink()
    with pytest.raises(BrokerError, match="cannot read the broker's password"):
        Connection(good)


def test_tls_with_the_right_authority_works_and_with_another_is_refused(tmp_path: Path) -> None:
    device = "device.hq.door-1"
    authority, stranger = make_authority(tmp_path / "one", device), make_authority(tmp_path / "two")
    extra = [
        f"certfile {authority}/broker.pem",
        f"keyfile {authority}/broker.key",
        f"cafile {authority}/ca.pem",
        "require_certificate true",
    ]
    with LocalBroker(tmp_path / "broker", extra=extra) as broker:
        good = {
            "tls": True,
            "ca_file": authority / "ca.pem",
            "cert_file": authority / f"{device}.pem",
            "key_file": authority / f"{device}.key",
        }
        assert len(exchange(options(broker, **good)).payload) == 50_000
        for bad in ({"ca_file": stranger / "ca.pem"}, {"cert_file": None, "key_file": None}):
            with pytest.raises(BrokerError):
                exchange(options(broker, **{**good, **bad}))
    with pytest.raises(BrokerError, match=r"missing\.pem: cannot be used for TLS"):
        Connection(options(broker, tls=True, ca_file=tmp_path / "missing.pem"))


def test_settings_become_options() -> None:
    section = MqttSettings(host="broker.example", username="door-1")
    found = ConnectionOptions.from_settings(section, "edgeface-hq-door-1", 3.0)
    assert found.tls
    assert (found.port, found.keepalive_s, found.user_timeout_s) == (8883, 10, 3.0)
    assert found.username == "door-1"


def test_a_missing_mosquitto_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(BrokerError, match="apt-get install mosquitto"):
        find_mosquitto()


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"(?s)did not start.*nonsense"):
        LocalBroker(tmp_path, extra=["nonsense 1"]).start()
