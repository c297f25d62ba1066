"""`edgeface config --all`: the devices of a site, each by itself and against each other."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeface.cli.main import main
from edgeface.settings.loading import DEFAULT_FILE, DROP_INS

ROOT = Path(__file__).resolve().parents[2]
SITE = """\
site: hq
camera: {source: v4l2}
mqtt: {host: broker.example}
"""

Check = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Write site.yaml and the devices' files and check them: status, lines on stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def _check(site: str | None = SITE, /, **devices: str) -> tuple[int, list[str], list[str]]:
        Path("fleet/devices").mkdir(parents=True)
        if site is not None:
            Path("fleet/site.yaml").write_text(site)
        for name, text in devices.items():
            Path(f"fleet/devices/{name}.yaml").write_text(text)
        status = main(["config", "check", "--all", "fleet"])
        captured = capsys.readouterr()
        told = captured.err.removeprefix("edgeface: ").replace("\nedgeface: ", "\n")
        return status, captured.out.splitlines(), told.splitlines()

    return _check


def test_every_device_has_a_line(check: Check) -> None:
    status, lines, told = check(a="device: a\n", b="device: b\ncamera: {fps: 5}\n")
    assert (status, told) == (0, [])
    assert lines == [
        "fleet/devices/a.yaml: good, for device a of site hq",
        "fleet/devices/b.yaml: good, for device b of site hq",
    ]


@pytest.mark.parametrize(
    ("device", "fault"),
    [
        pytest.param("device: b\nfoo: 1\n", "b.yaml:2:1: foo: is not a known key", id="unknown"),
        pytest.param("a: 1\na: 2\ndevice: b\n", "b.yaml:2:1: a: is given twice", id="twice"),
        pytest.param("device: b\ncamera:\n  fps: 0\n", "b.yaml:3:3: camera.fps", id="a value"),
        pytest.param("[1]\n", "b.yaml:1:1: should be a mapping", id="no mapping"),
        pytest.param("camera: {fps: 5}\n", "b.yaml:1:1: device: is missing", id="no device"),
        pytest.param("", "b.yaml:1:1: device: is missing", id="empty"),
        pytest.param(
            "# b\ndevice: c\n", "b.yaml:2:1: device: is c, but the file is named b.yaml", id="name"
        ),
        pytest.param(
            "device: b\nsite: annexe\n",
            "b.yaml:2:1: site: is annexe, but fleet/site.yaml says hq",
            id="another site",
        ),
        pytest.param(
            "device: b\ncamera: {source: stream}\n",
            "b.yaml:1:1: camera.url: is missing",
            id="missing from both",
        ),
    ],
)
def test_a_fault_of_one_device_is_told_with_its_place(
    check: Check, device: str, fault: str
) -> None:
    status, lines, told = check(a="device: a\n", b=device)
    assert status == 2
    assert lines[0] == "fleet/devices/a.yaml: good, for device a of site hq"
    assert re.fullmatch(r"fleet/devices/b.yaml: [12] faults?", lines[1])
    assert any(line.startswith(f"error: fleet/devices/{fault}") for line in told), told


def test_a_device_that_stands_in_two_files_names_the_first(check: Check) -> None:
    status, _, told = check(a="device: a\n", b="site: hq\ndevice: a\n", c="device: c\n")
    assert status == 2
    expected = "device: a is given twice, first in fleet/devices/a.yaml:1"
    assert f"error: fleet/devices/b.yaml:2:1: {expected}" in told


def test_a_fault_of_the_shared_file_is_told_once(check: Check) -> None:
    status, lines, told = check(SITE + "mqqt: {}\n", a="device: a\n", b="device: b\n")
    assert status == 2
    assert told == ["error: fleet/site.yaml:4:1: mqqt: is not a known key; did you mean mqtt?"]
    assert lines == [f"fleet/devices/{name}.yaml: 1 fault" for name in "ab"]


def test_the_shared_file_names_the_site_and_no_device(check: Check) -> None:
    status, _, told = check("device: a\ncamera: {source: v4l2}\n", a="device: a\nsite: hq\n")
    assert status == 2
    assert told == [
        "error: fleet/site.yaml:1:1: device: belongs in devices/ID.yaml: every device has its own",
        "error: fleet/site.yaml:1:1: site: is missing",
    ]


def test_without_a_shared_file_nothing_is_checked(check: Check) -> None:
    status, lines, told = check(None, a="device: a\n")
    assert (status, lines) == (2, [])
    assert told[0].startswith("error: fleet/site.yaml: is missing")


def test_a_site_without_devices_is_refused(check: Check) -> None:
    status, _, told = check()
    assert (status, told) == (2, ["error: fleet/devices: has no file of a device, ID.yaml"])


def test_a_file_that_nobody_would_read_is_a_fault(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    check(a="device: a\n")
    Path("fleet/devices/b.yml").write_text("device: b\n")
    assert main(["config", "check", "--all", "fleet"]) == 2
    assert "error: fleet/devices/b.yml:1:1: is not read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("own", "warning"),
    [
        pytest.param(
            "models: {embedder: ./other}\n",
            "warning: fleet/devices/c.yaml:2:10: models.embedder: other, where others have facenet",
            id="model",
        ),
        pytest.param(
            "gallery:\n  source: fleet\n",
            "warning: fleet/devices/c.yaml:3:3: gallery.source: fleet, where others have local",
            id="gallery",
        ),
        pytest.param(
            "mqtt: {host: other.example}\n",
            "warning: fleet/devices/c.yaml:2:8: mqtt.host: other.example, where others have broker",
            id="broker",
        ),
    ],
)
def test_what_devices_normally_share_is_a_warning(check: Check, own: str, warning: str) -> None:
    status, lines, told = check(a="device: a\n", b="device: b\n", c="device: c\n" + own)
    assert (status, len(lines), len(told)) == (0, 3, 1)
    assert told[0].startswith(warning)


def test_of_two_values_the_shared_files_is_the_usual_one(check: Check) -> None:
    _, _, told = check(a="device: a\nmqtt: {host: other.example}\n", b="device: b\n")
    assert told[0].startswith("warning: fleet/devices/a.yaml:2:8: mqtt.host: other.example")


def test_a_default_that_most_devices_change_is_the_odd_one(check: Check) -> None:
    fleet = "gallery: {source: fleet}\n"
    _, _, told = check(a="device: a\n", b="device: b\n" + fleet, c="device: c\n" + fleet)
    assert told[0].startswith("warning: fleet/devices/a.yaml:1:1: gallery.source: local")


def test_a_user_name_that_two_devices_share_is_a_warning(check: Check) -> None:
    user = "mqtt: {username: door}\n"
    status, _, told = check(a="device: a\n" + user, b="device: b\n" + user, c="device: c\n")
    assert status == 0
    (warning,) = told
    assert warning.startswith("warning: fleet/devices/b.yaml:2:8: mqtt.username: door is shared by")


def test_show_is_what_will_hold_on_the_device(
    check: Check, capsys: pytest.CaptureFixture[str]
) -> None:
    check(a="device: a\nmqtt: {ca_file: ca.pem}\n", b="device: b\n")
    assert main(["config", "show", "--all", "fleet", "--device", "a"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["device"], shown["mqtt"]["host"]) == ("a", "broker.example")
    assert shown["mqtt"]["ca_file"] == "/etc/edgeface/conf.d/ca.pem"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["show", "--all", "fleet", "--device", "x"], "has no device x", id="who"),
        pytest.param(["show", "--all", "fleet", "--device", "b"], "foo: is not", id="faulty"),
        pytest.param(["show", "--all", "fleet"], "belong together", id="no device"),
        pytest.param(["check", "--device", "a"], "belong together", id="no folder"),
        pytest.param(["check", "a.yaml", "--all", "fleet"], "not a FILE", id="a file as well"),
    ],
)
def test_what_cannot_be_shown_or_checked_is_said(
    check: Check, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    check(a="device: a\n", b="device: b\nfoo: 1\n")
    assert main(["config", *arguments]) == 2
    assert message in capsys.readouterr().err


class TestThePlaybookInTheDocs:
    """Its paths and commands exist here, and its drop-ins are where a device reads them."""

    @pytest.fixture
    def play(self) -> dict[str, Any]:
        text = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
        block = re.search(r"```yaml\n(- hosts:.*?)```", text, re.DOTALL)
        assert block is not None
        (play,) = yaml.safe_load(block[1])
        assert isinstance(play, dict)
        return play

    def test_what_is_copied_exists_and_lies_where_it_is_read(self, play: dict[str, Any]) -> None:
        copies = [task["copy"] for task in play["tasks"] if "copy" in task]
        folder = DEFAULT_FILE.parent / DROP_INS
        targets = [Path(copy["dest"]) for copy in copies]
        assert [path.parent for path in targets] == [folder] * 2
        assert targets == sorted(targets)
        assert [task["file"]["path"] for task in play["tasks"] if "file" in task] == [str(folder)]
        assert (ROOT / copies[0]["src"]).is_file()
        for device in (ROOT / "config" / "fleet" / "devices").glob("*.yaml"):
            source = copies[1]["src"].replace("{{ inventory_hostname }}", device.stem)
            assert (ROOT / source) == device

    def test_its_commands_run(
        self, play: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        unit = (ROOT / "systemd" / "edgeface.service").read_text(encoding="utf-8")
        commands = [shlex.split(task["command"]) for task in play["tasks"] if "command" in task]
        site, device = commands
        monkeypatch.chdir(ROOT)
        assert (site[0], main(site[1:])) == ("edgeface", 0)
        assert f"ExecStart={device[0]} run -c {DEFAULT_FILE}\n" in unit
        installed = tmp_path / "edgeface.yaml"
        installed.write_text("site: hq\ndevice: a\ncamera: {source: v4l2}\n")
        monkeypatch.setattr("edgeface.cli.config.DEFAULT_FILE", installed)
        assert main(device[1:]) == 0

    def test_its_reload_is_one_that_the_unit_knows(self, play: dict[str, Any]) -> None:
        (handler,) = play["handlers"]
        assert {task["notify"] for task in play["tasks"] if "notify" in task} == {handler["name"]}
        unit = ROOT / "systemd" / f"{handler['service']['name']}.service"
        assert handler["service"]["state"] == "reloaded"
        assert "ExecReload=" in unit.read_text(encoding="utf-8")
