"""The sections that mirror the recognition room's rules have their fields and defaults."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from edgeface.contract import event
from edgeface.recognition.assessment import AssessmentRules
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.liveness import Policy
from edgeface.recognition.quality import QualityLimits
from edgeface.recognition.tracking import TrackerRules
from edgeface.settings import recognition as settings
from edgeface.settings.base import Section
from edgeface.settings.recognition import (
    DecisionSettings,
    PadSettings,
    QualitySettings,
    TrackingSettings,
)


def test_the_policies_and_their_defaults_are_those_of_the_rules_and_of_the_contract() -> None:
    section, rules = PadSettings(), AssessmentRules()
    assert section.event == section.verify == rules.policy
    assert section.wait_s == rules.wait_s
    assert section.back_off_s == rules.back_off_s
    assert get_args(settings.PadPolicy) == get_args(Policy) == get_args(event.PadPolicy)


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
