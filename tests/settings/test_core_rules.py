"""The sections that mirror the recognition room's rules have their fields and defaults."""

from __future__ import annotations

import dataclasses

import pytest

from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.quality import QualityLimits
from edgeface.recognition.tracking import TrackerRules
from edgeface.settings.base import Section
from edgeface.settings.recognition import DecisionSettings, QualitySettings, TrackingSettings


@pytest.mark.parametrize(
    ("section", "rules"),
    [
        pytest.param(QualitySettings(), QualityLimits(), id="quality"),
        pytest.param(TrackingSettings(), TrackerRules(), id="tracking"),
        pytest.param(DecisionSettings(), DecisionRules(), id="decision"),
    ],
)
def test_a_section_has_the_defaults_of_the_rules(
    section: Section, rules: QualityLimits | TrackerRules | DecisionRules
) -> None:
    given = section.model_dump()
    expected = dataclasses.asdict(rules)
    assert {name: given.get(name) for name in expected} == expected
