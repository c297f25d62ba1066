"""Where and how to connect: identity, TLS and timeouts."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edgeface.mqtt.packets import MAX_PROPERTY_BYTES, BoundedClient
from edgeface.security.tls import client_context, read_password

if TYPE_CHECKING:  # a door without a configuration loads no settings
    from edgeface.settings.mqtt import MqttSettings

MAX_MESSAGE_BYTES: Final = 64 * 1024 + 2 * MAX_PROPERTY_BYTES
"""A packet with the largest message of the contract but for the gallery's, its topic and its
properties."""
MAX_GALLERY_PACKET_BYTES: Final = 1024 * 1024
"""Where the gallery of a site is read as well."""
PROTOCOL_MAX_INFLIGHT: Final = 65_535
"""The Receive Maximum of a broker that names none (MQTT 5.0, section 3.2.2.3.3)."""


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Where and how to connect."""

    host: str
    port: int
    client_id: str
    keepalive_s: int = 10
    user_timeout_s: float = 5.0
    """TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged; the validity of events."""
    connect_timeout_s: float = 5.0
    """For TCP and TLS, and again for the CONNACK."""
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    max_packet_bytes: int = MAX_MESSAGE_BYTES
    """Told to the broker, which then sends nothing larger; one that does is left."""
    session_expiry_s: int = 0
    """How long the broker keeps what a listener misses; only for who sends nothing."""

    @classmethod
    def from_settings(
        cls, section: MqttSettings, client_id: str, validity_s: float, *, gallery: bool = False
    ) -> ConnectionOptions:
        """The section `mqtt` of the configuration as options; `gallery`: that of a site is read."""
        return cls(
            host=section.host,
            port=section.port,
            client_id=client_id,
            keepalive_s=min(10, section.keepalive_s),
            user_timeout_s=validity_s,
            tls=section.uses_tls,
            ca_file=section.ca_file,
            cert_file=section.cert_file,
            key_file=section.key_file,
            username=section.username,
            password_file=section.password_file,
            max_packet_bytes=MAX_GALLERY_PACKET_BYTES if gallery else MAX_MESSAGE_BYTES,
        )


def new_client(options: ConnectionOptions) -> BoundedClient:
    """A paho client with identity, TLS and TCP_USER_TIMEOUT set, not connected.

    It does not reconnect by itself: see `connection` for why. Raises BrokerFileError when a
    file that the options name cannot be used.
    """
    client = BoundedClient(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        protocol=mqtt.MQTTv5,
        reconnect_on_failure=False,
        max_packet_bytes=options.max_packet_bytes,
    )
    client.connect_timeout = options.connect_timeout_s
    client.max_inflight_messages_set(PROTOCOL_MAX_INFLIGHT)
    if options.tls:
        client.tls_set_context(client_context(options.ca_file, options.cert_file, options.key_file))
    if options.username is not None:
        path = options.password_file
        # Read for each connection, so that it can be rotated.
        client.username_pw_set(options.username, None if path is None else read_password(path))
    timeout_ms = max(1, round(options.user_timeout_s * 1000))

    def on_socket_open(_client: mqtt.Client, _data: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    client.on_socket_open = on_socket_open
    return client
