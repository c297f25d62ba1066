"""Whatever a file holds, the answer is settings or lines with a place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgeface.base.errors import SettingsError
from edgeface.settings.loading import load_settings
from edgeface.settings.tree import Settings

LINE = re.compile(r"any\.yaml:[1-9][0-9]*:[1-9][0-9]*: .")

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
names = st.sampled_from([*Settings.model_fields, "source", "fps", "size", "host", "port", "images"])
trees = st.recursive(
    scalars | names,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(names | st.text(max_size=3), below),
    max_leaves=12,
)


def check(path: Path) -> None:
    try:
        load_settings(path)
    except SettingsError as error:
        lines = str(error).splitlines()
        assert all(LINE.search(line) for line in lines), lines
    else:
        pytest.fail("three keys are needed, and chance does not find them")


relaxed = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(data=st.binary(max_size=200))
@example(data="﻿- \x85".encode())
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(data)
    check(path)


@relaxed
@given(tree=st.dictionaries(names, trees, max_size=6))
def test_any_tree(tmp_path: Path, tree: dict[str, object]) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    check(path)
