"""Which embedding models the people are enrolled for, and what a gallery of this size risks."""

from __future__ import annotations

from dataclasses import dataclass

from edgeface.gallery.store import GalleryStore
from edgeface.recognition.thresholds import Calibration

DAYS_A_YEAR = 365.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """One space."""

    space: str
    people: int
    """Who has templates in it."""
    templates: int
    missing: tuple[str, ...]
    """Who has none: to be enrolled again before devices can switch to it."""


def coverage(store: GalleryStore, in_use: str) -> tuple[Coverage, ...]:
    """The space in use first, then every other one that somebody has templates in."""
    people = {person_id: store.spaces(person_id) for person_id in store.ids()}
    spaces = sorted({space for counts in people.values() for space in counts} | {in_use})
    spaces.sort(key=lambda space: space != in_use)
    return tuple(
        Coverage(
            space=space,
            people=sum(space in counts for counts in people.values()),
            templates=sum(counts.get(space, 0) for counts in people.values()),
            missing=tuple(person_id for person_id, counts in people.items() if space not in counts),
        )
        for space in spaces
    )


def false_accepts_a_year(
    calibration: Calibration,
    threshold: float,
    *,
    templates: int,
    max_looks: int,
    strangers_a_day: float,
) -> float:
    """How many tracks of strangers are expected to come out as somebody, in a year.

    A look at `templates` templates is a false match with 1 - (1 - FMR)^N, at most `max_looks` looks
    a track; that several frames have to agree is not counted, so this is an upper estimate.
    """
    fmr = float(calibration.survival_at(threshold))
    track = min(1.0, max_looks * (1.0 - (1.0 - fmr) ** templates))
    return strangers_a_day * DAYS_A_YEAR * track


def poor_people(store: GalleryStore, space: str, minimum: float) -> tuple[str, ...]:
    """Who has templates in `space`, but none of a picture with at least this quality (0 to 1)."""
    poor = []
    for person_id in store.ids():
        items = store.templates(person_id, space)
        if items and max(item.quality for item in items) < minimum:
            poor.append(person_id)
    return tuple(poor)
