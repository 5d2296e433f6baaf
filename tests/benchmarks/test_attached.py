"""What it costs the engine to be looked at: its rate with a terminal attached, and without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.test_overhead import MODEL
from tests.engine.client import Client, engine
from tui_elbo.protocol import RunStatus, RunUntil

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

ROUNDS, STEPS = 5, 2_000
TICK = 1 / os.sysconf("SC_CLK_TCK")

HEADLESS = """
import sys, time
from tui_elbo.engine.record.budget import Budget
from tui_elbo.engine.session import Session
session = Session(sys.argv[1])
session.due = Budget()
session.advance(200)
for _ in range(int(sys.argv[2])):
    input()
    begin, to = time.process_time(), session.steps_taken + int(sys.argv[3])
    while session.steps_taken < to:
        session.advance(to - session.steps_taken, 0.2)
    print((time.process_time() - begin) / int(sys.argv[3]), flush=True)
"""


def processor_seconds(process: int) -> float:
    """What a process has used so far; all its threads, the kernel's work for it too."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def attached_step(client: Client, to: int) -> float:
    """Run to that step, every number decoded; the engine's processor time of a step."""
    begin, first = processor_seconds(client.process.pid), to - STEPS
    asked = client.send(RunUntil(until=to))
    client.until(RunStatus, lambda level: level.seq >= asked and level.state == "paused")
    assert client.batches[-1].first + client.batches[-1].steps - 1 == to
    assert sum(batch.steps for batch in client.batches if batch.first > first) == STEPS
    client.batches.clear()
    return (processor_seconds(client.process.pid) - begin) / STEPS


@pytest.mark.parametrize("draws", [0, None], ids=["no-lens", "lens"])
def test_the_engine_keeps_nine_tenths_of_its_rate(
    tmp_path: Path, draws: int | None, record_property: Callable[[str, object], None]
) -> None:
    path = tmp_path / "one_latent.py"
    path.write_text(MODEL.format(particles=1))
    words = [sys.executable, "-c", HEADLESS, str(path), str(ROUNDS), str(STEPS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    headless = subprocess.Popen(words, **pipes)  # type: ignore[call-overload]
    with engine() as client:
        client.load(path, draws=draws)
        client.ask(RunUntil(until=200))
        client.batches.clear()
        pairs = []
        for number in range(ROUNDS):
            watched = attached_step(client, 200 + STEPS * (number + 1))
            print("go", file=headless.stdin, flush=True)
            pairs.append((float(headless.stdout.readline()), watched))
    headless.communicate()
    # Noise only adds, so the least of some rounds is the nearest to the cost of the code.
    alone, watched = (min(side) for side in zip(*pairs, strict=True))
    record_property("ratio", alone / watched)
    print(f"\nheadless {1e6 * alone:.0f} us a step, attached {1e6 * watched:.0f}", end=": ")
    print(f"{alone / watched:.2f} of the rate")
    assert alone >= 0.9 * watched
