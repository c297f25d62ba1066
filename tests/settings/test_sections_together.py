"""What one section asks of another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeface.base.errors import SettingsError
from edgeface.settings.loading import load_settings

Write = Callable[..., Path]
NEEDED = "site: hq\ndevice: door-1\ncamera: {source: v4l2}\n"


def test_a_challenge_that_is_demanded_has_the_time_that_it_takes(write: Write) -> None:
    demanded = NEEDED + "pad: {verify: challenge}\n"
    assert load_settings(write(demanded)).commands.verify_timeout_max_s >= 10
    commands = "commands: {verify_timeout_s: 4, verify_timeout_max_s: 8}\n"
    with pytest.raises(SettingsError, match="takes a person six to eight seconds"):
        load_settings(write(demanded + commands))
    load_settings(write(NEEDED + commands))
