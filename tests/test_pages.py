"""The pages that lead through the code name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "systemd" / "install.md"]
)
NAMED = re.compile(r"`((?:[a-z0-9_]+/)+(?:[a-z0-9_]+\.(?:py|md|yaml|service))?)`")
"""A path within backquotes."""
LINKED = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
OUR_FOLDERS = {"edgeface", "docs", "config", "models", "tests", "systemd", "constraints"}
ROOMS = {path.name for path in (ROOT / "edgeface").iterdir() if path.is_dir()}


def named_files(text: str) -> list[Path]:
    """What a page names of the project: from its root, or from the package."""
    found = []
    for name in NAMED.findall(text):
        first = name.split("/")[0]
        if first in OUR_FOLDERS:
            found.append(ROOT / name)
        elif first in ROOMS and name.endswith((".py", "/")):
            found.append(ROOT / "edgeface" / name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_and_links_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wanted = named_files(text) + [page.parent / name for name in LINKED.findall(text)]
    assert [str(path) for path in wanted if not path.exists()] == []


def test_the_walk_through_the_house_names_files() -> None:
    assert len(named_files((ROOT / "docs" / "design.md").read_text(encoding="utf-8"))) > 40
    assert len(named_files((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))) > 15
