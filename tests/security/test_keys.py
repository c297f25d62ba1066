"""The device's key and its signatures."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgeface.base.errors import StateError
from edgeface.base.files import PRIVATE, write_file
from edgeface.base.messages import Message
from edgeface.security.keys import SigningKey, VerifyingKey


def test_the_key_is_made_once_private_with_its_public_half_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "device.key"
    first = SigningKey.load_or_create(path)
    second = SigningKey.load_or_create(path)
    assert first.kid == second.kid == VerifyingKey.of_device(path.with_name("device.key.pub")).kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(item.name for item in path.parent.iterdir()) == ["device.key", "device.key.pub"]


@pytest.mark.parametrize("before", [SigningKey.generate().public.pem(), b""], ids=["old", "empty"])
def test_the_public_half_beside_a_new_key_is_the_new_ones(tmp_path: Path, before: bytes) -> None:
    """It is what a door is given to pin; with that of the key before it would never open."""
    public = tmp_path / "device.key.pub"
    public.write_bytes(before)
    key = SigningKey.load_or_create(tmp_path / "device.key")
    assert VerifyingKey.of_device(public).kid == key.kid


def test_a_key_that_others_may_read_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    SigningKey.load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        SigningKey.load(path)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\0" * 100], ids=["empty", "text", "zeros"])
def test_a_broken_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StateError, match=r"device\.key"):
        SigningKey.load_or_create(path)
    with pytest.raises(StateError, match=r"device\.key"):
        VerifyingKey.of_device(path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ec.pem"
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(public.public_bytes(encoding, form))
    with pytest.raises(StateError, match="Ed25519"):
        VerifyingKey.of_device(path)


def test_a_signature_covers_topic_and_payload() -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    properties = key.properties("a/b", b"payload")

    def reason(public: VerifyingKey, topic: str, payload: bytes) -> str | None:
        return public.reason_against(Message(topic, payload, 1, False, properties))

    assert reason(key.public, "a/b", b"payload") is None
    assert reason(key.public, "a/c", b"payload") == "wrong_signature"
    assert reason(key.public, "a/b", b"payloae") == "wrong_signature"
    assert reason(key.public, "a", b"/bpayload") == "wrong_signature"
    assert reason(other.public, "a/b", b"payload") == "wrong_signature"


@pytest.mark.parametrize("properties", [(), (("kid", "0"),), (("sig", "AAAA"), ("sig", "AAAA"))])
def test_a_message_without_one_signature_is_unsigned(
    properties: tuple[tuple[str, str], ...],
) -> None:
    message = Message("a", b"b", 1, False, properties)
    assert SigningKey.generate().public.reason_against(message) == "unsigned"


@pytest.mark.parametrize("signature", ["", "?", "AAAA", "é", "A" * 88], ids=str)
def test_no_text_is_a_signature_by_chance(signature: str) -> None:
    message = Message("a", b"b", 1, False, (("sig", signature),))
    assert SigningKey.generate().public.reason_against(message) == "wrong_signature"


@pytest.mark.parametrize(
    ("passphrase", "said"), [(None, "none was given"), (b"wrong", "does not open")]
)
def test_a_key_under_a_passphrase_says_so(
    tmp_path: Path, passphrase: bytes | None, said: str
) -> None:
    write_file(tmp_path / "key", SigningKey.generate().pem(b"right"), PRIVATE)
    with pytest.raises(StateError, match=said):
        SigningKey.load(tmp_path / "key", passphrase)
