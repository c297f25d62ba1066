"""`make install` into a folder: what goes where, what is kept, what is taken away again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Only the program itself, built by the setuptools of the environment that the tests run in.
OFFLINE = {
    "PIP_NO_DEPS": "1",
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PYTHONPATH": sysconfig.get_path("purelib"),
}


def test_it_is_installed_updated_with_the_configuration_kept_and_taken_away(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(
        ROOT,
        checkout,
        ignore=shutil.ignore_patterns(".git", ".venv*", ".*_cache", "build", "dist", "*.egg-info"),
    )
    root, program = tmp_path / "root", tmp_path / "root/opt/edgeface"

    def make(verb: str) -> str:
        done = subprocess.run(
            ["make", "-s", verb, f"PYTHON={sys.executable}"],
            cwd=checkout,
            env=os.environ | {"DESTDIR": str(root)} | OFFLINE,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    make("install")
    assert (program / "bin/edgeface").read_text().splitlines()[0] == "#!/opt/edgeface/bin/python"
    assert (root / "usr/local/bin/edgeface").readlink() == Path("/opt/edgeface/bin/edgeface")
    assert (program / "share/edgeface/models/facenet/model.tflite").is_file()
    left = [path for path in program.rglob("*.cfg") if str(root) in path.read_text()]
    assert left == []
    units = root / "etc/systemd/system"
    shipped = {path.name for path in (ROOT / "systemd").iterdir()}
    assert {path.name for path in units.iterdir()} == {
        name for name in shipped if name.endswith((".service", ".timer"))
    }
    assert (root / "etc/udev/rules.d/60-edgeface.rules").is_file()

    configuration = root / "etc/edgeface/edgeface.yaml"
    configuration.write_text("device: mine\n")
    assert "kept /etc/edgeface/edgeface.yaml" in make("install")
    assert configuration.read_text() == "device: mine\n"

    assert "/etc/edgeface" in make("uninstall")
    left = [path for path in root.rglob("*") if path.is_file() or path.is_symlink()]
    assert left == [configuration]


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="no systemd-tmpfiles here")
def test_systemd_takes_the_lists_of_users_and_folders(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for tool, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")):
        arguments = ["--create"] if name == "tmpfiles" else []
        done = subprocess.run(
            [tool, f"--root={tmp_path}", *arguments, str(ROOT / f"systemd/edgeface.{name}")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert "edgeface" in (tmp_path / "etc/passwd").read_text()
    assert (tmp_path / "var/lib/edgeface").stat().st_mode & 0o777 == 0o700
