"""The fleet's authority: what it signs, what it refuses, and how files are kept."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgeface.base.errors import ContractError, StateError
from edgeface.security.certificate_facts import (
    certificates_in,
    facts_of,
    is_issued_by,
    read_certificate,
    users_in,
)
from edgeface.security.certificates import Authority
from edgeface.security.roles import ROLES, User, acl_file

DEVICE = User("device", "hq", "door-1")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_keys_are_private_and_the_folder_too(authority: Authority) -> None:
    authority.issue_client(DEVICE)
    folder = authority.folder
    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.glob("*.key")} == {0o600}
    assert {mode(path) for path in folder.glob("*.pem")} == {0o644}
    assert [path.name for path in folder.glob(".*")] == []


def test_certificates_keep_the_profile(authority: Authority) -> None:
    folder = authority.folder
    root = read_certificate(folder / "ca.pem")
    broker = read_certificate(authority.issue_broker(["mqtt.example", "192.0.2.7", "::1"]))
    device = read_certificate(authority.issue_client(DEVICE))
    get = x509.Extensions.get_extension_for_class
    assert get(root.extensions, x509.BasicConstraints).critical
    assert get(root.extensions, x509.BasicConstraints).value.path_length == 0
    usage = get(root.extensions, x509.KeyUsage).value
    assert usage.key_cert_sign
    assert usage.crl_sign
    assert not usage.digital_signature
    for certificate, use in (
        (broker, ExtendedKeyUsageOID.SERVER_AUTH),
        (device, ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        assert is_issued_by(certificate, root)
        assert not get(certificate.extensions, x509.BasicConstraints).value.ca
        assert list(get(certificate.extensions, x509.ExtendedKeyUsage).value) == [use]
        usage = get(certificate.extensions, x509.KeyUsage).value
        assert usage.digital_signature
        assert not usage.key_cert_sign
        public = certificate.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        assert public.curve.name == "secp256r1"
    facts = facts_of(broker)
    assert facts.hosts == ("mqtt.example", "192.0.2.7", "::1")
    now = datetime.now(UTC)
    assert facts.not_before < now - timedelta(hours=20)
    assert facts.days_left(now) == 729
    assert facts_of(root).days_left(now) == 3649
    assert facts_of(device).name == "device.hq.door-1"


def test_a_strict_client_accepts_the_chain(authority: Authority) -> None:
    """Python 3.13 sets VERIFY_X509_STRICT by default."""
    folder = authority.folder
    authority.issue_broker(["localhost"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "broker.pem", folder / "broker.key")
    client = ssl.create_default_context(cafile=folder / "ca.pem")
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    open_ends = {ours, theirs}
    while open_ends:
        for end in list(open_ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_ends.remove(end)
    assert ours.version() == "TLSv1.3"


def test_nothing_is_overwritten(authority: Authority) -> None:
    authority.issue_broker(["localhost"])
    authority.issue_client(DEVICE)
    before = contents(authority.folder)
    for again in (
        lambda: Authority.create(authority.folder),
        lambda: authority.issue_broker(["localhost"]),
        lambda: authority.issue_client(DEVICE),
    ):
        with pytest.raises(StateError, match="is there already, and nothing is overwritten"):
            again()
    (authority.folder / f"{DEVICE}.pem").unlink()
    with pytest.raises(StateError, match=r"door-1\.key: is there already"):
        authority.issue_client(DEVICE)
    del before[f"{DEVICE}.pem"]
    assert contents(authority.folder) == before


def test_a_passphrase_protects_the_authority(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    Authority.create(folder, passphrase="long and secret")
    assert b"ENCRYPTED" in (folder / "ca.key").read_bytes()
    with pytest.raises(StateError, match="is protected by a passphrase: give --passphrase-file"):
        Authority.open(folder)
    with pytest.raises(StateError, match="wrong passphrase"):
        Authority.open(folder, passphrase="wrong")
    Authority.open(folder, passphrase="long and secret").issue_client(DEVICE)
    plain = Authority.create(tmp_path / "plain").folder
    with pytest.raises(StateError, match="is not protected"):
        Authority.open(plain, passphrase="x")


def test_a_renewed_certificate_keeps_its_name_and_hosts_and_has_a_new_key(
    authority: Authority,
) -> None:
    path = authority.issue_broker(["mqtt.example", "192.0.2.7"], days=10)
    old = read_certificate(path)
    assert authority.renew("broker", days=20) == path
    new = read_certificate(path)
    assert facts_of(new).hosts == facts_of(old).hosts
    assert facts_of(new).days_left(datetime.now(UTC)) == 19
    assert new.public_key() != old.public_key()
    (kept,) = (authority.folder / "replaced").iterdir()
    assert read_certificate(kept) == old
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, path.with_suffix(".key"))


@pytest.mark.parametrize("name", ["device.hq.door-2", "ca", "revoked", "../ca", "*", ""])
def test_what_is_not_there_is_neither_renewed_nor_revoked(authority: Authority, name: str) -> None:
    before = contents(authority.folder)
    for act in (authority.renew, authority.revoke):
        with pytest.raises(StateError, match="no certificate of"):
            act(name)
    assert contents(authority.folder) == before


def test_revoking_lists_every_certificate_of_the_name_once(authority: Authority) -> None:
    authority.issue_client(User("device", "hq", "door-10"))
    authority.issue_client(DEVICE)
    authority.renew(str(DEVICE))
    serials = {
        int(facts_of(read_certificate(path)).serial, 16)
        for path in authority.folder.rglob(f"{DEVICE}*.pem")
        if "door-10" not in path.name
    }
    assert authority.revoke(str(DEVICE), replaced_only=True) == 1
    assert authority.revoke(str(DEVICE)) == 1
    assert authority.revoke(str(DEVICE)) == 0
    listed = x509.load_pem_x509_crl((authority.folder / "revoked.pem").read_bytes())
    assert {item.serial_number for item in listed} == serials
    assert listed.next_update_utc == read_certificate(
        authority.folder / "ca.pem"
    ).not_valid_after_utc.replace(microsecond=0)
    assert users_in(authority.folder) == (User("device", "hq", "door-10"),)
    authority.issue_client(DEVICE)


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca", days=100)
    with pytest.raises(StateError, match=r"the authority itself ends on .*, in 99 days"):
        authority.issue_client(DEVICE)
    authority.issue_client(DEVICE, days=99)


@pytest.mark.parametrize("host", ["", "a b", "http://x", "x:8883", "-" * 70, "a..b", "ä.example"])
def test_a_host_that_cannot_be_is_refused(authority: Authority, host: str) -> None:
    with pytest.raises(StateError, match="neither a DNS name nor an address"):
        authority.issue_broker(["localhost", host])
    assert not (authority.folder / "broker.key").exists()


def test_a_name_that_does_not_fit_into_a_certificate_is_refused(authority: Authority) -> None:
    with pytest.raises(ContractError, match="64 characters"):
        authority.issue_client(User("device", "s" * 30, "d" * 30))
    authority.issue_client(User("device", "s" * 28, "d" * 28))


@pytest.mark.parametrize(
    "text",
    [
        "door-1",
        "device.hq",
        "device.hq.door.1",
        "device.HQ.door-1",
        "device.hq.",
        "device..door-1",
        "device.hq.gallery",
        "nobody.hq.door-1",
        "device.hq.+",
        "device.hq.#",
        "device.hq.a/b",
        "device.hq.%u",
        "device.hq.door-1\n",
        "",
    ],
)
def test_a_text_that_is_no_user_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        User.parse(text)


@pytest.mark.parametrize("role", ROLES)
def test_a_user_and_its_text_are_the_same(role: str) -> None:
    user = User.parse(f"{role}.hq.front-1")
    assert (user.role, user.site, user.name) == (role, "hq", "front-1")
    assert User.parse(str(user)) == user
    assert all("{" not in topic and "%" not in topic for _, topic in user.rules())


def test_the_access_list_names_each_user_once() -> None:
    text = acl_file([DEVICE, DEVICE, User("door", "hq", "front")])
    assert [line for line in text.splitlines() if line.startswith("user ")] == [
        "user device.hq.door-1",
        "user door.hq.front",
    ]


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "revoked.pem"])
def test_a_broken_file_of_the_authority_is_named(authority: Authority, name: str) -> None:
    authority.issue_client(DEVICE)
    (authority.folder / name).write_text("nothing of the kind")
    with pytest.raises(StateError, match=name):
        Authority.open(authority.folder).revoke(str(DEVICE))


def test_the_key_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other")
    (authority.folder / "ca.key").write_bytes((other.folder / "ca.key").read_bytes())
    (authority.folder / "ca.key").chmod(0o600)
    with pytest.raises(StateError, match=r"ca\.key: the key does not belong to ca\.pem"):
        Authority.open(authority.folder)


def test_a_folder_without_an_authority_says_how_to_make_one(tmp_path: Path) -> None:
    for act in (Authority.open, certificates_in, users_in):
        with pytest.raises(StateError, match="edgeface certs init"):
            act(tmp_path)
