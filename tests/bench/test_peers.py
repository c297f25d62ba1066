"""The comparison with other systems: what is counted, and that each takes the same frames.

The peers themselves are not installed here: a small one of the same protocol stands in for them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeface.bench.peers import contestant
from edgeface.bench.peers.comparison import OWN, VISITOR, ShownFrames, compare
from edgeface.bench.peers.showing import show_photographs
from edgeface.cli.main import main
from edgeface.demo import photographs

STAND_IN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("contestant", sys.argv[1])
contestant = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contestant)

class StandIn:
    def __init__(self, options):
        self.people, self.seen = [], 0
    def enroll(self, name, image_bgr):
        self.people.append(name)
        return sys.argv[2] != "blind"
    def name(self, image_bgr, at_s, /):
        assert image_bgr.shape == (180, 320, 3)
        self.seen += 1
        if sys.argv[2] == "fails" and self.seen == 3:
            raise SystemExit("no more")
        return [{"knows": "visitor", "errs": "another", "fails": None}[sys.argv[2]], None]

contestant.serve(StandIn)
"""


@pytest.fixture
def shown(tmp_path: Path) -> ShownFrames:
    ours = [photographs.COLLINS, photographs.HOPPER]
    return show_photographs(ours, (320, 180), 40, tmp_path / "frames.npy")


def stand_in(what: str) -> list[str]:
    return [sys.executable, "-c", STAND_IN, str(contestant.__file__), what]


def people() -> list[tuple[str, Path]]:
    return [(VISITOR, photographs.COLLINS)]


def test_names_are_right_while_the_visitor_is_there_and_wrong_otherwise(shown: ShownFrames) -> None:
    systems = {OWN: stand_in("knows"), "errs": stand_in("errs")}
    own, errs = compare(shown, people(), systems, {"threads": 1})
    visits = sum(shown.visitor)
    assert 0 < visits < 40
    assert (own.right, own.wrong) == (visits, 40 - visits)
    assert (own.frames_to_name, own.times_edgeface) == (1, 1.0)
    assert (errs.right, errs.wrong, errs.frames_to_name, errs.ms_to_name) == (0, 40, None, None)
    assert errs.times_edgeface > 0
    assert errs.resident_mib > 1


@pytest.mark.parametrize(("what", "word"), [("blind", "no face"), ("fails", "ended with status 1")])
def test_a_system_that_cannot_go_on_is_told(shown: ShownFrames, what: str, word: str) -> None:
    systems = {OWN: stand_in("knows"), "peer": stand_in(what)}
    with pytest.raises(Exception, match=f"peer {word}|peer finds {word}"):
        compare(shown, people(), systems, {"threads": 1})


def test_edgeface_names_the_visitor_once_and_not_the_stranger(tmp_path: Path) -> None:
    pictures = [photographs.COLLINS, photographs.HOPPER]
    shown = show_photographs(pictures, (640, 360), 70, tmp_path / "frames.npy")
    systems = {OWN: [sys.executable, "-m", "edgeface.bench.peers.own"]}
    (own,) = compare(shown, people(), systems, {"threads": 1})
    assert (own.right, own.wrong) == (1, 0)
    assert own.frames_to_name is not None
    assert own.frames_to_name < 35


def test_without_the_peers_the_way_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "peers", "--python", "none"]) == 2
    assert "`make peers`" in capsys.readouterr().err
