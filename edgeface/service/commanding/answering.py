"""From an outcome to a signed message on the caller's response topic."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from edgeface.base.clock import utc_now
from edgeface.base.messages import Publication
from edgeface.contract import codec
from edgeface.contract.answers import Answer, EnrollProgress, Error
from edgeface.contract.codec import MAX_PAYLOAD_BYTES
from edgeface.service.commanding.admission import Address, Request
from edgeface.service.commanding.outcome import CommandRefusedError, Outcome
from edgeface.service.device_session import DeviceSession

_log = logging.getLogger(__name__)

EXPIRY_S: Final = 30
"""Nobody waits for an answer for longer."""


class Answerer:
    """Safe to use from several threads."""

    def __init__(self, me: DeviceSession, publish: Callable[[Publication], None]) -> None:
        self._me = me
        self._publish = publish

    def refuse(self, address: Address, error: Error) -> None:
        """The request is not done."""
        self._send(address, "error", error=error)

    def progress(self, request: Request, data: EnrollProgress) -> None:
        """There will be more."""
        self._send(request.address, "progress", data=data)

    def conclude(self, request: Request, outcome: Outcome) -> Error | None:
        """The last word, and the error in it."""
        error: Error | None = None
        data: object = None
        try:
            data = outcome()
        except CommandRefusedError as refused:
            error = Error.of(refused.code, str(refused))
        except Exception:  # noqa: BLE001 - a command must not end the daemon
            _log.exception("the command %s failed", request.verb)
            error = Error.of("internal", "the command failed; see the device's log")
        self._send(request.address, "ok" if error is None else "error", data=data, error=error)
        return error

    def _send(
        self, address: Address, status: str, *, data: object = None, error: Error | None = None
    ) -> None:
        answer = Answer(
            status=status,  # type: ignore[arg-type]
            verb=address.verb,
            transaction=address.transaction,
            session=self._me.session,
            site=self._me.topics.site,
            device=self._me.topics.device,
            answered_at=utc_now(self._me.clock),
            error=error,
            data=None if data is None else codec.to_mapping(data),
        )
        payload = codec.to_json(answer)
        if len(payload) > MAX_PAYLOAD_BYTES:
            _log.error("the answer to %s is too large: %d bytes", address.verb, len(payload))
            self._send(address, "error", error=Error.of("internal", "the answer is too large"))
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
