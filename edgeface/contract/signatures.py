"""What a signature covers, and where it travels.

A signed message carries two MQTT user properties: `sig`, the signature in base64, over the topic
in UTF-8, one zero byte and the payload as it is on the wire; and `kid`, which names the key. The
topic is part of it so that a message cannot be replayed under another one.
"""

from __future__ import annotations

from typing import Final

SIGNATURE: Final = "sig"
"""User property with the signature."""
KEY_ID: Final = "kid"
"""User property with the key's id."""


def signed_bytes(topic: str, payload: bytes) -> bytes:
    """What is signed. A topic holds no zero byte, so topic and payload cannot be confused."""
    return topic.encode() + b"\0" + payload
