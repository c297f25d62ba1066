"""From data or an error to a signed message on the caller's response topic."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from edgeface.base.clock import utc_now
from edgeface.base.messages import Publication
from edgeface.contract import codec
from edgeface.contract.answers import Answer, Error
from edgeface.contract.codec import MAX_PAYLOAD_BYTES
from edgeface.mqtt.device_session import DeviceSession
from edgeface.service.commanding.admission import Address

_log = logging.getLogger(__name__)

EXPIRY_S: Final = 30
"""Nobody waits for an answer for longer."""


class Answerer:
    """Safe to use from several threads."""

    def __init__(self, me: DeviceSession, publish: Callable[[Publication], None]) -> None:
        self._me = me
        self._publish = publish

    def send(
        self,
        address: Address,
        *,
        data: object = None,
        error: Error | None = None,
        progress: bool = False,
    ) -> None:
        """An answer with data or an error, the last word unless it is `progress`."""
        status: Final = "error" if error else "progress" if progress else "ok"
        answer = Answer(
            status=status,
            verb=address.verb,
            transaction=address.transaction,
            session=self._me.session,
            site=self._me.topics.site,
            device=self._me.topics.device,
            answered_at=utc_now(self._me.clock),
            error=error,
            data=data,
        )
        payload = codec.to_json(answer)
        if len(payload) > MAX_PAYLOAD_BYTES:
            _log.error("the answer to %s is too large: %d bytes", address.verb, len(payload))
            self.send(address, error=Error.of("internal", "the answer is too large"))
            return
        self._publish(
            Publication(
                address.topic,
                payload,
                expiry_s=EXPIRY_S,
                user_properties=self._me.key.properties(address.topic, payload),
                correlation_data=address.correlation_data,
            )
        )
