"""What is sealed to the administrator can be opened by that key, for that answer, and else not."""

from __future__ import annotations

import base64
import dataclasses
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from edgeface.base.errors import ContractError, StateError
from edgeface.contract.answers import Sealed
from edgeface.contract.codec import from_mapping, to_mapping
from edgeface.security.keys import SigningKey
from edgeface.security.sealing import AdministratorKey, AdministratorSecret, Context

CONTEXT = Context("hq", "door-1", "enroll", "a-transaction-0001")


@pytest.fixture
def secret() -> AdministratorSecret:
    return AdministratorSecret.generate()


def flipped(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[0] ^= 1
    return base64.b64encode(raw).decode()


def test_the_administrator_opens_what_was_sealed(secret: AdministratorSecret) -> None:
    sealed = secret.public.seal(b"templates", CONTEXT)
    assert secret.open(from_mapping(Sealed, to_mapping(sealed)), CONTEXT) == b"templates"
    again = secret.public.seal(b"templates", CONTEXT)
    assert {sealed.ephemeral, sealed.nonce, sealed.ciphertext}.isdisjoint(
        {again.ephemeral, again.nonce, again.ciphertext}
    )


def test_it_can_be_opened_by_what_the_page_says(tmp_path: Path) -> None:
    """Written from the module's docstring, without its code."""
    path = tmp_path / "admin.key"
    AdministratorSecret.generate().save(path)
    sealed = AdministratorKey.load(tmp_path / "admin.key.pub").seal(b"content", CONTEXT)
    mine = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(mine, X25519PrivateKey)
    ephemeral = base64.b64decode(sealed.ephemeral)
    shared = mine.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    raw = mine.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    info = b"edgeface sealed answer v1\0" + ephemeral + raw
    key = HKDF(hashes.SHA256(), 32, None, info).derive(shared)
    opened = AESGCM(key).decrypt(
        base64.b64decode(sealed.nonce),
        base64.b64decode(sealed.ciphertext),
        b'["hq", "door-1", "enroll", "a-transaction-0001"]',
    )
    assert opened == b"content"


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(dataclasses.replace(CONTEXT, site="hr"), id="site"),
        pytest.param(dataclasses.replace(CONTEXT, device="door-2"), id="device"),
        pytest.param(dataclasses.replace(CONTEXT, verb="snapshot"), id="verb"),
        pytest.param(dataclasses.replace(CONTEXT, transaction="another-one-00001"), id="request"),
    ],
)
def test_it_is_the_answer_to_one_request(secret: AdministratorSecret, context: Context) -> None:
    sealed = secret.public.seal(b"templates", CONTEXT)
    with pytest.raises(ContractError) as caught:
        secret.open(sealed, context)
    assert caught.value.reason == "cannot_open"


@pytest.mark.parametrize("field", ["ephemeral", "nonce", "ciphertext"])
def test_a_changed_byte_is_noticed(secret: AdministratorSecret, field: str) -> None:
    sealed = secret.public.seal(b"templates", CONTEXT)
    changed = dataclasses.replace(sealed, **{field: flipped(getattr(sealed, field))})
    with pytest.raises(ContractError):
        secret.open(changed, CONTEXT)


def test_a_degenerate_key_is_refused(secret: AdministratorSecret) -> None:
    zero = base64.b64encode(bytes(32)).decode()
    sealed = dataclasses.replace(secret.public.seal(b"x", CONTEXT), ephemeral=zero)
    with pytest.raises(ContractError):
        secret.open(sealed, CONTEXT)


def test_another_administrator_is_told_whose_it_is(secret: AdministratorSecret) -> None:
    sealed = secret.public.seal(b"templates", CONTEXT)
    with pytest.raises(ContractError, match=secret.public.kid) as caught:
        AdministratorSecret.generate().open(sealed, CONTEXT)
    assert caught.value.reason == "other_recipient"


def test_the_pair_is_written_once_and_the_private_half_is_private(tmp_path: Path) -> None:
    path = tmp_path / "admin.key"
    secret = AdministratorSecret.generate()
    public = secret.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert AdministratorKey.load(public).kid == secret.public.kid
    assert AdministratorSecret.load(path).public.kid == secret.public.kid
    with pytest.raises(StateError, match="not replaced"):
        AdministratorSecret.generate().save(path)
    path.chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        AdministratorSecret.load(path)


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    SigningKey.load_or_create(tmp_path / "device.key")
    with pytest.raises(StateError, match="not an X25519 key"):
        AdministratorKey.load(tmp_path / "device.key.pub")
    with pytest.raises(StateError, match="not an X25519 key"):
        AdministratorSecret.load(tmp_path / "device.key")
    (tmp_path / "text").write_text("no key")
    with pytest.raises(StateError, match="not a public key"):
        AdministratorKey.load(tmp_path / "text")
    with pytest.raises(StateError, match="cannot read"):
        AdministratorKey.load(tmp_path / "nowhere")
