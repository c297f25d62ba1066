"""The table of commands agrees with what is said of them elsewhere."""

from __future__ import annotations

from typing import get_args

from edgeface.contract.command_requests import Verb
from edgeface.contract.commands import COMMANDS
from edgeface.security.roles import DETAILS
from edgeface.settings.daemon import CommandsSettings


def test_every_verb_is_in_the_table_once() -> None:
    assert tuple(COMMANDS) == get_args(Verb)


def test_every_verb_can_be_switched_on() -> None:
    assert {*CommandsSettings().enabled, "snapshot"} == set(COMMANDS)


def test_a_door_may_ask_three_things() -> None:
    rules = DETAILS["door"].rules
    asked = [topic for access, topic in rules if access == "write"]
    assert asked == ["+/cmd/ping", "+/cmd/verify", "+/cmd/identify"]


def test_progress_is_told_by_what_asks_the_person_at_the_door_for_something() -> None:
    telling = [verb for verb, item in COMMANDS.items() if item.progress is not None]
    assert telling == ["verify", "enroll"]
