"""How the verbs that talk to a broker are told which one: a configuration, or flags."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeface.base.errors import SettingsError, StateError
from edgeface.base.files import TEXT_FILE_BYTES, read_file

if TYPE_CHECKING:  # so that --help needs neither paho nor cryptography
    from edgeface.mqtt.options import ConnectionOptions


@dataclass(frozen=True, slots=True)
class Place:
    """A broker, and who we are to it."""

    options: ConnectionOptions
    client: str
    """The last word of response topics: the user's name where there is one."""
    site: str | None
    """From the configuration."""


def add_broker_options(parser: argparse.ArgumentParser, default: object = None) -> None:
    """The flags; without any the broker is `localhost`. `default` is what is not given."""
    group = parser.add_argument_group("broker")
    group.add_argument(
        "-c", "--config", type=Path, default=default, metavar="FILE",
        help="take site and broker from this configuration (flags go before it)",
    )  # fmt: skip
    group.add_argument("--host", default=default, help="default: localhost")
    group.add_argument("--port", type=int, default=default, help="8883 with TLS, 1883 without")
    group.add_argument(
        "--tls", choices=("auto", "required", "off"), default=default,
        help="auto, the default: required unless the broker is on this machine",
    )  # fmt: skip
    group.add_argument("--ca", type=Path, default=default, help="authorities (PEM)")
    group.add_argument("--cert", type=Path, default=default, help="our certificate (PEM)")
    group.add_argument("--cert-key", type=Path, default=default, help="its private key (PEM)")
    group.add_argument("--username", default=default)
    group.add_argument("--password-file", type=Path, default=default)
    group.add_argument(
        "--client", default=default, metavar="NAME",
        help="last word of the response topic; default: the user name, or the certificate's "
        "common name, or a random one",
    )  # fmt: skip


def place_of(args: argparse.Namespace) -> Place:
    """Where the flags point to. Raises SettingsError for what does not go together."""
    from pydantic import ValidationError

    from edgeface.mqtt.options import ConnectionOptions
    from edgeface.settings.loading import load_settings
    from edgeface.settings.mqtt import MqttSettings

    values: dict[str, object] = {}
    site = None
    if args.config is not None:
        settings = load_settings(args.config)
        site, values = settings.site, settings.mqtt.model_dump(exclude_unset=True)
    flags = {
        "host": args.host,
        "port": args.port,
        "tls": args.tls,
        "ca_file": args.ca,
        "cert_file": args.cert,
        "key_file": args.cert_key,
        "username": args.username,
        "password_file": args.password_file,
    }
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        section = MqttSettings.model_validate(values)
    except ValidationError as error:
        details = (
            f"{'.'.join(map(str, e['loc'])) or 'broker'}: {e['msg']}" for e in error.errors()
        )
        raise SettingsError("\n".join(details)) from None
    # A broker that gives client ids of its own (by certificate) does not mind an empty one.
    options = ConnectionOptions.from_settings(section, "", 5.0)
    return Place(options, args.client or own_name(section.username, section.cert_file), site)


@contextmanager
def keys_given() -> Iterator[None]:
    """A key that the command line names and that cannot be used is a fault of the command line, as
    the files for the broker are: a StateError becomes a SettingsError."""
    try:
        yield
    except StateError as error:
        raise SettingsError(str(error)) from error


def own_name(username: str | None, certificate: Path | None) -> str:
    """Who we are to the broker: the user, the certificate's common name, or anybody."""
    return username or _common_name(certificate) or f"cli-{secrets.token_hex(6)}"


def _common_name(path: Path | None) -> str | None:
    if path is None:
        return None
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        certificate = x509.load_pem_x509_certificate(read_file(path, TEXT_FILE_BYTES))
    except OSError as error:
        raise SettingsError(f"{path}: cannot read the certificate: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: no certificate in PEM form: {error}") from error
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else None
