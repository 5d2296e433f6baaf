"""What it costs the engine to be looked at: its rate with a terminal attached, and without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.pairs import interleaved, judge, ratio
from tests.benchmarks.training import one_latent
from tests.engine.client import Client, engine
from tui_elbo.protocol import RunStatus, RunUntil

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

PAIRS, STEPS = 7, 1_500
"""Several looks of the lens fall into so many steps."""

HEADLESS = """
import sys, time
from tui_elbo.engine.record.options import Budget
from tui_elbo.engine.session import Session
session = Session(sys.argv[1])
session.due = Budget()
session.advance(200)
while input():
    begin, to = time.process_time(), session.steps_taken + int(sys.argv[2])
    while session.steps_taken < to:
        session.advance(to - session.steps_taken, 0.2)
    print(time.process_time() - begin, flush=True)
"""


def processor_seconds(process: int) -> float:
    """What a process has used so far; all its threads, the kernel's work for it too."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def attached(client: Client) -> float:
    """Run on, every number decoded; the engine's processor time."""
    begin, to = processor_seconds(client.process.pid), client.taken + STEPS
    asked = client.send(RunUntil(until=to))
    client.until(RunStatus, lambda level: level.seq >= asked and level.state == "paused")
    assert client.batches[-1].first + client.batches[-1].steps - 1 == to
    assert sum(batch.steps for batch in client.batches if batch.first > client.taken) == STEPS
    client.batches.clear()
    client.taken = to
    return processor_seconds(client.process.pid) - begin


def headless(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    print("go", file=process.stdin, flush=True)
    return float(process.stdout.readline())


@pytest.mark.parametrize("draws", [0, None], ids=["no-lens", "lens"])
def test_the_engine_keeps_nine_tenths_of_its_rate(
    tmp_path: Path, draws: int | None, request: pytest.FixtureRequest
) -> None:
    path = one_latent(tmp_path)
    words = [sys.executable, "-c", HEADLESS, path, str(STEPS)]
    alone = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with engine() as client:
        client.load(Path(path), draws=draws)
        client.ask(RunUntil(until=200))
        client.batches.clear()
        client.taken = 200
        pairs = interleaved(lambda: headless(alone), lambda: attached(client), PAIRS)
    alone.communicate("\n")
    way = request.node.callspec.id
    judge(f"rate attached / headless, {way}", ratio(pairs), 0.90, at_least=True)
