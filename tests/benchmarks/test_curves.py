"""What three curves cost on the wire, and what a long history costs a frame.

Bytes are counted where Textual hands them to its driver. Frames are given one by one, ten of them
standing for a second, so that the counts do not depend on the speed of the machine.
"""

from __future__ import annotations

from time import thread_time

import numpy as np
import pytest
from textual.app import ComposeResult
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from tests.benchmarks.pairs import bootstrap, judge, ratio
from tui_elbo.ui.compat.textual import CellDiffApp
from tui_elbo.ui.panes.curve import CurvePane

pytestmark = pytest.mark.benchmark

STEPS = 200_000
FRAMES_A_SECOND = 10
STEPS_A_SECOND = 800


def terms() -> dict[str, np.ndarray]:
    """An SVI run: log q, log p and the ELBO, whose noise is Gaussian and larger at first."""
    random, t = np.random.default_rng(0), np.arange(STEPS)
    elbo = -6 - 24 * np.exp(-t / 150) + random.normal(0, 1, STEPS) * (1 + 3 * np.exp(-t / 150))
    log_q = -1 - 1.5 * np.exp(-t / 300) + random.normal(0, 0.7, STEPS)
    return {"log_p": elbo + log_q, "log_q": log_q, "elbo": elbo}


class Curves(CellDiffApp):
    """Three plots over the whole screen, on a terminal that counts."""

    CSS = "CurvePane { height: 1fr; }"

    def __init__(self, size: tuple[int, int], theme: str) -> None:
        self.sent = sent = []

        class Counting(HeadlessDriver):
            is_headless = False

            def _get_terminal_size(self) -> tuple[int, int]:
                return size

            def write(self, data: str) -> None:
                sent.append(len(data.encode()))

        super().__init__(driver_class=Counting)
        self.theme = theme
        self.terms = terms()

    def compose(self) -> ComposeResult:
        for name in self.terms:
            yield CurvePane(name, id=name, axis=name == "elbo")

    def frame(self, last: int) -> None:
        for name, values in self.terms.items():
            references = (("log p(x)", -5.73),) if name == "elbo" else ()
            self.query_one(f"#{name}", CurvePane).show(values, 1, last, references)


async def bytes_of(
    frames: list[int], *, size: tuple[int, int], theme: str = "ansi-dark"
) -> list[int]:
    """The bytes that each frame sends, the first one left out; each is a number of steps."""
    app, counts = Curves(size, theme), []

    async def drive(pilot: Pilot[int]) -> None:
        for last in frames:
            await pilot.pause()
            app.sent.clear()
            app.frame(last)
            await pilot.pause()
            counts.append(sum(app.sent))
        app.exit()

    await app.run_async(auto_pilot=drive, mouse=False)
    return counts[1:]


@pytest.mark.parametrize("start", [2_000, 10_000, 100_000])
async def test_a_run_sends_little(start):
    """120 columns, of which the curves have half at 80; here they have all: the worst case."""
    step = STEPS_A_SECOND // FRAMES_A_SECOND
    frames = list(range(start, start + 10 * STEPS_A_SECOND + 1, step))
    sent = await bytes_of(frames, size=(54, 38))
    found = bootstrap((FRAMES_A_SECOND * size for size in sent), np.mean)
    print(f"at most {max(sent)} bytes a frame of three plots from step {start} on")
    judge(f"bytes a second of three plots from step {start} on", found, 3_200)


async def test_a_step_by_hand_sends_little():
    sent = await bytes_of(list(range(400, 460)), size=(34, 22))
    print(f"at most {max(sent)} bytes a step")
    judge("bytes of a step of three plots", bootstrap(sent, np.mean), 150)


async def test_nothing_new_sends_nothing():
    # The screen is drawn whole within the first three frames.
    assert (await bytes_of([500] * 8, size=(54, 38)))[2:] == [0] * 5


async def frame_costs(steps: int) -> list[float]:
    """Seconds of processor time of frames in which the newest column of dots changes."""
    app, costs = Curves((54, 38), "ansi-dark"), []

    async def drive(pilot: Pilot[int]) -> None:
        for last in range(steps, steps + 80 * (steps // 1000), steps // 1000):
            begin = thread_time()
            app.frame(last)
            await pilot.pause()
            costs.append(thread_time() - begin)
        app.exit()

    await app.run_async(auto_pilot=drive, mouse=False)
    return costs[1:]


async def test_a_long_history_costs_a_frame_little_more():
    """A frame of three plots after 100,000 steps: at most 1.5 times that after 1,000."""
    rounds = [(await frame_costs(1_100), await frame_costs(110_000)) for _ in range(3)]
    short, long = ([cost for costs in side for cost in costs] for side in zip(*rounds, strict=True))
    low, high = np.median(short), np.median(long)
    print(f"{1e3 * low:.2f} ms at 1,000 steps, {1e3 * high:.2f} ms at 100,000")
    pairs = zip(long, short, strict=True)
    judge("three plots after 100,000 steps / after 1,000", ratio(pairs), 1.5)
