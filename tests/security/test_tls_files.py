"""When TLS is on, and each file of it that cannot be used: named, with the reason, in one line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from edgeface.mqtt.options import ConnectionOptions
from edgeface.settings.mqtt import MqttSettings
from tests.support.hardened import make_authority, refusal

DEVICE = "device.home.door-1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("fleet") / "ca", DEVICE)


@pytest.mark.parametrize(
    ("host", "effective"),
    [
        ("broker.example", True),
        ("192.0.2.7", True),
        ("10.0.0.1", True),
        ("localhost.example", True),
        ("127.0.0.1.example", True),
        ("2001:db8::1", True),
        ("0.0.0.0", True),
        ("localhost", False),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("::1", False),
        ("[::1]", False),
    ],
)
def test_tls_is_required_for_every_broker_that_is_not_on_this_machine(
    host: str, effective: bool
) -> None:
    section = MqttSettings(host=host)
    assert section.uses_tls is effective
    assert section.port == (8883 if effective else 1883)
    assert ConnectionOptions.from_settings(section, "x", 5.0).tls is effective
    assert MqttSettings(host=host, tls="required").uses_tls


def encrypt(path: Path) -> None:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )


def spoil_key(path: Path, how: str) -> None:
    match how:
        case "missing":
            path.unlink()
        case "folder":
            path.unlink()
            path.mkdir()
        case "unreadable":
            if os.geteuid() == 0:
                pytest.skip("root may read everything")
            path.chmod(0)
        case "open":
            path.chmod(0o644)
        case "garbage":
            path.write_text("nothing of the kind\n")
        case "binary":
            path.write_bytes(b"\xff\xfe" * 100)
        case "huge":
            path.write_bytes(b"x" * 70_000)
        case "foreign":
            key = path.with_name("broker.key")
            path.write_bytes(key.read_bytes())
        case _:
            encrypt(path)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("missing", "{key}: cannot read the private key: No such file or directory"),
        ("folder", "{key}: cannot read the private key: Is a directory"),
        ("unreadable", "{key}: cannot read the private key: Permission denied"),
        (
            "open",
            (
                "{key}: other users may read or change the private key (mode 0644); "
                "make it private: chmod 600 {key}"
            ),
        ),
        ("garbage", "{cert} with {key}: cannot be used for TLS: no certificate or key in PEM form"),
        ("binary", "{key}: cannot read the private key: no UTF-8"),
        ("huge", "{key}: too large for the private key"),
        (
            "foreign",
            "{cert} with {key}: cannot be used for TLS: the key does not belong to the certificate",
        ),
        (
            "encrypted",
            (
                "{key}: the private key is encrypted, and nobody is there to type its passphrase; "
                "store it without one, as a file of mode 0600 or a credential"
            ),
        ),
    ],
)
def test_a_key_file_that_cannot_be_used_is_named_with_the_reason(
    authority: Path, tmp_path: Path, how: str, expected: str
) -> None:
    folder = tmp_path / "ca"
    shutil.copytree(authority, folder)
    cert, key = folder / f"{DEVICE}.pem", folder / f"{DEVICE}.key"
    spoil_key(key, how)
    options = ConnectionOptions(
        "127.0.0.1", 1, "x", tls=True, ca_file=folder / "ca.pem", cert_file=cert, key_file=key
    )
    assert refusal(options) == expected.format(cert=cert, key=key)


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (None, 0o600, "cannot read the broker's password: No such file or directory"),
        (b"", 0o600, "the first line, which is the broker's password, is empty"),
        (b"\nsecret", 0o600, "the first line, which is the broker's password, is empty"),
        (b"\xff", 0o600, "cannot read the broker's password: no UTF-8"),
        (b"secret", 0o644, "other users may read or change the broker's password"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, content: bytes | None, mode: int, expected: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    options = ConnectionOptions("127.0.0.1", 1, "x", username="u", password_file=path)
    found = refusal(options)
    assert found.startswith(f"{path}: {expected}")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_of_authorities_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    found = refusal(ConnectionOptions("127.0.0.1", 1, "x", tls=True, ca_file=path))
    assert found.startswith(f"{path}: cannot be used for TLS: ")
    assert "_ssl.c" not in found
