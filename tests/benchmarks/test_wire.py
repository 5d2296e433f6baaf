"""What the whole program sends, in a real terminal, by itself and beside another program.

The other one is what one would write with textual-plotext: four panes that show the same data.
Counts of bytes do not depend on the machine; times are compared within one run.
"""

from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path

import pytest

from tests.benchmarks.wire import Wire
from tests.terminal.terminal import COMMAND

pytestmark = pytest.mark.benchmark

HERE = Path(__file__).parent
WIDE, USUAL = (120, 40), (80, 24)
SECONDS = 10
STEPS_A_FRAME = 80
"""Of the other program."""


def told(record_property, name: str, value: float, most: float) -> None:
    record_property(name, value)
    print(f"\n{name}: {value:.4g} (at most {most:.4g})")
    assert value <= most


def running(terminal: Wire, pattern: str) -> float:
    """Bytes a second of a program that runs, from that on."""
    terminal.press(" ")
    terminal.wait(pattern)
    return terminal.count(SECONDS) / SECONDS


def frame(screen: str) -> int:
    """How many frames the other program has drawn."""
    (step,) = re.findall(r"step (\d+)", screen)
    return int(step) // STEPS_A_FRAME


@pytest.mark.parametrize("scenario", ["fixed_mean_guide", "regression"])
def test_running_flat_out_sends_at_most_5_kilobytes_a_second(scenario, record_property):
    with Wire([*COMMAND, scenario], *WIDE) as terminal:
        terminal.wait("paused")
        rate = running(terminal, r"step [2-9]\d{3} ")
    told(record_property, f"bytes a second, {scenario}", rate, 5000)


@pytest.mark.parametrize("scenario", ["fixed_mean_guide", "regression"])
def test_a_step_sends_at_most_2_kilobytes_and_idle_nothing(scenario, record_property):
    with Wire([*COMMAND, scenario], *USUAL) as terminal:
        terminal.wait("paused")
        terminal.press("5", "0", "n")
        terminal.wait("step 50 .*paused")
        terminal.settled()
        sizes = [terminal.answer("n")[0] for _ in range(20)]
        told(record_property, f"most bytes of a step, {scenario}", max(sizes), 2000)
        told(record_property, "bytes when idle", terminal.count(3), 0)


def test_it_sends_a_twentieth_of_what_textual_plotext_does(record_property):
    with Wire([*COMMAND, "fixed_mean_guide"], *WIDE) as terminal:
        terminal.wait("paused")
        ours = running(terminal, r"step [2-9]\d{3} ")
    with Wire([sys.executable, str(HERE / "rival.py"), "2000"], *WIDE) as terminal:
        terminal.wait("step 2000")
        terminal.press(" ")
        begin, before = frame(terminal.wait(r"step 2[1-9]\d\d")), len(terminal.sent)
        terminal.count(SECONDS)
        # A slow machine gives it fewer than ten frames a second.
        theirs = 10 * (len(terminal.sent) - before) / (frame(terminal.screen) - begin)
    print(f"\nbytes a second: {ours:.0f}, and {theirs:.0f} with textual-plotext")
    told(record_property, "share of its bytes", ours / theirs, 1 / 20)


def test_a_key_is_answered_in_a_third_of_the_time_after_100_000_steps(record_property):
    ours: list[float] = []
    theirs: list[float] = []
    explorer = [sys.executable, str(HERE / "explorer.py"), "long"]
    rival = [sys.executable, str(HERE / "rival.py"), "100000"]
    with Wire(explorer, *WIDE) as mine, Wire(rival, *WIDE) as other:
        mine.wait("paused")
        mine.press(*"100000", "n")
        mine.wait("step 100000.*paused")
        other.wait("step 100000")
        for terminal in (mine, other):
            terminal.settled(2.0)
        for _ in range(7):
            for terminal, times in ((mine, ours), (other, theirs)):
                times.append(terminal.answer("n", 1.0)[1])
    low, high = statistics.median(ours), statistics.median(theirs)
    print(f"\nfrom key to last byte: {1e3 * low:.0f} ms, and {1e3 * high:.0f} ms with the other")
    told(record_property, "share of its time", low / high, 1 / 3)
