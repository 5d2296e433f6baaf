"""What a sweep gains by two workers, and what cutting its runs into chunks costs. Needs a quiet
machine with two cores for the first; the second counts the processor's time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.many.test_chunk import plan
from tui_elbo.engine import evaluation
from tui_elbo.engine.session import Session
from tui_elbo.many import chunk
from tui_elbo.many.executors import cores, local
from tui_elbo.many.folder import SweepFolder
from tui_elbo.many.sweep import Sweep
from tui_elbo.model.comparison import unevaluated
from tui_elbo.model.grid import grid
from tui_elbo.model.verdict import cannot_tell

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]

RUNS, LEAST_SECONDS = 8, 20.0
"""Of the sweep, and of each of its runs."""

MOST, MOST_FOR_CHUNKS = 0.62, 0.05


@pytest.mark.skipif(cores() < 2, reason="takes two cores")
def test_two_workers_take_little_more_than_half_the_time(tmp_path: Path) -> None:
    session = Session("no_theta", seed=0)
    began = time.perf_counter()
    session.advance(1000)
    steps = int(1.3 * LEAST_SECONDS * 1000 / (time.perf_counter() - began))
    began = time.perf_counter()
    for seed in range(RUNS):
        session = Session("no_theta", seed=seed, checkpoint_memory=2**26)
        session.advance(steps)
    one_by_one = time.perf_counter() - began
    assert one_by_one > RUNS * LEAST_SECONDS
    folder = SweepFolder(tmp_path / "out", plan("no_theta", grid(range(RUNS), [], []), steps=steps))
    began = time.perf_counter()
    found = Sweep(folder, local(2)).run()
    share = (time.perf_counter() - began) / one_by_one
    folder.close()
    print(f"{RUNS} runs of {one_by_one / RUNS:.0f} s on two cores: {share:.3f} of one by one")
    assert {run.ending.kind for run in found} == {"steps"}
    assert share <= MOST


def test_chunks_cost_a_twentieth_of_the_steps_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packing, sending, unpacking and keeping them; of a worker that has the session at hand.

    Of chunks of one second of the processor: those of a sweep take longer, and cost less.
    """
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: unevaluated("not asked for"))
    monkeypatch.setattr(chunk._Chunk, "_verdict", lambda _: cannot_tell(0, "not asked for"))
    monkeypatch.setattr(chunk.time, "monotonic", time.process_time)
    stepping, advance = [0.0], Session.advance

    def measured(session: Session, *args: float) -> object:
        began = time.process_time()
        try:
            return advance(session, *args)  # type: ignore[arg-type]
        finally:
            stepping[0] += time.process_time() - began

    monkeypatch.setattr(Session, "advance", measured)
    of = plan("no_theta", grid((0,), [], []), steps=10**6)
    folder, (spec,) = SweepFolder(tmp_path / "out", of), of.runs
    run, seconds, parts = folder.so_far(spec), 1.0, []
    for _ in range(5):
        stepping[0], began = 0.0, time.process_time()
        taken = chunk.decode(chunk.run_chunk(chunk.encode(folder.task(run, seconds))), chunk.Taken)
        folder.add(spec, taken)
        run.add(taken)
        parts.append(time.process_time() - began - stepping[0])
    folder.close()
    each = sum(parts[1:]) / len(parts[1:])  # The first loads the scenario.
    share = each / seconds
    print(f"a chunk costs {1000 * each:.0f} ms beside its steps: {share:.2%} of {seconds} s")
    assert share <= MOST_FOR_CHUNKS
