"""Every file under config/ loads, and says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

from edgeface.settings.fleet import load_fleet
from edgeface.settings.loading import load_settings
from edgeface.settings.places import shipped, shipped_models
from edgeface.settings.tree import Settings, settings_schema

ROOT = Path(__file__).resolve().parents[2]
FLEET = ROOT / "config" / "fleet"
OTHERS = ROOT / "config" / "brokers"
"""Of other programs, which do not run here."""
FILES = sorted(
    path for path in (ROOT / "config").rglob("*.yaml") if not {FLEET, OTHERS} & {*path.parents}
)


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_a_shipped_configuration_loads_and_fits_the_schema(path: Path) -> None:
    load_settings(path)
    jsonschema.validate(yaml.safe_load(path.read_text()), settings_schema())


def test_the_configurations_of_other_programs_are_well_formed() -> None:
    vector = yaml.safe_load((OTHERS / "vector.yaml").read_text())
    assert vector["sinks"]["kafka"]["inputs"] == list(vector["transforms"])
    telegraf = tomllib.loads((OTHERS / "telegraf.conf").read_text())
    assert list(telegraf) == ["inputs", "processors", "outputs"]
    assert ET.parse(OTHERS / "hivemq.xml").getroot().tag == "hivemq"


def test_the_shipped_site_holds_on_a_device_as_it_was_checked(tmp_path: Path) -> None:
    fleet = load_fleet(FLEET)
    assert (fleet.faults, fleet.warnings, len(fleet.devices)) == ((), (), 3)
    (tmp_path / "edgeface.yaml").write_text((ROOT / "config" / "edgeface.yaml").read_text())
    drop_ins = tmp_path / "conf.d"
    drop_ins.mkdir()
    for device in fleet.devices:
        (drop_ins / "20-site.yaml").write_text((FLEET / "site.yaml").read_text())
        (drop_ins / "30-device.yaml").write_text(device.path.read_text())
        assert load_settings(tmp_path / "edgeface.yaml") == device.settings


def test_the_commented_default_names_every_key_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "config" / "edgeface.yaml").read_text()
    plain = load_settings(ROOT / "config" / "edgeface.yaml")
    uncommented = tmp_path / "edgeface.yaml"
    uncommented.write_text(
        re.sub(r"^( *)#(?=( {2})?[a-z_]+:(\s|$))", r"\1", text, flags=re.MULTILINE)
    )
    full = load_settings(uncommented)
    assert full == plain
    given = yaml.safe_load(uncommented.read_text())
    assert set(given) == set(Settings.model_fields)
    for name, section in full:
        if name not in ("site", "device", "state_dir"):
            assert set(given[name]) == set(type(section).model_fields), name


def test_the_schema_is_one_and_describes_the_fields() -> None:
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "topics" in schema["properties"]["site"]["description"]
    decision = schema["$defs"]["DecisionSettings"]["properties"]
    assert "strangers" in decision["target_fpir"]["description"]


def test_what_ships_lies_beside_the_package_in_a_checkout() -> None:
    assert shipped_models() == ROOT / "models"
    assert shipped("config", "edgeface.yaml").is_file()


def test_every_model_package_is_installed_with_the_wheel() -> None:
    installed = (ROOT / "setup.cfg").read_text()
    packages = [path.parent for path in (ROOT / "models").glob("*/model.yaml")]
    assert [path.name for path in packages if f"models/{path.name}/*" not in installed] == []
