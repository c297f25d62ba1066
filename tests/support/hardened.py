"""The broker configuration that ships, run as it is: only ports, paths and its system user change.

And a client of it that notes every answer: PUBACK reasons, SUBACK reasons, what arrives.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeface.base.errors import BrokerError
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.localbroker import LocalBroker, find_mosquitto, free_port
from edgeface.mqtt.options import ConnectionOptions, new_client
from edgeface.security.certificates import Authority
from edgeface.security.roles import User
from edgeface.settings.places import shipped

TIMEOUT_S = 10.0
SHIPPED = shipped("config", "mosquitto")
NOT_AUTHORIZED = 0x87


class HardenedBroker(LocalBroker):
    """mosquitto with `config/mosquitto/`, its files in `folder`/etc as on a machine in /etc.

    `passwords` adds the listener of conf.d/passwords.conf, on `password_port`.
    """

    def __init__(self, folder: Path, authority: Path, *, passwords: Path | None = None) -> None:
        super().__init__(folder)
        self.password_port = 0
        self._etc, self._passwords = folder / "etc", passwords
        (self._etc / "certs").mkdir(parents=True)
        (self._etc / "conf.d").mkdir()
        (folder / "var").mkdir()
        self.authority = authority
        shutil.copy(SHIPPED / "acl", self.acl)
        if passwords is not None:
            shutil.copy(passwords, self._etc / "passwords")
            self.password_port = free_port()
            text = (SHIPPED / "conf.d" / "passwords.conf").read_text()
            placed = self._placed(text, 8884, self.password_port)
            (self._etc / "conf.d" / "passwords.conf").write_text(placed)

    @property
    def acl(self) -> Path:
        return self._etc / "acl"

    @property
    def certs(self) -> Path:
        return self._etc / "certs"

    def install(self) -> None:
        """Copy to the broker what an administrator copies."""
        for name in ("ca.pem", "broker.pem", "broker.key", "revoked.pem"):
            shutil.copy(self.authority / name, self.certs / name)

    def reload(self) -> None:
        """SIGHUP. It is worked a moment later, and nothing tells when."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def _configuration(self) -> list[str]:
        self.install()
        text = self._placed((SHIPPED / "mosquitto.conf").read_text(), 8883, self.port)
        return [*text.splitlines(), *(["user root"] if os.geteuid() == 0 else [])]

    def _placed(self, text: str, from_port: int, to_port: int) -> str:
        assert text.count(f"\nlistener {from_port}\n") == 1
        return (
            text.replace(f"\nlistener {from_port}\n", f"\nlistener {to_port} {self.host}\n")
            .replace("/etc/mosquitto/", f"{self._etc}/")
            .replace("/etc/mosquitto\n", f"{self._etc}\n")
            .replace("/var/lib/mosquitto/", f"{self._folder / 'var'}/")
        )


def make_authority(folder: Path, *users: str) -> Path:
    """An authority with a broker's certificate for the loopback and one for each user."""
    authority = Authority.create(folder, days=30)
    authority.issue_broker(["127.0.0.1", "localhost"], days=10)
    for user in users:
        authority.issue_client(User.parse(user), days=10)
    return folder


def set_password(passwords: Path, user: str, password: str) -> None:
    """What an administrator does with mosquitto_passwd."""
    program = shutil.which("mosquitto_passwd", path=f"{os.environ['PATH']}:/usr/bin:/usr/sbin")
    assert program is not None, f"beside {find_mosquitto()}"
    create = [] if passwords.exists() else ["-c"]
    subprocess.run([program, *create, "-b", str(passwords), user, password], check=True)


def certified(broker: HardenedBroker, user: str, **others: Any) -> ConnectionOptions:
    """How `user` connects with a certificate."""
    folder = broker.authority
    known: dict[str, Any] = {
        "host": broker.host,
        "port": broker.port,
        "client_id": "chosen-by-the-client",
        "tls": True,
        "ca_file": folder / "ca.pem",
        "cert_file": folder / f"{user}.pem",
        "key_file": folder / f"{user}.key",
    }
    return ConnectionOptions(**{**known, **others})


def connect(options: ConnectionOptions) -> None:
    """As the daemon does, and away again. Raises BrokerError."""
    connection = Connection(options)
    connection.open()
    connection.close()


def refusal(options: ConnectionOptions) -> str:
    """The one line of the error."""
    with pytest.raises(BrokerError) as caught:
        connect(options)
    text = str(caught.value)
    assert "\n" not in text
    return text


class Caller:
    """One user of the broker. `publish` returns the PUBACK's reason, `got` what arrived."""

    def __init__(
        self, options: ConnectionOptions, *, will: str | None = None, session_expiry_s: int = 0
    ) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.connack: int | None = None
        self._answers: dict[int, int] = {}
        self._granted: dict[int, list[int]] = {}
        self._over = False
        self._changed = threading.Condition()
        self._options = options
        self._session_expiry_s = session_expiry_s
        self._client = new_client(options)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        if will is not None:
            self._client.will_set(will, b"will", qos=1)

    def __enter__(self) -> Self:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._session_expiry_s
        self._client.connect(
            self._options.host,
            self._options.port,
            10,
            clean_start=self._session_expiry_s == 0,
            properties=properties,
        )
        self._client.loop_start()
        self.wait(lambda: self.connack is not None)
        assert self.connack == 0
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, *filters: str) -> list[int]:
        """The SUBACK's reasons."""
        _, mid = self._client.subscribe([(item, 1) for item in filters])
        assert mid is not None
        self.wait(lambda: mid in self._granted)
        return self._granted[mid]

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> int:
        """Send with QoS 1; the PUBACK's reason."""
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        self.wait(lambda: sent.mid in self._answers)
        return self._answers[sent.mid]

    def crash(self) -> None:
        """End without DISCONNECT."""
        sock = self._client.socket()
        assert sock is not None
        sock.shutdown(2)
        self.wait(lambda: self._over)

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, TIMEOUT_S), self.got

    def _note(self, note: Callable[[], object]) -> None:
        with self._changed:
            note()
            self._changed.notify_all()

    def _on_connect(self, _c: Any, _d: Any, _f: Any, reason: Any, _p: Any) -> None:
        self._note(lambda: setattr(self, "connack", reason.value))

    def _on_disconnect(self, *_: Any) -> None:
        self._note(lambda: setattr(self, "_over", True))

    def _on_publish(self, _c: Any, _d: Any, mid: int, reason: Any, _p: Any) -> None:
        self._note(lambda: self._answers.__setitem__(mid, reason.value))

    def _on_subscribe(self, _c: Any, _d: Any, mid: int, reasons: Any, _p: Any) -> None:
        self._note(lambda: self._granted.__setitem__(mid, [item.value for item in reasons]))

    def _on_message(self, _c: Any, _d: Any, message: mqtt.MQTTMessage) -> None:
        self._note(lambda: self.got.append((message.topic, message.payload)))


def resign(folder: Path, name: str, not_before: datetime, not_after: datetime) -> None:
    """Give the certificate `name` other dates, signed by the authority of the folder."""
    old = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, old.public_key(), old.serial_number, not_before, not_after
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
