"""The settings of a device whose camera nobody opens."""

from __future__ import annotations

from typing import Any

from edgeface.settings.tree import Settings


def settings_of(**sections: Any) -> Settings:
    """A valid tree, with these sections or keys in it."""
    camera = {"source": "images", "folder": "/nowhere"}
    return Settings.model_validate({"site": "hq", "device": "door-1", "camera": camera} | sections)
