"""TLS to the broker: its context, the files of secrets, and every failure in one plain line."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edgeface.base.errors import BrokerFileError, StateError
from edgeface.base.files import read_small

_EXPIRED: Final = frozenset({9, 10})
_WRONG_NAME: Final = frozenset({62, 63, 64})
_UNTRUSTED: Final = frozenset({2, 7, 18, 19, 20, 21, 27})
_WRONG_PURPOSE: Final = frozenset({26, 79, 80})
"""Results of OpenSSL's verification (x509_vfy.h), by what has to be done about them."""

_NO_TLS: Final = "it closed the connection instead of speaking TLS"
_ALERTS: Final = {
    "certificate required": "it wants a certificate of this client, and there is none",
    "handshake failure": "it found no common way to speak TLS; it may want a client's certificate",
    "unknown ca": "it does not know the authority of this client's certificate",
    "certificate expired": "it says that this client's certificate has expired",
    "certificate revoked": "it says that this client's certificate was revoked",
    "unsupported certificate": "it does not take this certificate for a client's",
    "bad certificate": "it does not accept this client's certificate",
    "certificate unknown": "it does not accept this client's certificate",
    "protocol version": "it speaks no TLS that is new enough (1.2 is needed)",
    "internal error": "it does not accept this client's certificate",
}
"""What the peer said in a TLS alert, by a part of OpenSSL's words; they differ by version."""


def client_context(
    ca_file: Path | None, cert_file: Path | None, key_file: Path | None
) -> ssl.SSLContext:
    """TLS 1.2 or later, the broker's certificate and name checked, with the client's own
    certificate where one is given.

    Read anew for each connection, so that files can be rotated while the daemon runs. Raises
    BrokerFileError naming the file that cannot be used, also when other users may read the key.
    """
    name: object = ca_file
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cert_file is not None:
            key = key_file or cert_file
            name = key
            read_secret(key, "private key")

            def no_passphrase() -> str:
                raise BrokerFileError(
                    f"{key}: the private key is encrypted, and nobody is there to type its "
                    "passphrase; store it without one, as a file of mode 0600 or a credential"
                )

            name = f"{cert_file} with {key}"
            context.load_cert_chain(cert_file, key_file, no_passphrase)
    except BrokerFileError:
        raise
    except (OSError, ValueError) as error:
        raise BrokerFileError(f"{name}: cannot be used for TLS: {_of_a_file(error)}") from error
    return context


def read_secret(path: Path, what: str) -> str:
    """The text of a file with a secret, `what` in words. Raises BrokerFileError when it cannot be
    read, when it is too large to be one, or when users beyond owner and group may read it."""
    try:
        return read_small(path, what, private=True).decode()
    except StateError as error:
        raise BrokerFileError(str(error)) from error
    except UnicodeDecodeError as error:
        raise BrokerFileError(f"{path}: cannot read the {what}: no UTF-8") from error


def read_password(path: Path, what: str = "broker's password") -> str:
    """The first line of the file. Raises BrokerFileError, also when it is empty."""
    password = read_secret(path, what).split("\n", 1)[0].rstrip("\r")
    if not password:
        raise BrokerFileError(f"{path}: the first line, which is the {what}, is empty")
    return password


def explain_failure(
    error: BaseException | None, *, host: str, tls: bool, ca_file: Path | None
) -> str:
    """Why connecting to `host` failed, in one line for whoever runs the device."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {_refused(error, host, ca_file)}"
    if isinstance(error, ssl.SSLError):
        if (told := _alert(str(error))) is not None:
            return told
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return _NO_TLS
        if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
            return "it does not speak TLS on this port"
        return f"TLS failed: {error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if tls and isinstance(error, ConnectionResetError | BrokenPipeError):
        return _NO_TLS
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "cannot be reached" if error is None else str(error)


def explain_closing(mishap: str | None, *, tls: bool, certificate: bool) -> str:
    """Why the broker closed the connection before its CONNACK; `mishap` is what paho logged of
    the last failure of the socket."""
    told = None if mishap is None else _alert(mishap)
    if told is not None:
        return told
    if tls and certificate:
        return "the connection was closed; it may not accept this client's certificate"
    if tls:
        return "the connection was closed; it may want a certificate of this client"
    return "the connection was closed; it may want TLS"


def explain_refusal(reason: int, text: str, *, username: str | None, certificate: bool) -> str:
    """A CONNACK's refusal: reason code and its name, with what to look at."""
    if reason not in (0x86, 0x87):
        return text
    if username is not None:
        return f"{text}: wrong user name ({username!r}) or password"
    if certificate:
        return f"{text}: it gives no access to the name in this client's certificate"
    return f"{text}: it wants a user and password or a client's certificate"


def _alert(text: str) -> str | None:
    lowered = text.lower().replace("_", " ")
    if "alert" not in lowered:
        return None
    return next((words for part, words in _ALERTS.items() if part in lowered), None)


def _refused(error: ssl.SSLCertVerificationError, host: str, ca_file: Path | None) -> str:
    code = error.verify_code
    if code in _EXPIRED:
        state = "has expired" if code == max(_EXPIRED) else "is not valid yet"
        clock = datetime.now(UTC).isoformat(timespec="seconds")
        return f"it {state} by this machine's clock, which says {clock}"
    if code in _WRONG_NAME:
        return f"it is not for the name {host}"
    if code in _UNTRUSTED:
        by = "the authorities of this system" if ca_file is None else f"an authority in {ca_file}"
        return f"it is not signed by {by}"
    if code in _WRONG_PURPOSE:
        return "it is not a server's"
    return error.verify_message or str(error)


def _of_a_file(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key does not belong to the certificate"
        return "no certificate or key in PEM form"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
