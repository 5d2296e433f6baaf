"""The line that says how far a command has come: on a terminal's stderr, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from tui_elbo.cli.progress import WIPE, Progress, duration, steps_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_is_written_over_and_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    line = Progress()
    line.clear()
    line.show("loading")
    line.show("loading")
    line.begin(0, 10)
    line.stepped(3, 10)
    line.clear()
    line.clear()
    texts = sys.stderr.getvalue().split(WIPE)
    assert texts[:3] == ["", "loading", "step 0 of 10"]
    assert texts[3].startswith("step 3 of 10 · ")
    assert texts[4:] == [""]


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_nothing_is_written_where_there_is_no_terminal(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    line = Progress()
    line.begin(0, 10)
    line.stepped(1, 10)
    line.clear()
    assert stream is None or stream.getvalue() == ""


def test_nothing_is_written_between_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    line = Progress()
    line.hidden = True
    line.show("loading")
    assert sys.stderr.getvalue() == ""


def test_a_line_is_no_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    Progress().show("x" * 200)
    assert len(sys.stderr.getvalue()) == len(WIPE) + 79


def test_how_far_how_quickly_and_how_long() -> None:
    assert steps_text(0, 300, 0, 1.0) == "step 0 of 300"
    assert steps_text(100, 300, 100, 2.0) == "step 100 of 300 · 50/s · 4 s left"
    assert steps_text(503, 800, 3, 12.0) == "step 503 of 800 · 4.0 s a step · 20 min left"
    assert steps_text(300, 300, 300, 3.0) == "step 300 of 300 · 100/s"
    assert [duration(s) for s in (0.4, 99, 120, 7200)] == ["0 s", "99 s", "2 min", "2.0 h"]
