"""What is shown while pictures are worked on."""

from __future__ import annotations

import io

import pytest

from edgeface.evaluation.stills import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_file_gets_lines() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress("pictures", 4, stream)
        for done in range(1, 5):
            progress.show(done)
    assert terminal.getvalue().startswith("\r[")
    assert f"[{24 * '#'}] pictures 4/4, " in terminal.getvalue()
    assert terminal.getvalue().endswith(" 0:00 left \n")
    assert file.getvalue().startswith("pictures 4/4, ")
    assert "[" not in file.getvalue()


@pytest.mark.parametrize(("total", "done"), [(0, 0), (3, 5)])
def test_a_total_that_is_not_right_does_no_harm(
    total: int, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    progress = Progress("frames", total, terminal)
    monkeypatch.setattr("edgeface.evaluation.stills._SHOWN_EVERY_S", 0.0)
    progress.show(done)
    progress.end()
    assert terminal.getvalue().count("#") <= 24
    assert terminal.getvalue().endswith("left \n")
