"""What libraries write behind Python's back does not stand between the lines of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.cli.vendor_lines import REPEAT_S, VERBS, Thinner
from edgeface.demo.photographs import COLLINS, HOPPER
from tests.support.daemon import ROOT, edgeface

CHILD = """
import os, sys
from edgeface.cli.vendor_lines import vendor_lines
from edgeface.service.logs import configure
from edgeface.settings.daemon import LogSettings
with vendor_lines(sys.argv[1]):
    configure(LogSettings(format="json"))
    for number in range(1000):
        os.write(2, b"[mpjpeg @ 0x7f%06x] overread %d\\n" % (number, number))
    os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n\\n" + b"\\xff" * 2000)
    print("ours", file=sys.stderr)
os.write(2, b"after it\\n")
print("also ours", file=sys.stderr)
"""


def said(verb: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, verb],
        capture_output=True,
        text=True,
        check=True,
        errors="replace",
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.stderr.splitlines()


def test_the_daemon_logs_them_as_records_and_each_kind_once() -> None:
    lines = said("run")
    assert lines[-2:] == ["after it", "also ours"]
    lines.remove("ours")
    records = [json.loads(line) for line in lines[:-2]]
    messages = [record["message"] for record in records]
    assert messages[0] == "[mpjpeg @ 0x7f000000] overread 0"
    assert messages[1] == "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
    assert len(messages) <= 4
    assert {record["logger"] for record in records} == {"edgeface.vendor"}


def test_a_verb_that_starts_processes_is_left_as_it_is() -> None:
    assert not {"door", "demo", "call", "bench"} & VERBS
    assert len(said("door")) > 1000


def test_the_same_line_with_other_numbers_is_counted_until_its_time_is_over() -> None:
    now_s = [0.0]
    thinner = Thinner(lambda: now_s[0])
    assert [thinner.passes(f"overread {number}") for number in range(3)] == [0, None, None]
    assert thinner.passes("another") == 0
    now_s[0] = REPEAT_S
    assert thinner.passes("overread 9") == 2


@pytest.mark.timeout(120)
def test_verbs_print_no_vendors_lines(tmp_path: Path) -> None:
    picture = cv2.imread(str(HOPPER))
    assert picture is not None
    whole = cv2.imencode(".jpg", np.asarray(picture))[1].tobytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    for pair in ((HOPPER, COLLINS), (tmp_path / "cut.jpg", COLLINS)):
        done = edgeface("compare", *pair)
        for word in ("TensorFlow", "XNNPACK", "JPEG datastream", "premature"):
            assert word not in done.stderr.replace("edgeface: ", "")
