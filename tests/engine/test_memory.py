"""Memory over a long run: the losses, the columns, and what has a budget within it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.client import Client, engine
from tests.engine.sources import HEAD, SMALL, write
from tests.engine.test_odd_shapes import CHANGING
from tui_elbo.engine.record.options import Budget
from tui_elbo.engine.session import Session
from tui_elbo.model.lens_history import MAX_BYTES as SIGHTINGS_MEMORY
from tui_elbo.model.scenarios import CHECKPOINT_MEMORY
from tui_elbo.protocol import RunStatus, RunUntil

ROOT = Path(__file__).parents[2]
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
STEPS, LOSSES = 100_000, 2 * 8 * 100_000
"""A loss of 8 bytes a step is kept, in an array that may grow ahead of them."""
SLACK = 2 * 2**20
COLUMNS = 2 * 8 * 16 * STEPS
"""Those of a small model are kept for whoever attaches later, with room to grow ahead of them."""


def resident(process: int | str = "self") -> int:
    """Bytes that a process has in memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096


def stepped_to(client: Client, step: int) -> int:
    """Run to that step, keeping nothing of what is told; returns what the engine then holds."""
    asked = client.send(RunUntil(until=step))
    while True:
        level = client.until(RunStatus)
        client.batches.clear()
        client.seen.clear()
        if level.seq >= asked and level.state == "paused":
            assert level.step == step
            return resident(client.process.pid)


@needs_proc
@pytest.mark.slow
def test_the_engine_grows_by_what_it_keeps_alone(tmp_path: Path) -> None:
    with engine() as client:
        client.load(write(tmp_path, SMALL))
        before = stepped_to(client, 1000)
        after = stepped_to(client, STEPS)
        budgets = CHECKPOINT_MEMORY + SIGHTINGS_MEMORY
        print(f"grown by {(after - before) / 2**20:.0f} MiB")
        assert after - before < LOSSES + COLUMNS + budgets * 1.25 + SLACK


@needs_proc
@pytest.mark.slow
def test_a_session_without_checkpoints_grows_by_losses_alone(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, SMALL)))
    session.due = Budget()
    held = []
    for step in (20_000, STEPS):
        while session.steps_taken < step:
            session.advance(500)
        held.append(resident())
    assert held[1] - held[0] < LOSSES + SLACK


@needs_proc
@pytest.mark.slow
def test_sites_that_come_and_go_take_no_more(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, HEAD + CHANGING)))
    session.due = Budget()
    held = []
    for step in (20_000, STEPS):
        while session.steps_taken < step:
            session.advance(500)
        held.append(resident())
    assert held[1] - held[0] < LOSSES + SLACK


MEASURED = """
import sys
from tests.engine.test_memory import resident
from tui_elbo.engine.session import Session
session = Session(sys.argv[1], checkpoint_memory=2**30)
for _ in range(100):
    session.step()
before, said = resident(), session.checkpoint_bytes
for _ in range(500):
    session.step()
print(resident() - before, session.checkpoint_bytes - said)
"""


@needs_proc
def test_checkpoints_take_what_they_say(tmp_path: Path) -> None:
    """In a process of its own: the heap of one that has run other tests grows in leaps."""
    path = str(write(tmp_path, SMALL))
    command = [sys.executable, "-c", MEASURED, path]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    real, said = map(int, ran.stdout.split())
    assert said > 500 * 10_000
    assert real < 1.5 * said
