"""The line is cut at random, again and again: nothing of the run is lost, nothing left behind."""

from __future__ import annotations

import os
import random
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.client import history, steps, visitor
from tests.runtime import runtime_folder
from tests.terminal.terminal import COMMAND, Terminal
from tui_elbo.client import registry
from tui_elbo.protocol import Attach, Loaded, Pause, RunStatus, RunUntil

KEYS = ("n", "5n", "20n", " ", " ", "v", "?\x1b", "3,", "\x1b")
"""None of them takes the run back, so an uncut run has the same steps."""


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder


def told(path: Path) -> tuple[int, list[bytes]]:
    """The run's last step, once it stands, and all its steps."""
    with visitor(path) as speaker:
        speaker.send(Attach())
        speaker.until(Loaded)
        speaker.until(RunStatus)
        step = speaker.ask(Pause()).step
        return step, steps(history(speaker.seen))


def cut(argv: list[str], rng: random.Random, first: bool) -> None:
    """Open a terminal, press keys, and cut the line in the middle of whatever is going on."""
    with Terminal(argv) as terminal:
        if first:  # Before the first step there is nothing to go on for.
            terminal.wait(r"step 0 .*paused")
            terminal.press("n")
        terminal.wait(r"step [1-9]\d* (.|\n)*space (run|pause)")
        for _ in range(rng.randrange(6)):
            terminal.press(rng.choice(KEYS))
        until = time.monotonic() + rng.uniform(0.0, 0.15)
        while time.monotonic() < until:
            terminal._read(0.01)
        number = rng.choice([signal.SIGHUP, signal.SIGKILL])
        os.kill(terminal.pid, number)
        terminal.ended()


@pytest.mark.parametrize("count", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_cut_at_random(runtime: Path, count: int) -> None:
    """One run serves all the cuts; after each, everything is there, and in the end nothing."""
    rng = random.Random(count)
    before = set(os.listdir(tempfile.gettempdir()))
    cut([*COMMAND, "no_theta"], rng, first=True)
    path = registry.choose("no_theta")
    pid = registry.look(path).status.pid  # type: ignore[union-attr]
    for number in range(1, count):
        cut([*COMMAND, "attach", "no_theta"], rng, first=False)
        if number % 10 == 0:
            step, known = told(path)
            assert len(known) == step
    step, known = told(path)
    assert len(known) == step
    registry.end(path)
    while Path(f"/proc/{pid}").exists():
        pass
    assert list(runtime.rglob("*.sock")) == []
    left = set(os.listdir(tempfile.gettempdir())) - before
    assert not [name for name in left if re.search("elbo-tui", name)]
    assert known == uncut(step)


def uncut(step: int) -> list[bytes]:
    """The steps of a run that nothing has happened to."""
    if not step:
        return []
    from tests.engine.client import engine

    with engine() as client:
        client.load("no_theta")  # type: ignore[arg-type]
        client.ask(RunUntil(until=step))
        return steps(history(client.seen))
