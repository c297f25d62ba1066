"""Every command in one table, from which all that is made once for each of them is taken.

To add one: the request with its name in `Verb` (`command_requests`), the data of its answer
(`answers`), a line in `COMMANDS`, and a line in the table of handlers
(`edgeface.service.commanding.desk`). Whether it is on is for `edgeface.settings.daemon`, what a
person types for `edgeface.cli.call`; tests name what is left, as the examples in `docs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from edgeface.base.errors import ContractError
from edgeface.contract.answers import (
    Answer,
    EnrollData,
    EnrollProgress,
    GalleryData,
    IdentifyData,
    PingData,
    ReloadData,
    SnapshotData,
    VerifyData,
    VerifyProgress,
    WhyData,
)
from edgeface.contract.channels import BASE, Channel, Part
from edgeface.contract.command_requests import (
    Command,
    Enroll,
    GalleryQuery,
    Identify,
    Ping,
    Reload,
    Snapshot,
    Verb,
    Verify,
    Why,
)


@dataclass(frozen=True, slots=True)
class CommandType:
    """What goes with a verb."""

    request: type[Command]
    answer: Any
    """The type of the last answer."""
    progress: Any = None
    """The type of the answers before it; None: there are none."""
    sealed: bool = False
    """Whether the answer is sealed to the administrator."""
    for_doors: bool = False
    """Whether a door controller may ask; an administrator may ask everything."""
    wait_s: float = 0.0
    """How long the device may take at most; 0: it answers at once."""


COMMANDS: Final[Mapping[Verb, CommandType]] = {
    "ping": CommandType(Ping, Answer[PingData], for_doors=True),
    "verify": CommandType(
        Verify, Answer[VerifyData], progress=Answer[VerifyProgress], for_doors=True, wait_s=60
    ),
    "identify": CommandType(Identify, Answer[IdentifyData], for_doors=True, wait_s=60),
    "enroll": CommandType(
        Enroll, Answer[EnrollData], progress=Answer[EnrollProgress], sealed=True, wait_s=600
    ),
    "snapshot": CommandType(Snapshot, Answer[SnapshotData], sealed=True),
    "reload": CommandType(Reload, Answer[ReloadData], wait_s=60),
    "gallery": CommandType(GalleryQuery, Answer[GalleryData]),
    "why": CommandType(Why, Answer[WhyData]),
}


def as_verb(text: str) -> Verb:
    """`text` as a verb; raises ContractError (`unknown_verb`)."""
    for verb in COMMANDS:
        if verb == text:
            return verb
    raise ContractError("unknown_verb", f"{text!r} is no command")


def _kinds() -> dict[str, Any]:
    """The types by the names of their schemas."""
    found: dict[str, Any] = {f"command-{verb}": item.request for verb, item in COMMANDS.items()}
    progress = {}
    for verb, item in COMMANDS.items():
        text = f"Answer to `{verb}`."
        if item.progress is not None:
            text = f"The last answer to `{verb}`."
            before = Field(description=f"An answer to `{verb}` with the status `progress`.")
            progress[f"answer-{verb}-progress"] = Annotated[item.progress, before]
        found[f"answer-{verb}"] = Annotated[item.answer, Field(description=text)]
    return found | progress


def _asked(verb: Verb, command: CommandType) -> Channel:
    text = " ".join((command.request.__doc__ or "").split())
    return Channel(
        address=f"{BASE}/cmd/{verb}",
        action="receive",
        messages=(f"command-{verb}",),
        summary=f"{text} The ResponseTopic is that of the answers.",
        reply=f"{verb}Answer",
    )


def _answered(verb: Verb, command: CommandType) -> Channel:
    return Channel(
        address=f"{BASE}/rsp/{verb}/{{client}}",
        messages=(f"answer-{verb}", *((f"answer-{verb}-progress",) if command.progress else ())),
        summary=f"The answer to `{verb}`, with the request's CorrelationData.",
        signed=True,
    )


COMMANDING: Final = Part(
    kinds=_kinds(),
    channels={
        **{f"{verb}Command": _asked(verb, command) for verb, command in COMMANDS.items()},
        **{f"{verb}Answer": _answered(verb, command) for verb, command in COMMANDS.items()},
    },
)
"""What may be asked of a device, and what it answers."""
