"""The terminal is restored, whatever ends the program; and kinds of terminals."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime import end_all, runtime_folder
from tests.terminal.terminal import COMMAND, Terminal

LEFT = (b"\x1b[?1049l", b"\x1b[?25h")
"""Back from the alternate screen, and the cursor shown."""

ENTERED = b"\x1b[?1049h"


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder
        end_all()


def settings(terminal: Terminal) -> list[object]:
    """How the terminal treats what is typed and printed."""
    return termios.tcgetattr(terminal._line)


def restored(terminal: Terminal, before: list[object]) -> None:
    assert settings(terminal) == before
    if ENTERED in terminal.sent:
        for sequence in LEFT:
            assert terminal.sent.rfind(sequence) > terminal.sent.rfind(ENTERED)


def test_after_quitting() -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        before = settings(terminal)
        terminal.wait("paused")
        assert settings(terminal) != before
        terminal.press("q")
        assert terminal.ended() == 0
        restored(terminal, before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_after_a_signal(number: signal.Signals) -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        before = settings(terminal)
        terminal.press("n")
        terminal.wait("step 1 ")
        os.kill(terminal.pid, number)
        assert terminal.ended() == 128 + number
        restored(terminal, before)
        assert b"elbo-tui attach no_theta" in terminal.sent


RAISES = """
import sys
from tui_elbo.ui import explorer
def broken(self): raise RuntimeError("drawn wrong")
explorer.Explorer.draw_bottom = broken
from tui_elbo.cli import main
sys.exit(main(["no_theta"]))
"""


@pytest.mark.slow
def test_after_an_exception_of_our_own(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(RAISES)
    with Terminal([COMMAND[0], str(program)]) as terminal:
        before = settings(terminal)
        assert terminal.ended() != 0
        restored(terminal, before)
        assert b"drawn wrong" in terminal.sent


@pytest.mark.slow
def test_after_the_engine_has_died() -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        before = settings(terminal)
        terminal.wait("paused")
        (engine,) = terminal.children()
        os.kill(engine, signal.SIGKILL)
        terminal.wait("killed")
        terminal.press("q")
        assert terminal.ended() == 0
        restored(terminal, before)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0])
def test_ctrl_c_at_any_moment(seconds: float) -> None:
    """Before the screen is there it ends the program; then it interrupts, and `q` quits."""
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        before = settings(terminal)
        terminal.pass_time(seconds)
        terminal.press("ctrl+c")
        shown = terminal.comes(r"paused|\$ ")
        if shown:
            terminal.press("q")
            assert terminal.ended() == 0
        else:
            code = terminal.ended()
            # Interrupted before it runs a line of ours, Python ends as it does for any program.
            sent = terminal.sent
            starting = code == 1 and b"KeyboardInterrupt" in sent and b"tui_elbo" not in sent
            in_site = code == 1 and b"init_import_site" in sent
            assert starting or in_site or code in (130, -signal.SIGINT)
        restored(terminal, before)


def test_a_dumb_terminal_is_pointed_elsewhere() -> None:
    with Terminal([*COMMAND, "no_theta"], TERM="dumb") as terminal:
        assert terminal.ended() == 2
        assert b"TERM is 'dumb'" in terminal.sent
        assert b"elbo-tui run no_theta prints the same numbers" in terminal.sent
        assert b"\x1b" not in terminal.sent


@pytest.mark.slow
@pytest.mark.parametrize("term", ["xterm-256color", "tmux", "tmux-256color", "screen", "linux"])
def test_kinds_of_terminals(term: str) -> None:
    with Terminal([*COMMAND, "no_theta"], TERM=term, COLORTERM="") as terminal:
        terminal.press("3", "n")
        screen = terminal.wait(r"step 3 .*paused")
        assert ("φ" in screen) == (term != "linux")
        assert screen.isascii() == (term == "linux") or "┌" in screen
        terminal.press("q")
        assert terminal.ended() == 0
