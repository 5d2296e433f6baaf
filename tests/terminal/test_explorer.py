"""The real command in a real terminal: screen, engine, and the way between them."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from pathlib import Path

import pytest

from .terminal import COMMAND, Terminal

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def scenario(tmp_path: Path, body: str) -> str:
    path = tmp_path / "scenario.py"
    path.write_text(
        "import torch, pyro, pyro.distributions as dist\n"
        "def guide():\n"
        '    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.)), 1.))\n'
        "def model():\n"
        '    z = pyro.sample("z", dist.Normal(0., 1.))\n' + body
    )
    return str(path)


def test_a_scenario_is_stepped_run_and_left() -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        terminal.press("n", "5", "n")
        terminal.wait(r"step 6 .* elbo -\d+\.\d+ .* log q -?\d+\.\d+ .* log p -\d+\.\d+ .*paused")
        terminal.press(" ")
        terminal.wait(r"\d+/s")
        terminal.press(" ")
        screen = terminal.wait("space run ")  # The status may say the verdict instead.
        for part in ("log p(x, z)", "log q(z)", "ELBO", "parameters ── θ 0 · φ 2", "loc", "scale"):
            assert part in screen
        terminal.press("q")
        if terminal.comes("steps are not exported"):
            terminal.press("y")
        assert terminal.ended() == 0
        assert terminal.sent.rstrip().endswith((b"\x1b[?1049l", b"\x1b[?25h", b"l", b"h"))
        assert b"\x1b[?1049l" in terminal.sent


@pytest.mark.slow
def test_rewinding_and_forth_shows_the_same_numbers() -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        terminal.press("6", "n")
        (seen,) = re.findall(r"step 6 .*paused", terminal.wait(r"step 6 .*paused"))
        terminal.press("4", "N")
        terminal.wait(r"step 2 .*paused")
        terminal.press("5", "n", "N")
        assert seen in terminal.wait(r"step 6 .*paused")
        terminal.press("q")
        assert terminal.ended() == 0


def test_the_gallery_opens_a_scenario() -> None:
    with Terminal([*COMMAND]) as terminal:
        terminal.wait("no_theta|fixed_mean_guide")
        terminal.press("enter")
        terminal.wait("log q")
        terminal.press("n")
        terminal.wait("step 1 ")
        terminal.press("q")
        assert terminal.ended() == 0


@LINUX
def test_only_the_engine_has_torch() -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        terminal.press("n")
        terminal.wait("step 1 ")
        (engine,) = terminal.children()
        assert "libtorch" in Path(f"/proc/{engine}/maps").read_text()
        assert "libtorch" not in Path(f"/proc/{terminal.pid}/maps").read_text()
        terminal.press("q")
        terminal.ended()
        assert not Path(f"/proc/{engine}").exists()


@LINUX
def test_a_killed_engine_is_reported_and_started_again() -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        terminal.press("7", "n")
        terminal.wait("step 7 ")
        (engine,) = terminal.children()
        os.kill(engine, signal.SIGKILL)
        assert "step 7 " in terminal.wait("killed")
        terminal.press("R")
        terminal.wait(r"reload in a fresh engine\?")
        terminal.press("y")
        terminal.wait("step 0 .*paused")
        terminal.press("n")
        terminal.wait("step 1 .*paused")
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.slow
def test_a_model_that_hangs_shows_where(tmp_path: Path) -> None:
    hangs = scenario(tmp_path, "    while True: pass\n")
    with Terminal([*COMMAND, hangs]) as terminal:
        terminal.press("n")
        terminal.wait("step 0 .*(running|▶)|running")
        terminal.press("ctrl+c")
        terminal.wait("interrupted")
        terminal.press("e")
        assert "scenario.py" in terminal.wait("Traceback(.|\n)*while True: pass")
        terminal.press("escape")
        terminal.wait("n step")
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.slow
def test_what_a_model_prints_stays_off_the_screen(tmp_path: Path) -> None:
    prints = scenario(
        tmp_path, '    print("\\x1b[2J\\x1b]0;title\\x07" + "noise " * 3)\n'
        '    pyro.sample("x[red]\\n\\x1b[31m", dist.Normal(z, 1.), obs=torch.tensor(1.))\n'
    )  # fmt: skip
    with Terminal([*COMMAND, prints], 120, 40) as terminal:
        terminal.press("3", "n")
        assert "noise" not in terminal.wait("step 3 ")
        assert "x[red]" in terminal.wait("x.red")
        terminal.press("o")
        terminal.wait("noise noise noise")
        terminal.press("escape")
        terminal.wait("n step")
        terminal.press("q")
        assert terminal.ended() == 0
        assert b"\x1b]0;title" not in terminal.sent


@pytest.mark.slow
def test_sizes_change_while_it_runs() -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        terminal.press(" ")
        terminal.wait(r"\d/s")
        for cols, rows in [(40, 10), (120, 40), (10, 3), (61, 18), (200, 50), (80, 24)] * 3:
            terminal.resize(cols, rows)
        terminal.press(" ")
        terminal.wait(r"step \d+ .*paused")
        terminal.resize(40, 10)
        terminal.wait("needs 60")
        terminal.resize(80, 24)
        terminal.wait(r"step \d+ .*paused")
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.slow
def test_the_last_of_many_sizes_counts() -> None:
    """Signals that come together interrupt each other's handlers: see `CellDiffApp._settle`."""
    sizes = random.Random(0)
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        shown = terminal.wait(r"known after the first step(?s:.*)paused")
        all_but_keys = re.escape(shown.rpartition("\n")[0])
        for _ in range(50):
            for _ in range(sizes.randrange(3, 60)):
                terminal.resize(*sizes.choice([(40, 10), (120, 40), (10, 3), (200, 50)]))
            terminal.resize(80, 24)
            terminal.wait(rf"\A{all_but_keys}\n.*\Z")
        terminal.press("q")
        assert terminal.ended() == 0
