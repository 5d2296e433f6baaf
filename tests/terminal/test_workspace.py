"""A real sweep in the workspace, and a run of it in the explorer, in a real terminal."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .terminal import COMMAND, Terminal

SWEEP = ("sweep", "no_theta", "--seeds", "0:2", "--steps", "30", "--jobs", "1", "--draws", "32")


@pytest.mark.slow
def test_a_sweep_is_looked_at_and_one_of_its_runs_opened(tmp_path: Path) -> None:
    folder = tmp_path / "swept"
    subprocess.run([*COMMAND, *SWEEP, "--out", str(folder)], check=True, capture_output=True)
    with Terminal([*COMMAND, str(folder)]) as terminal:
        terminal.wait("no_theta · 2 runs · ELBO, running mean")
        terminal.wait(r"seed 0: ELBO -\d+")
        terminal.pass_time(2.0)
        sent = len(terminal.sent)
        terminal.pass_time(3.0)
        assert len(terminal.sent) == sent
        terminal.press("down", "enter")
        terminal.wait(r"step 30 .*paused")
        terminal.press("n")
        terminal.wait(r"step 31 .*paused")
        terminal.press("escape")
        terminal.wait(r"back to the runs\? 1 step will be lost")
        terminal.press("y")
        terminal.wait(r"seed 1: ELBO -\d+")
        terminal.press("c")
        terminal.wait("below the best")
        terminal.press("escape")
        terminal.wait("no_theta · 2 runs")
        terminal.press("q")
        assert terminal.ended() == 0


def test_a_folder_without_runs_says_so(tmp_path: Path) -> None:
    ran = subprocess.run([*COMMAND, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "this folder is empty" in ran.stderr
    assert "elbo-tui sweep" in ran.stderr
    (tmp_path / "model.py").write_text("")
    ran = subprocess.run([*COMMAND, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "this is a directory, not a scenario" in ran.stderr
