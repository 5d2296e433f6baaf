"""The line between a person and a run: left, lost, taken up again."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import ran
from tests.runtime import end_all, runtime_folder
from tests.terminal.terminal import COMMAND, Terminal
from tui_elbo.client import registry


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder
        end_all()


def engine_of(id: str) -> int:
    stands = registry.look(registry.choose(id)).status
    assert stands is not None
    return stands.pid


def ended(pid: int) -> None:
    """Wait until the process is gone."""
    while Path(f"/proc/{pid}").exists():
        pass


def test_a_run_is_left_and_taken_up_again() -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        terminal.press("7", "n")
        (seen,) = re.findall(r"step 7 .* log p +\S+", terminal.wait(r"step 7 .*paused"))
        terminal.press("d")
        assert terminal.ended() == 0
        assert b"no_theta waits at step 7; `elbo-tui attach no_theta` shows it" in terminal.sent
    code, out, _ = ran("runs")
    assert code == 0
    since = r"(\d{4}-\d\d-\d\d )?\d\d:\d\d"
    line = rf"^no_theta +no_theta +7 of \d+ +paused +{since} +\d+ MB +(1 d|24 h) +\d+$"
    assert re.search(line, out, re.M)
    with Terminal([*COMMAND, "attach"]) as terminal:
        assert seen in terminal.wait(r"step 7 .*paused")
        terminal.press("n")
        terminal.wait(r"step 8 .*paused")
        terminal.press("2", "N")
        assert terminal.wait(r"step 6 .*paused")
        with Terminal([*COMMAND, "attach", "no_theta"]) as second:
            second.wait(r"step 6 .*paused")
            terminal.wait("another terminal has taken the run over")
            terminal.wait("elbo-tui attach no_theta")
            terminal.press("q")
            assert terminal.ended() == 0
            second.press("q")
            assert second.ended() == 0
    assert ran("runs")[1] == ""


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGHUP,
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_terminal_that_is_lost_leaves_its_run(number: signal.Signals) -> None:
    with Terminal([*COMMAND, "no_theta"]) as terminal:
        terminal.press(" ")
        terminal.wait(r"\d/s")
        engine = engine_of("no_theta")
        os.kill(terminal.pid, number)
        assert terminal.ended() == (-number if number == signal.SIGKILL else 128 + number)
        if number != signal.SIGKILL:
            assert b"\x1b[?1049l" in terminal.sent
    with Terminal([*COMMAND, "attach"]) as terminal:
        terminal.wait(r"\d/s")
        terminal.press("q")
        terminal.wait(r"quit\? it is running .*d leave it going")
        terminal.press("n", " ")
        terminal.wait("space run ")  # The status may say the verdict in the place of "paused".
        terminal.press("q")
        if terminal.comes("steps are not exported"):  # No fewer than a hundred were taken.
            terminal.press("y")
        assert terminal.ended() == 0
    ended(engine)


@pytest.mark.slow
def test_a_run_is_served_and_ended_from_outside() -> None:
    with Terminal([*COMMAND, "serve", "no_theta", "--steps", "40"]) as job:
        job.wait("elbo-tui attach no_theta")
        job.wait("the run stands at step 40")
        with Terminal([*COMMAND, "attach"]) as terminal:
            terminal.wait(r"step 40 .*paused")
            code, _, err = ran("end", "no_theta")
            assert (code, err) == (0, "elbo-tui: no_theta has ended\n")
            terminal.wait("the run has ended")
            terminal.press("q")
            assert terminal.ended() == 0
        assert job.ended() == 0
    assert ran("end", "no_theta")[0] == 2
