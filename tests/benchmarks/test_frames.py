"""What a long history costs a frame of the whole explorer: curves, tables and lines."""

from __future__ import annotations

from time import thread_time

import numpy as np
import pytest

from tests.benchmarks.pairs import judge, ratio
from tests.ui.driving import Driven, driven
from tui_elbo.ui.explorer import Explorer

pytestmark = pytest.mark.benchmark

FRAMES = 25


async def costs(d: Driven, monkeypatch) -> list[float]:
    """Processor seconds of frames, each after one more step."""
    found: list[float] = []
    original = Explorer._frame

    def frame(self) -> None:
        begin = thread_time()
        original(self)
        found.append(thread_time() - begin)

    monkeypatch.setattr(Explorer, "_frame", frame)
    for _ in range(FRAMES):
        before = d.run.step
        await d.press("n")
        await d.until(lambda before=before: d.run.step > before)
        await d.shows(f"step {d.run.step} ")
    monkeypatch.setattr(Explorer, "_frame", original)
    return found


async def test_a_frame_after_100_000_steps_costs_little_more(monkeypatch):
    """At most 1.5 times what it costs after 1,000; both explorers live, and take turns."""
    async with driven("long", (120, 40)) as long, driven("long", (120, 40)) as short:
        for d, steps in ((long, 100_000), (short, 1_000)):
            await d.ready()
            await d.press(*str(steps), "n")
            await d.until(lambda d=d, steps=steps: d.run.step == steps)
        sides: dict[Driven, list[float]] = {long: [], short: []}
        for _ in range(3):
            for d in sides:
                sides[d] += await costs(d, monkeypatch)
    high, low = (np.median(found) for found in sides.values())
    print(f"\n{1e3 * low:.2f} ms after 1,000 steps, {1e3 * high:.2f} after 100,000")
    pairs = zip(sides[long], sides[short], strict=False)
    judge("frame after 100,000 steps / after 1,000", ratio(pairs), 1.5)
