"""Addresses of cameras without what is secret in them."""

from __future__ import annotations

import re
from typing import Final

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_UP_TO_PATH: Final = re.compile(r"[^/?#]*")


def redacted(url: str) -> str:
    """The address without user name, password and query, for logs, messages and errors.

    A user name may hold an @ and a password any character that somebody has forgotten to encode:
    where that leaves open which part is the host, nothing but the scheme is shown. What is no
    address with a host comes back as it is.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() == "file":
        return url
    found = _UP_TO_PATH.match(rest)
    authority = found.group() if found is not None else ""
    path, mark, query = _cut(rest[len(authority) :])
    if "@" in query or ("@" in path and "@" not in authority and ":" in authority):
        return f"{scheme}://***"
    _, at, host = authority.rpartition("@")
    shown = f"***@{host}" if at else host
    return f"{scheme}://{shown}{path}" + (f"{mark}***" if query else "")


def without_secrets(text: str) -> str:
    """`text` with every address in it redacted."""
    return _ADDRESS.sub(lambda found: redacted(found.group()), text)


def _cut(rest: str) -> tuple[str, str, str]:
    """Path, the `?` or `#` behind it, and what follows that."""
    place = min((at for at in map(rest.find, "?#") if at >= 0), default=len(rest))
    return rest[:place], rest[place : place + 1], rest[place + 1 :]
