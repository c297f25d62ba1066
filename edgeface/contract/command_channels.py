"""Commands and answers as a part of the contract."""

from __future__ import annotations

from typing import Final

from edgeface.contract.answers import ANSWERS, EnrollProgressAnswer
from edgeface.contract.channels import BASE, Channel, Part
from edgeface.contract.commands import COMMANDS, Verb


def _asked(verb: Verb) -> Channel:
    text = " ".join((COMMANDS[verb].__doc__ or "").split())
    return Channel(
        address=f"{BASE}/cmd/{verb}",
        action="receive",
        messages=(f"command-{verb}",),
        summary=f"{text} The ResponseTopic is that of the answers.",
        reply=f"{verb}Answer",
    )


def _answered(verb: Verb) -> Channel:
    more = ("answer-enroll-progress",) if verb == "enroll" else ()
    return Channel(
        address=f"{BASE}/rsp/{verb}/{{client}}",
        messages=(f"answer-{verb}", *more),
        summary=f"The answer to `{verb}`, with the request's CorrelationData.",
        signed=True,
    )


COMMANDING: Final = Part(
    kinds={
        **{f"command-{verb}": kind for verb, kind in COMMANDS.items()},
        **{f"answer-{verb}": kind for verb, kind in ANSWERS.items()},
        "answer-enroll-progress": EnrollProgressAnswer,
    },
    channels={
        **{f"{verb}Command": _asked(verb) for verb in COMMANDS},
        **{f"{verb}Answer": _answered(verb) for verb in COMMANDS},
    },
)
"""What may be asked of a device, and what it answers."""
