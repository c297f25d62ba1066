"""Who of many is it, or nobody: how often the daemon's own decision is right, on labeled faces.

Closed set: the share of probes of enrolled people that is named (1 - FNIR), open set: the share of
strangers' probes that is named as anybody (FPIR; ISO/IEC 19795-1). A probe is one still, which is
one look of the daemon at one frame, or a track, judged as at the door (`Judge`), whose frames are
independent photographs: they differ more than the frames of one walk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.impostors import draw_weights, percentile_interval
from edgeface.recognition.crops import Crop
from edgeface.recognition.decision import DecisionRules, evaluate
from edgeface.recognition.frame import Moment
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.judge import Judge
from edgeface.recognition.matching import Ranking, match
from edgeface.recognition.quality import Quality
from edgeface.recognition.templates import CodedRows, encode_template
from edgeface.recognition.thresholds import MIN_SCORE, Calibration, Threshold

REPLICATES: Final = 200
_FRAME_S: Final = 0.2
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
_GOOD: Final = Quality(100.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0)
"""Every photograph counts the same."""


Hardest: TypeAlias = dict[int, tuple[float, int]]
"""By the row of a still its score, and the person who is nearest."""


@dataclass(frozen=True, slots=True, eq=False)
class Portraits:
    """Faces and whose they are."""

    embeddings: NDArray[np.float32]
    """float32 `(n, d)`, unit rows."""
    subjects: NDArray[np.int32]
    """int32 `(n,)`: the person of each row."""
    people: tuple[str, ...]
    """p names."""
    pictures: tuple[str, ...] = ()
    """Of each row, if known."""

    def rows(self) -> list[NDArray[np.int64]]:
        """For each person int64 `(k,)`, their rows."""
        return [np.flatnonzero(self.subjects == person) for person in range(len(self.people))]


@dataclass(frozen=True, slots=True, eq=False)
class GallerySplit:
    """Who is enrolled from which rows, and which are shown afterwards."""

    enrolled: dict[int, NDArray[np.int64]]
    shown: dict[int, NDArray[np.int64]]
    """In the order of a track; whoever is not enrolled is a stranger."""


def draw_galleries(
    portraits: Portraits, size: int, photographs: int, rounds: int, seed: int
) -> Iterator[GallerySplit]:
    """`rounds` times another `size` people enrolled from `photographs` each, the rest strangers.

    Raises EvaluationError when there are not so many people with a photograph more than that.
    """
    rows = portraits.rows()
    fit = [person for person, own in enumerate(rows) if len(own) > photographs]
    if len(fit) < size:
        raise EvaluationError(f"{len(fit)} people have more than {photographs} photographs")
    generator = np.random.default_rng(seed)
    for _ in range(rounds):
        chosen = set(generator.permutation(fit)[:size].tolist())
        mixed = [generator.permutation(own) for own in rows]
        yield GallerySplit(
            {person: mixed[person][:photographs] for person in sorted(chosen)},
            {
                person: own[photographs:] if person in chosen else own
                for person, own in enumerate(mixed)
            },
        )


@dataclass(frozen=True)
class LargerGallery(Calibration):
    """The thresholds of a gallery so many times as large as the one that is there."""

    times: float

    def identification_threshold(
        self, target_per_track: float, max_looks: int, templates: int
    ) -> Threshold:
        """As of a `Calibration`; what a single template needs stays, as it is asked of frames."""
        larger = templates if templates == 1 else round(templates * self.times)
        return super().identification_threshold(target_per_track, max_looks, larger)


@dataclass(slots=True)
class ProbeTally:
    """What became of the probes of one kind, over all rounds; arrays are by person, `(p,)`."""

    people: int
    shown: NDArray[np.float64] = field(init=False)
    """Probes of people who were enrolled."""
    named: NDArray[np.float64] = field(init=False)
    misnamed: NDArray[np.float64] = field(init=False)
    """As somebody else."""
    first: NDArray[np.float64] = field(init=False)
    """Nearest to their own template, whether or not that reaches the threshold."""
    taken: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How often a stranger was named as the person."""
    strangers: list[NDArray[np.float64]] = field(default_factory=list)
    """Of each round the probes of strangers."""
    enrolled: list[NDArray[np.float64]] = field(default_factory=list)
    """Of each round 1 for who was enrolled."""
    mated: list[float] = field(default_factory=list)
    """Scores of enrolled people's probes with themselves; -1 where somebody else is nearer."""
    non_mated: list[float] = field(default_factory=list)
    """Scores of strangers' probes with who is nearest."""
    hardest: tuple[Hardest, Hardest] = field(default_factory=lambda: ({}, {}))
    """By the row of a still: own people's lowest score, strangers' highest, and who is nearest."""

    def __post_init__(self) -> None:
        self.shown, self.named, self.misnamed, self.first = np.zeros((4, self.people))

    def begin(self, split: GallerySplit) -> None:
        """A round with this gallery."""
        self.strangers.append(np.zeros(self.people))
        self.enrolled.append(np.zeros(self.people))
        self.enrolled[-1][list(split.enrolled)] = 1

    def count(
        self, person: int, named: set[int], best: int, score: float, row: int | None = None
    ) -> None:
        """A probe of `person` that was `named` so, and whose nearest is `best` with that score;
        `row` is that of a still."""
        own, others = self.hardest
        if not self.enrolled[-1][person]:
            self.strangers[-1][person] += 1
            self.non_mated.append(score)
            if row is not None:
                others[row] = max(others.get(row, (score, best)), (score, best))
            # A visit that was split may give two names; it is one stranger let in.
            self.taken.update((person, other) for other in sorted(named)[:1])
            return
        self.mated.append(score if best == person else MIN_SCORE)
        if row is not None:
            lowest = (self.mated[-1], best)
            own[row] = min(own.get(row, lowest), lowest)
        self.shown[person] += 1
        self.named[person] += person in named
        self.misnamed[person] += bool(named - {person})
        self.first[person] += best == person

    def share(self, of: NDArray[np.float64]) -> float | None:
        """Of all probes of enrolled people; None without one."""
        return float(of.sum() / self.shown.sum()) if self.shown.any() else None

    def fpir(self) -> float | None:
        """The share of strangers' probes that was named; None without one."""
        total = float(np.sum(self.strangers))
        return self.taken.total() / total if total else None

    def intervals(
        self, seed: int = 1
    ) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
        """The 95 % intervals of the share named and of the FPIR by bootstrap over people.

        A false name counts as often as both its people were drawn. Where the bootstrap has nothing
        to vary the "rule of three" stands for it: 3 over the people, where all probes were named,
        and 3 over the probes of strangers in a single round, where none was: the rounds show the
        same photographs again.
        """
        strangers, enrolled = np.stack(self.strangers), np.stack(self.enrolled)
        size = enrolled.sum(axis=1)
        taken = np.array([(a, b, count) for (a, b), count in self.taken.items()], dtype=np.int64)
        named: list[float] = []
        rates: list[float] = []
        for drawn in draw_weights(self.people, REPLICATES, seed):
            wide = drawn.astype(np.float64)
            if shown := float(wide @ self.shown):
                named.append(float(wide @ self.named) / shown)
            total = float(np.sum((strangers @ wide) * (enrolled @ wide) / size))
            if total and len(taken):
                first, second, count = taken.T
                rates.append(float(np.sum(wide[first] * wide[second] * count)) / total)
        most = float(strangers.sum(axis=1).max())
        if rates:
            of_strangers: tuple[float, float] | None = percentile_interval(rates)
        else:
            of_strangers = (0.0, min(1.0, 3 / most)) if most else None
        of_enrolled = percentile_interval(named) if named else None
        if self.share(self.named) == 1:
            of_enrolled = (max(0.0, 1 - 3 / np.count_nonzero(self.shown)), 1.0)
        return of_enrolled, of_strangers


@dataclass(slots=True)
class Identified:
    """What `measure` found."""

    stills: ProbeTally
    tracks: ProbeTally
    templates: int
    """What a probe was compared with, in the mean of the rounds."""


def measure(
    portraits: Portraits,
    splits: Iterator[GallerySplit],
    calibration: Calibration,
    rules: DecisionRules,
) -> Identified:
    """Enroll, show and decide with the matcher and the judge of the daemon, for each of `splits`.

    Raises EvaluationError when there is none.
    """
    found = Identified(ProbeTally(len(portraits.people)), ProbeTally(len(portraits.people)), 0)
    templates: list[int] = []
    one_look = replace(rules, min_agreeing=1)
    for split in splits:
        index = _index(portraits, split)
        numbers = list(split.enrolled)
        allowed = np.ones(len(numbers), dtype=np.bool_)
        templates.append(len(index.compared))
        found.stills.begin(split)
        found.tracks.begin(split)
        for person, rows in split.shown.items():
            for row in rows:
                probe = portraits.embeddings[row : row + 1]
                ranking = match(probe, np.ones(1, np.float32), index, allowed)
                look = evaluate(ranking, index, calibration, one_look)
                named = {numbers[ranking.best]} if look.outcome == "recognized" else set()
                found.stills.count(person, named, numbers[ranking.best], _score(ranking), int(row))
            for start in range(0, len(rows) - rules.min_agreeing + 1, rules.best_frames):
                track = portraits.embeddings[rows[start : start + rules.best_frames]]
                ranking = match(track, np.ones(len(track), np.float32), index, allowed)
                names = {numbers[n] for n in _names(track, index, calibration, rules)}
                found.tracks.count(person, names, numbers[ranking.best], _score(ranking))
    if not templates:
        raise EvaluationError("nobody is enrolled")
    found.templates = round(sum(templates) / len(templates))
    return found


def _score(ranking: Ranking) -> float:
    return MIN_SCORE if ranking.best_score is None else ranking.best_score


def _index(portraits: Portraits, split: GallerySplit) -> GalleryIndex:
    rows = np.concatenate(list(split.enrolled.values()))
    numbers = range(len(split.enrolled))
    return GalleryIndex(
        matrix=CodedRows(np.stack([encode_template(portraits.embeddings[r]).codes for r in rows])),
        owners=np.repeat(numbers, [len(own) for own in split.enrolled.values()]).astype(np.int32),
        people=tuple(portraits.people[person] for person in split.enrolled),
        display_names=(None,) * len(split.enrolled),
        valid_from_s=np.full(len(split.enrolled), -np.inf),
        valid_to_s=np.full(len(split.enrolled), np.inf),
        epoch=0,
        revision=1,
        space="",
    )


def _names(
    track: NDArray[np.float32], index: GalleryIndex, calibration: Calibration, rules: DecisionRules
) -> Sequence[int]:
    """The people, by number, whom the judge takes the face of a track for, one frame after
    another; a frame that shows somebody else splits the track, as in the pipeline."""
    allowed = np.ones(len(index.people), dtype=np.bool_)
    judge = Judge(1, rules, calibration, _moment(0))
    decisions = []
    for number, embedding in enumerate(track):
        now = _moment(number)
        if not judge.wants(_GOOD, now.time_s):
            continue
        judge.last_seen = now
        crop = Crop(embedding, _GOOD, now)
        if not judge.add(crop):
            decisions.append(judge.close(index, allowed, now.time_s))
            judge = Judge(judge.track_id + 1, rules, calibration, now)
            judge.add(crop)
        decisions.append(judge.look(index, allowed, now.time_s))
    decisions.append(judge.close(index, allowed, _moment(len(track)).time_s))
    named = (decision.person_id for decision in decisions if decision is not None)
    return [index.people.index(person_id) for person_id in named if person_id is not None]


def _moment(number: int) -> Moment:
    time_s = number * _FRAME_S
    return Moment(_START + timedelta(seconds=time_s), round(time_s * 1e9), 1)
