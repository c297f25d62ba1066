"""Error rates of presentation attack detection, in the words of ISO/IEC 30107-3.

Each picture or film that is shown is a presentation: bona fide (live), or an attack of a species.
APCER: the share of a species' attacks that are not called one, of those that were answered; the
worst species counts, not their mean. BPCER: the share of live ones that are called an attack. So
they are what a door has to expect that refuses nobody but what is called an attack. Beside them
stands what is called live, as evidence may suffice for neither. Non-response: where nothing was
found to go by, no face above all; it is counted apart (APNRR, BPNRR), and is never "live".

Intervals are of 95 % by bootstrap over people; where that has nothing to vary, as nobody or
everybody was wrong, the "rule of three" over the people stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.impostors import share_interval
from edgeface.evaluation.rates import equal_error
from edgeface.evaluation.verification_report import operating_curve

FUSED: Final = "fused"
"""The sources together, as they are decided by; measured where there are several."""
_DET_POINTS: Final = 200


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What one source, or all of them together, says of a presentation."""

    live: bool | None
    """None: it says neither."""
    score: float | None = None
    """0 to 1, higher is more surely live; None where there is none."""

    @property
    def given(self) -> bool:
        """Whether there was anything to go by."""
        return self.live is not None or self.score is not None


@dataclass(frozen=True, slots=True)
class LivenessTrial:
    """One picture or film that was shown to the pipeline."""

    name: str
    person: str
    answers: Mapping[str, SourceAnswer]
    """By source, `FUSED` among them."""
    trouble: str | None = None
    """Why there is no answer at all."""

    def said(self, source: str) -> SourceAnswer:
        """What a source says; no answer where it is not there."""
        return self.answers.get(source, SourceAnswer(None))


def measure_liveness(
    live: Sequence[LivenessTrial], attacks: Mapping[str, Sequence[LivenessTrial]], bpcer: float
) -> dict[str, Any]:
    """The rates of every source, JSON-able; `attacks` by species.

    Each source is measured as it decides and, where it gives scores, at the threshold at which the
    share `bpcer` of the live presentations is refused, which is found on these very ones. Raises
    EvaluationError where nothing live was answered.
    """
    everything = [*live, *(one for shown in attacks.values() for one in shown)]
    sources = dict.fromkeys(source for one in everything for source in one.answers)
    if not any(one.said(FUSED).given for one in live):
        raise EvaluationError("no live picture or film has an answer, so there is nothing to say")
    names = sorted(sources, key=lambda source: source == FUSED)
    if len(names) == 2:  # what one source says alone is what is decided by
        names.remove(FUSED)
    return {
        "bpcer_asked": bpcer,
        "live": _shown(live),
        "attacks": {species: _shown(shown) for species, shown in attacks.items()},
        "sources": [_of_source(source, live, attacks, bpcer) for source in names],
        "pictures_unread": [one.trouble for one in everything if one.trouble is not None],
    }


def _shown(shown: Sequence[LivenessTrial]) -> dict[str, int]:
    return {"presentations": len(shown), "people": len({one.person for one in shown})}


def _of_source(
    source: str,
    live: Sequence[LivenessTrial],
    attacks: Mapping[str, Sequence[LivenessTrial]],
    bpcer: float,
) -> dict[str, Any]:
    bona_fide = _Told(live, source)
    told = {species: _Told(shown, source) for species, shown in attacks.items()}
    points = [_point("as it decides", None, bona_fide, told)]
    det = []
    if len(bona_fide.scores):
        threshold = threshold_for(bona_fide.scores, bpcer)
        name = f"at most {bpcer:.3g} of these live ones refused"
        points.append(_point(name, threshold, bona_fide, told))
        det = [_det(species, bona_fide.scores, one.scores) for species, one in told.items()]
    return {
        "source": source,
        "live": bona_fide.apart(),
        "attacks": {species: one.apart() for species, one in told.items()},
        "operating_points": points,
        "det": [one for one in det if one is not None],
    }


def threshold_for(live: NDArray[np.float64], bpcer: float) -> float:
    """The highest threshold below which at most the share `bpcer` of the live scores `(n,)`, n at
    least 1, lies."""
    allowed = int(np.floor(bpcer * len(live) + 1e-9))
    return float(np.sort(live)[min(allowed, len(live) - 1)])


class _Told:
    """What a source says of presentations of one kind."""

    def __init__(self, shown: Sequence[LivenessTrial], source: str) -> None:
        self._answers = [one.said(source) for one in shown]
        numbers = {person: row for row, person in enumerate({one.person: None for one in shown})}
        self._subjects = np.array([numbers[one.person] for one in shown], np.int32)
        self._people = len(numbers)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Of those that have one, float64 `(n,)`."""
        found = [answer.score for answer in self._answers if answer.score is not None]
        return np.array(found, np.float64)

    def apart(self) -> dict[str, Any]:
        """The share of all that is called live, and that without an answer (APNRR or BPNRR)."""
        everything = [True] * len(self._answers)
        return {
            "called_live": self._rate(everything, [a.live is True for a in self._answers]),
            "non_response": self._rate(everything, [not a.given for a in self._answers]),
        }

    def attacks(self, called: bool, threshold: float | None) -> dict[str, Any]:
        """The share of the answered ones that is called an attack, or is not; by the source's own
        word, or with `threshold` by the score."""
        if threshold is None:
            said = [a.live is False if a.given else None for a in self._answers]
        else:
            said = [None if a.score is None else a.score < threshold for a in self._answers]
        return self._rate([word is not None for word in said], [word is called for word in said])

    def _rate(self, counted: Sequence[bool], hits: Sequence[bool]) -> dict[str, Any]:
        chosen = np.array(counted, np.bool_)
        hit, subjects = np.array(hits, np.bool_)[chosen], self._subjects[chosen]
        number = len(hit)
        return {
            "count": int(hit.sum()),
            "of": number,
            "rate": float(hit.mean()) if number else None,
            "interval_95": _interval(hit, subjects, self._people),
        }


def _interval(
    hits: NDArray[np.bool_], subjects: NDArray[np.int32], people: int
) -> tuple[float, float] | None:
    """None where there is nothing, or a single person with both."""
    if not len(hits):
        return None
    most = min(1.0, 3 / len(np.unique(subjects)))
    if not hits.any():
        return 0.0, most
    if hits.all():
        return 1.0 - most, 1.0
    return share_interval(hits, subjects, people, replicates=1000)


def _point(
    name: str, threshold: float | None, live: _Told, attacks: Mapping[str, _Told]
) -> dict[str, Any]:
    species: list[dict[str, Any]] = [
        {"species": title} | told.attacks(False, threshold) for title, told in attacks.items()
    ]
    species.sort(key=lambda one: -1.0 if one["rate"] is None else one["rate"], reverse=True)
    return {
        "name": name,
        "threshold": threshold,
        "bpcer": live.attacks(True, threshold),
        "apcer": species,
    }


def _det(
    species: str, live: NDArray[np.float64], attack: NDArray[np.float64]
) -> dict[str, Any] | None:
    """APCER and BPCER of one species at every threshold; None where nothing was scored."""
    if not len(attack):
        return None
    samples = live.astype(np.float32), attack.astype(np.float32)
    equal = equal_error(*samples)
    apcer, passed = operating_curve(*samples)
    rows = np.unique(np.linspace(0, len(apcer) - 1, min(_DET_POINTS, len(apcer))).astype(int))
    return {
        "species": species,
        "eer": equal.rate,
        "eer_threshold": equal.threshold,
        "points": [{"apcer": float(apcer[row]), "bpcer": float(1 - passed[row])} for row in rows],
    }
