"""What the whole program sends, in a real terminal, by itself and beside another program.

The other one is what one would write with textual-plotext: four panes that show the same data.
Counts of bytes do not depend on the machine; times are compared within one run.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.pairs import Interval, bootstrap, interleaved, judge, ratio
from tests.benchmarks.wire import Wire
from tests.terminal.terminal import COMMAND

pytestmark = pytest.mark.benchmark

HERE = Path(__file__).parent
WIDE, USUAL = (120, 40), (80, 24)
SECONDS = 8
STEPS_A_FRAME = 80
"""Of the other program."""


def running(scenario: str) -> Interval:
    """Bytes a second of the explorer while the scenario runs flat out; the mean."""
    with Wire([*COMMAND, scenario], *WIDE) as terminal:
        terminal.wait("paused")
        terminal.press(" ")
        terminal.wait(r"step [2-9]\d{3} ")
        return bootstrap([terminal.count(1.0) for _ in range(SECONDS)], np.mean)


def frame(screen: str) -> int:
    """How many frames the other program has drawn."""
    (step,) = re.findall(r"step (\d+)", screen)
    return int(step) // STEPS_A_FRAME


def test_running_flat_out_sends_at_most_2600_bytes_a_second_and_a_twentieth_of_textual_plotext():
    for scenario in ("fixed_mean_guide", "regression"):
        ours = running(scenario)
        judge(f"bytes a second at 120x40, {scenario}", ours, 2_600)
    with Wire([sys.executable, str(HERE / "rival.py"), "2000"], *WIDE) as terminal:
        terminal.wait("step 2000")
        terminal.press(" ")
        begin, before = frame(terminal.wait(r"step 2[1-9]\d\d")), len(terminal.sent)
        terminal.count(SECONDS)
        # A slow machine gives it fewer than ten frames a second.
        theirs = 10 * (len(terminal.sent) - before) / (frame(terminal.screen) - begin)
    share = Interval(ours.value / theirs, ours.low / theirs, ours.high / theirs)
    judge("bytes a second / those of textual-plotext", share, 1 / 20)


@pytest.mark.parametrize("scenario", ["fixed_mean_guide", "regression"])
def test_a_step_sends_at_most_1300_bytes_and_idle_nothing(scenario):
    with Wire([*COMMAND, scenario], *USUAL) as terminal:
        terminal.wait("paused")
        terminal.press("5", "0", "n")
        terminal.wait("step 50 .*paused")
        terminal.settled()
        sizes = [terminal.answer("n")[0] for _ in range(20)]
        judge(f"most bytes of a step at 80x24, {scenario}", max(sizes), 1_300)
        judge(f"bytes when idle, {scenario}", terminal.count(3), 0)


def test_a_key_is_answered_in_a_third_of_the_time_after_100_000_steps():
    explorer = [sys.executable, str(HERE / "explorer.py"), "long"]
    rival = [sys.executable, str(HERE / "rival.py"), "100000"]
    with Wire(explorer, *WIDE) as mine, Wire(rival, *WIDE) as other:
        mine.wait("paused")
        mine.press(*"100000", "n")
        mine.wait("step 100000.*paused")
        other.wait("step 100000")
        for terminal in (mine, other):
            terminal.settled(2.0)
        pairs = interleaved(lambda: mine.answer("n", 0.7)[1], lambda: other.answer("n", 0.7)[1], 9)
    judge("key to last byte after 100,000 steps / textual-plotext", ratio(pairs), 1 / 3)
