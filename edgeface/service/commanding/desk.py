"""The commands' worker: takes requests from the broker, has them done, answers.

The publisher's thread only puts messages into a bounded queue. What looks through the camera is
done at the peephole by the thread of the models; everything else is done here.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from edgeface.base.clock import utc_now
from edgeface.base.errors import StateError
from edgeface.base.messages import Message, Publication
from edgeface.contract import codec
from edgeface.contract.answers import Answer, Code, Error, SnapshotData
from edgeface.contract.command_requests import MAX_COMMAND_BYTES, Snapshot, Verb, Verify
from edgeface.contract.commands import COMMANDS
from edgeface.contract.report import Lifecycle
from edgeface.mqtt.link import DeviceSession
from edgeface.recognition.decision import DecisionRules
from edgeface.security.sealing import AdministratorKey, Context
from edgeface.service.board import Board
from edgeface.service.commanding.admission import (
    Address,
    Admission,
    CommandRefusedError,
    Outcome,
    RefusedRequest,
    Request,
    Seal,
)
from edgeface.service.commanding.challenging import Challenging
from edgeface.service.commanding.enrolling import Enrolling
from edgeface.service.commanding.peephole import Examination, Peephole
from edgeface.service.commanding.picturing import Picturing
from edgeface.service.commanding.reloads import Reloads, told
from edgeface.service.commanding.telling import Traces, explain_track, pong, tell_gallery
from edgeface.service.commanding.verifying import Identifying, Verifying
from edgeface.service.recognizing import rules_of
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse
from edgeface.settings.tree import Settings

_log = logging.getLogger(__name__)

MAX_OF_ONE_CLIENT: Final = 64
MAX_WAITING: Final = 256
"""Requests that may wait, of the client whom the response topic names and of all; more are dropped
and counted."""
SNAPSHOT_S: Final = 3.0
"""Until there has to be a frame."""
EXPIRY_S: Final = 30
"""Nobody waits for an answer for longer."""
_WAIT_S: Final = 0.1

_Work: TypeAlias = Callable[[], None]
_Handler: TypeAlias = Callable[[Request], None]


class CommandDesk:
    """`receive` is the handler of `~/cmd/+`, `run` the worker's function."""

    def __init__(
        self,
        me: DeviceSession,
        publish: Callable[[Publication], None],
        board: Board,
        floor: TimeFloor,
        *,
        lifecycle: Callable[[], Lifecycle],
        stored: Callable[[str], SnapshotData | None] = lambda _: None,
    ) -> None:
        """`stored` finds the picture that was kept of an event."""
        self.peephole: Final = Peephole(self._finish)
        self.traces: Final = Traces()
        self.reloads: Final = Reloads()
        self._me = me
        self._publish = publish
        self._board = board
        self._clock = me.clock
        self._stored = stored
        self._inbox: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        """Requests in the inbox, by client."""
        self._admission = Admission(
            me.topics,
            me.session,
            now_s=floor.now_s,
            synced=me.clock.synced,
            enabled=lambda: enabled(board.settings),
        )
        self._logged: set[Code] = set()
        self._handlers: Final[Mapping[Verb, _Handler]] = {
            "ping": self._at_once(lambda _: pong(me.clock, lifecycle(), enabled(board.settings))),
            "verify": self._verify,
            "identify": self._identify,
            "enroll": self._enroll,
            "snapshot": self._snapshot,
            "reload": self._reload,
            "gallery": self._at_once(lambda query: tell_gallery(query, board)),
            "why": self._at_once(lambda query: explain_track(query, self.traces)),
        }
        assert self._handlers.keys() == COMMANDS.keys()

    def receive(self, message: Message) -> None:
        """Called by the publisher's thread."""
        client = (message.response_topic or "").rpartition("/")[2]
        if self._inbox.qsize() >= MAX_WAITING or not self._queued(client):
            self._board.meters.count("commands_dropped")
            return
        received_ns = self._clock.boottime_ns()
        if len(message.payload) > MAX_COMMAND_BYTES:  # enough of it to be refused as too large
            message = replace(message, payload=message.payload[: MAX_COMMAND_BYTES + 1])
        self._inbox.put(lambda: self._take(message, received_ns, client))

    def _queued(self, client: str) -> bool:
        """Count one more of a client that waits, where it may have one more."""
        with self._lock:
            if self._waiting[client] >= MAX_OF_ONE_CLIENT:
                return False
            self._waiting[client] += 1
        return True

    def run(self, pulse: Pulse) -> None:
        """Work requests until told to stop."""
        while not pulse.stop.is_set():
            pulse.beat()
            try:
                work = self._inbox.get(timeout=_WAIT_S)
            except queue.Empty:
                pass
            else:
                work()
            self.peephole.check(self._clock.boottime_ns())

    def _take(self, message: Message, received_ns: int, client: str) -> None:
        with self._lock:
            self._waiting[client] -= 1
            self._waiting += Counter()  # without those that have none
        verdict = self._admission.judge(message, received_ns)
        if isinstance(verdict, RefusedRequest):
            self._refuse(verdict)
            return
        self._board.meters.count(f"commands_{verdict.verb}")
        _log.info("command %s", verdict.verb, extra={"from": message.response_topic})
        try:
            self._handlers[verdict.verb](verdict)
        except CommandRefusedError as refused:
            self._answer(verdict.address, error=Error.of(refused.code, str(refused)))

    def _refuse(self, refused: RefusedRequest) -> None:
        """Counted, answered where that is possible, and logged once per kind."""
        self._board.meters.count("commands_refused")
        if refused.code not in self._logged:
            self._logged.add(refused.code)
            _log.warning("a command was refused: %s: %s", refused.code, refused.message[:200])
        if refused.address is not None:
            self._answer(refused.address, error=Error.of(refused.code, refused.message))

    def _at_once(self, tell: Callable[[Any], object]) -> _Handler:
        """What needs no frame: `tell` makes the data from the command."""
        return lambda request: self._conclude(request, lambda: tell(request.command))

    def _verify(self, request: Request) -> None:
        assert isinstance(request.command, Verify)
        settings, rules, challenging = self._board.settings, self._rules(), None
        default_s, limit_s = (
            settings.commands.verify_timeout_s,
            settings.commands.verify_timeout_max_s,
        )
        if request.command.challenge or settings.pad.verify == "challenge":
            challenging = Challenging(self._telling(request), rules.same_track_min)
            default_s = limit_s
        self._look(Verifying(request, rules, challenging), _within(request, default_s, limit_s))

    def _identify(self, request: Request) -> None:
        settings = self._board.settings.commands
        timeout_s = _within(request, settings.verify_timeout_s, settings.verify_timeout_max_s)
        self._look(Identifying(request, self._rules()), timeout_s)

    def _enroll(self, request: Request) -> None:
        settings = self._board.settings.commands
        timeout_s = _within(request, settings.enroll_timeout_s, settings.enroll_timeout_max_s)
        sealing, tell = self._sealing(request), self._telling(request)
        self._look(Enrolling(request, self._rules(), sealing, tell), timeout_s)

    def _telling(self, request: Request) -> Callable[[object], None]:
        """Sends progress to who has asked; called by any thread."""

        def tell(progress: object) -> None:
            self._inbox.put(lambda: self._answer(request.address, data=progress, progress=True))

        return tell

    def _snapshot(self, request: Request) -> None:
        assert isinstance(request.command, Snapshot)
        event_id = request.command.event_id
        if event_id is not None:
            self._conclude(request, lambda: self._kept(event_id))
        elif not self._board.settings.commands.snapshot:
            raise CommandRefusedError(
                "disabled", "only pictures of events can be had here (commands.snapshot)"
            )
        else:
            self._look(Picturing(request, self._sealing(request)), SNAPSHOT_S)

    def _kept(self, event_id: str) -> SnapshotData:
        found = self._stored(event_id)
        if found is None:
            raise CommandRefusedError("not_found", "no picture of this event is kept")
        return found

    def _reload(self, request: Request) -> None:
        self.reloads.ask(lambda result: self._finish(request, lambda: told(result)))

    def _rules(self) -> DecisionRules:
        return rules_of(self._board.settings).decision

    def _look(self, examination: Examination, timeout_s: float) -> None:
        if self._board.models is None or self._board.gallery is None:
            raise CommandRefusedError("not_ready", "models and gallery are not yet loaded")
        if not self.peephole.begin(examination, timeout_s):
            raise CommandRefusedError("busy", "another command is looking through the camera")

    def _sealing(self, request: Request) -> Seal:
        """Seals the answer to `request`. Raises CommandRefusedError when the key cannot be used."""
        path = self._board.settings.commands.administrator_key_file
        try:
            if path is None:
                raise StateError("there is no administrator_key_file")
            key = AdministratorKey.load(path)
        except StateError as error:
            _log.error("the administrator's key cannot be used: %s", error)
            raise CommandRefusedError(
                "disabled", "the administrator's key cannot be used; see the device's log"
            ) from error
        topics = self._me.topics
        context = Context(topics.site, topics.device, request.verb, request.command.transaction)
        return lambda content: key.seal(content, context)

    def _finish(self, request: Request, outcome: Outcome) -> None:
        """Called by any thread."""
        self._inbox.put(lambda: self._conclude(request, outcome))

    def _answer(
        self,
        address: Address,
        *,
        data: object = None,
        error: Error | None = None,
        progress: bool = False,
    ) -> None:
        """Send data or an error, signed, to the caller: the last word unless it is `progress`."""
        me = self._me
        answer = Answer(
            status="error" if error else "progress" if progress else "ok",
            verb=address.verb,
            transaction=address.transaction,
            session=me.session,
            site=me.topics.site,
            device=me.topics.device,
            answered_at=utc_now(me.clock),
            error=error,
            data=data,
        )
        payload = codec.to_json(answer)
        if len(payload) > codec.MAX_PAYLOAD_BYTES:
            _log.error("the answer to %s is too large: %d bytes", address.verb, len(payload))
            self._answer(address, error=Error.of("internal", "the answer is too large"))
            return
        self._publish(
            Publication(
                address.topic,
                payload,
                expiry_s=EXPIRY_S,
                user_properties=me.key.properties(address.topic, payload),
                correlation_data=address.correlation_data,
            )
        )

    def _conclude(self, request: Request, outcome: Outcome) -> None:
        try:
            data = outcome()
        except CommandRefusedError as refused:
            error = Error.of(refused.code, str(refused))
        except Exception:  # noqa: BLE001 - a command must not end the daemon
            _log.exception("the command %s failed", request.verb)
            error = Error.of("internal", "the command failed; see the device's log")
        else:
            self._answer(request.address, data=data)
            return
        self._answer(request.address, error=error)
        _log.info("command %s ended: %s: %s", request.verb, error.code, error.message)


def enabled(settings: Settings) -> tuple[Verb, ...]:
    """The verbs in use."""
    commands = settings.commands
    pictures = commands.snapshot or settings.snapshots.events != "off"
    sealed = commands.administrator_key_file is not None
    return tuple(
        verb
        for verb in COMMANDS
        if (pictures if verb == "snapshot" else verb in commands.enabled)
        and (sealed or not COMMANDS[verb].sealed)
    )


def _within(request: Request, default_s: float, limit_s: float) -> float:
    asked_s: float | None = getattr(request.command, "timeout_s", None)
    if asked_s is None:
        return default_s
    if asked_s > limit_s:
        raise CommandRefusedError("malformed", f"timeout_s: at most {limit_s:g} here")
    return asked_s
