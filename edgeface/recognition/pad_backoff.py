"""Keeps who was refused as an attack from being tried again at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgeface.base.backoff import Backoff
from edgeface.recognition.liveness import Liveness, Source, against

FIRST_S: Final = 10.0
"""After one refusal: twice what a claim takes, so that the next one falls into it. It happens to
one of a hundred live people as well (`pad.target_bpcer`): they step back and come again."""
FORGET_S: Final = 600.0
"""So long after the last refusal they count from one again."""


@dataclass(frozen=True, slots=True)
class _Refused:
    refused_by: tuple[Source, ...]
    at_s: float
    until_s: float
    count: int
    """In a row."""


class PadBackoff:
    """Nobody passes as a person for a while after somebody was refused as an attack in their place:
    `FIRST_S`, twice as long after each further time in a row, at most `most_s`.

    An attack that is stopped with some probability passes when it is repeated often enough; this
    bounds how often. ISO/IEC 30107-3 counts single presentations; NIST SP 800-63B, 5.2.3, asks for
    a delay that grows with each failure. Missing evidence is no attack and is not remembered. Not
    thread-safe; times are seconds of the frames' clock.

    What a challenge says is for challenges: who moves at a door does not know of one that somebody
    asks for, and must not be shut out by it; and who passes without one has not answered it.
    """

    def __init__(self, most_s: float) -> None:
        """`most_s` of 0: nothing is remembered."""
        self._most_s = most_s
        self._wait = Backoff(floor_s=0.0, base_s=FIRST_S, cap_s=most_s)
        self._refused: dict[tuple[str, bool], _Refused] = {}
        """By person, and whether a challenge has refused them."""

    def against(self, liveness: Liveness, person_id: str, time_s: float) -> Liveness:
        """The evidence of who would pass as this person now, with what stands against them from
        before. Under `report` nothing does."""
        if liveness.policy == "report":
            return liveness
        said: list[Source] = []
        for kind in _kinds(liveness):
            last = self._refused.get((person_id, kind))
            if last is not None and time_s < last.until_s:
                again_in_s = round(last.until_s - time_s, 1)
                said += [
                    replace(source, detail={**source.detail, "again_in_s": again_in_s})
                    for source in last.refused_by
                ]
        return against(liveness, said)

    def judge(self, liveness: Liveness, person_id: str, time_s: float) -> Liveness:
        """The same, and it is remembered what comes of it: an attack is counted, unless one before
        is what counts, and who passes has it forgotten."""
        found = self.against(liveness, person_id, time_s)
        if found is not liveness or liveness.policy == "report":
            return found
        if liveness.refusal == "attack" and self._most_s > 0:
            for kind in _kinds(liveness):
                said = [one for one in liveness.refusing if (one.name == "challenge") == kind]
                if said:
                    self._remember((person_id, kind), said, time_s)
        elif liveness.refusal is None:
            for kind in _kinds(liveness):
                self._refused.pop((person_id, kind), None)
        return liveness

    def _remember(
        self, whom: tuple[str, bool], refused_by: Sequence[Source], time_s: float
    ) -> None:
        self._refused = {
            who: one for who, one in self._refused.items() if time_s - one.at_s < FORGET_S
        }
        last = self._refused.get(whom)
        count = 1 if last is None else last.count + 1
        until_s = time_s + self._wait.limit_s(count)
        self._refused[whom] = _Refused(tuple(refused_by), time_s, until_s, count)


def _kinds(liveness: Liveness) -> tuple[bool, ...]:
    """Which memories concern this evidence: that of what needs no challenge, and of challenges."""
    challenged = any(source.name == "challenge" for source in liveness.sources)
    return (False, True) if challenged else (False,)
