"""Memory over a long run: the engine keeps a number a step and its budget of checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.engine.client import Client, engine
from tests.engine.sources import SMALL, write
from tui_elbo.protocol import Level, Run, Step

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

STEPS, GROWTH = 100_000, 4 * 2**20
"""Bytes: the losses, which a replay is compared with, are 0.8 MB of them."""


def resident(client: Client) -> int:
    """Bytes that the engine has in memory."""
    fields = Path(f"/proc/{client.process.pid}/statm").read_text().split()
    return int(fields[1]) * 4096


def stepped_to(client: Client, step: int) -> int:
    """Run to that step, keeping nothing of what is told; returns what the engine then holds."""
    asked = client.send(Run(until=step))
    while True:
        level = client.until(Level)
        client.batches.clear()
        client.seen.clear()
        if level.seq >= asked and level.state == "paused":
            assert level.step == step
            return resident(client)


def test_the_engine_does_not_grow(tmp_path: Path) -> None:
    with engine() as client:
        client.load(write(tmp_path, SMALL))
        client.ask(Step(count=10))
        before = stepped_to(client, STEPS // 2)
        after = stepped_to(client, STEPS)
        assert after - before < GROWTH // 2
