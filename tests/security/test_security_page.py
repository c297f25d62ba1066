"""docs/security.md says what the roles are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeface.cli.main import build_parser
from edgeface.security.roles import DETAILS, ROLES, RoleName

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text()


@pytest.mark.parametrize("role", ROLES)
def test_the_table_of_roles_is_that_of_the_code(role: RoleName) -> None:
    (row,) = re.findall(rf"^\| `{role}`[^|]*\|([^|]*)\|([^|]*)\|$", PAGE, re.MULTILINE)
    publish, read = (re.findall(r"`([^`]+)`", cell) for cell in row)
    rules = DETAILS[role].rules
    assert sorted(publish) == sorted(topic for access, topic in rules if "write" in access)
    assert sorted(read) == sorted(topic for access, topic in rules if "read" in access)


def test_every_command_of_the_page_can_be_parsed() -> None:
    found = re.findall(r"^edgeface (certs [^#>\n]+)", PAGE, re.MULTILINE)
    assert len(found) >= 7
    for line in found:
        assert build_parser().parse_args(line.split()).verb == "certs"
