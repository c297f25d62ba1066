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


def test_what_is_empty_is_told_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "edgeface.yaml"
    path.write_text(
        "site: hq\ndevice: door-1\nmqtt: {host: '', username: ''}\n"
        "camera:\n  source: simulated\n  photographs: []\n  presentations: []\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    lines = str(caught.value).splitlines()
    assert [line.removeprefix(f"{tmp_path}/") for line in lines] == [
        "edgeface.yaml:3:8: mqtt.host: is empty",
        "edgeface.yaml:3:18: mqtt.username: is empty",
        "edgeface.yaml:6:3: camera.photographs: is empty; name at least one",
        "edgeface.yaml:7:3: camera.presentations: is empty; name at least one",
    ]
