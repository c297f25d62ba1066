"""How many of a gallery are expected to be named, as a model package says it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeface.base.errors import ModelError
from edgeface.inference.named_shares import NamedShares
from edgeface.inference.package import find_package, load_package
from tests.support.packages import NAMED, edit_description, write_embedder


@pytest.mark.parametrize(
    ("threshold", "still", "track", "extrapolated"),
    [
        pytest.param(0.4, 0.9, 1.0, False, id="a smaller gallery: at least that"),
        pytest.param(0.5, 0.9, 1.0, False, id="as measured"),
        pytest.param(0.55, 0.85, 0.99, False, id="between"),
        pytest.param(0.6, 0.8, 0.98, False, id="the largest"),
        pytest.param(0.7, 0.8, 0.98, True, id="a larger one: at most that"),
    ],
)
def test_what_is_expected_lies_between_what_was_measured(
    threshold: float, still: float, track: float, extrapolated: bool
) -> None:
    expected = NamedShares.model_validate(NAMED).at(threshold)
    assert (expected.still, expected.track) == (pytest.approx(still), pytest.approx(track))
    assert expected.extrapolated is extrapolated


def test_a_table_that_does_not_ascend_is_refused_by_its_field(tmp_path: Path) -> None:
    package = write_embedder(tmp_path / "embedder")
    assert load_package(package).identification == NamedShares.model_validate(NAMED)
    edit_description(package, lambda d: d.pop("identification"))
    assert load_package(package).identification is None
    turned = NAMED | {"sizes": NAMED["sizes"][::-1]}
    edit_description(package, lambda d: d.update(identification=turned))
    with pytest.raises(ModelError, match=r"model.yaml: identification: .*do not ascend"):
        load_package(package)
    many = NAMED | {"sizes": [{**NAMED["sizes"][0], "still": 1.2}]}
    edit_description(package, lambda d: d.update(identification=many))
    with pytest.raises(ModelError, match=re.escape("identification.sizes[0].still")):
        load_package(package)


def test_the_model_that_ships_has_the_table_of_its_own_thresholds() -> None:
    package = load_package(find_package("facenet"))
    table = package.identification
    assert table is not None
    assert [size.people for size in table.sizes] == [12, 100, 1000, 10_000]
    for size in table.sizes:
        needed = package.calibration.identification_threshold(1e-3, 3, size.people)
        # Of a person whose photographs do not agree more than one template is compared.
        assert needed.value <= size.threshold < needed.value + 0.01
        assert size.still < size.track
