"""Fixtures of the demo's tests."""

from __future__ import annotations

import pytest

from tests.support.hearsay import Hearsay


@pytest.fixture
def hearsay() -> Hearsay:
    return Hearsay()
