"""The device's key, its signatures, and topic names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgeface.base.clock import SystemClock
from edgeface.base.errors import ContractError, StateError
from edgeface.contract.topics import Topics
from edgeface.security.keys import DeviceKey, PublicKey


def test_the_key_is_made_once_private_with_its_public_half_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "device.key"
    first = DeviceKey.load_or_create(path)
    second = DeviceKey.load_or_create(path)
    assert first.kid == second.kid == PublicKey.load(path.with_name("device.key.pub")).kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(item.name for item in path.parent.iterdir()) == ["device.key", "device.key.pub"]


@pytest.mark.parametrize("before", [DeviceKey.generate().public.pem(), b""], ids=["old", "empty"])
def test_the_public_half_beside_a_new_key_is_the_new_ones(tmp_path: Path, before: bytes) -> None:
    """It is what a door is given to pin; with that of the key before it would never open."""
    public = tmp_path / "device.key.pub"
    public.write_bytes(before)
    key = DeviceKey.load_or_create(tmp_path / "device.key")
    assert PublicKey.load(public).kid == key.kid


def test_a_key_that_others_may_read_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    DeviceKey.load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        DeviceKey.load(path)


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\0" * 100], ids=["empty", "text", "zeros"])
def test_a_broken_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StateError, match=r"device\.key"):
        DeviceKey.load_or_create(path)
    with pytest.raises(StateError, match=r"device\.key"):
        PublicKey.load(path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ec.pem"
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(public.public_bytes(encoding, form))
    with pytest.raises(StateError, match="Ed25519"):
        PublicKey.load(path)


def test_a_signature_covers_topic_and_payload() -> None:
    key, other = DeviceKey.generate(), DeviceKey.generate()
    signature = key.sign("a/b", b"payload")
    assert key.public.verify("a/b", b"payload", signature)
    assert not key.public.verify("a/c", b"payload", signature)
    assert not key.public.verify("a/b", b"payloae", signature)
    assert not key.public.verify("a", b"/bpayload", signature)
    assert not other.public.verify("a/b", b"payload", signature)


@pytest.mark.parametrize("signature", ["", "?", "AAAA", "é", "A" * 88], ids=str)
def test_no_text_is_a_signature_by_chance(signature: str) -> None:
    assert not DeviceKey.generate().public.verify("a", b"b", signature)


@pytest.mark.parametrize(
    ("site", "device"),
    [("", "d"), ("HQ", "d"), ("a/b", "d"), ("a", "+"), ("a", "gallery"), ("a" * 65, "d")],
)
def test_an_id_that_is_no_part_of_a_topic_is_refused(site: str, device: str) -> None:
    with pytest.raises(ContractError):
        Topics(site, device)


def test_topics_are_as_documented() -> None:
    topics = Topics("hq", "door-1")
    assert topics.event == "edgeface/v1/hq/door-1/event"
    assert topics.event_log == "edgeface/v1/hq/door-1/event/log"
    assert topics.alert("camera_stalled") == "edgeface/v1/hq/door-1/alert/camera_stalled"
    assert topics.response("verify", "door") == "edgeface/v1/hq/door-1/rsp/verify/door"


def test_the_kernel_tells_boot_and_synchronisation() -> None:
    clock = SystemClock()
    assert len(clock.boot_id()) == 36
    assert clock.synced() in {True, False}
