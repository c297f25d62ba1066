"""The contract as an AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification).

The device is the application: it sends events and receives commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from edgeface.contract.channels import PARAMETERS, Channel, Part
from edgeface.contract.event import CONTRACT_VERSION
from edgeface.contract.schemas import json_schema

VERSION: Final = "3.0.0"
BINDING_VERSION: Final = "0.2.0"
"""Of the MQTT bindings (https://github.com/asyncapi/bindings/tree/master/mqtt)."""

_PARAMETER: Final = re.compile(r"\{([a-z]+)\}")


def document(part: Part) -> dict[str, Any]:
    """The whole document, without references to other files."""
    replies = {item.reply for item in part.channels.values()}
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "edgeface",
            "version": f"{CONTRACT_VERSION}.0.0",
            "description": "Face recognition at the door: the MQTT contract; see mqtt.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "site": {
                "host": "broker.example:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "5",
                "description": "The site's broker. MQTT 5 throughout.",
            }
        },
        "channels": {name: _channel(item) for name, item in part.channels.items()},
        "operations": {
            f"{item.action}{name[:1].upper()}{name[1:]}": _operation(name, item, part.channels)
            for name, item in part.channels.items()
            if name not in replies
        },
        "components": {
            "schemas": {name: json_schema(kind) for name, kind in part.kinds.items()},
            "messages": _messages(part),
        },
    }


def _channel(item: Channel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "address": item.address,
        "summary": item.summary,
        "messages": {
            name: {"$ref": f"#/components/messages/{_message_name(name, signed=item.signed)}"}
            for name in item.messages
        },
    }
    parameters = _PARAMETER.findall(item.address)
    if parameters:
        found["parameters"] = {name: {"description": PARAMETERS[name]} for name in parameters}
    return found


def _operation(name: str, item: Channel, channels: Mapping[str, Channel]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "action": item.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": item.summary,
        "messages": _references(name, item),
        "bindings": {
            "mqtt": {"qos": item.qos, "retain": item.retained, "bindingVersion": BINDING_VERSION}
        },
    }
    if item.reply is not None:
        found["reply"] = {
            "channel": {"$ref": f"#/channels/{item.reply}"},
            "messages": _references(item.reply, channels[item.reply]),
        }
    return found


def _references(name: str, item: Channel) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{name}/messages/{message}"} for message in item.messages]


def _messages(part: Part) -> dict[str, Any]:
    """One for each type, and a second where it is signed on one channel and not on another."""
    found = {}
    for item in part.channels.values():
        for name in item.messages:
            message: dict[str, Any] = {
                "name": name,
                "contentType": "application/json",
                "payload": {"$ref": f"#/components/schemas/{name}"},
            }
            if item.signed:
                message["headers"] = _SIGNATURE
            found[_message_name(name, signed=item.signed)] = message
    return found


def _message_name(name: str, *, signed: bool) -> str:
    return f"{name}-signed" if signed else name


_SIGNATURE: Final = {
    "type": "object",
    "description": "MQTT user properties.",
    "properties": {
        "sig": {
            "type": "string",
            "description": "Ed25519 over topic, one zero byte and payload, in base64.",
        },
        "kid": {"type": "string", "description": "Id of the device's key."},
    },
    "required": ["sig", "kid"],
}
