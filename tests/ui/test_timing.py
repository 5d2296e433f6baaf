"""What is said of the seconds of a step: what was measured, and no more."""

from __future__ import annotations

import numpy as np

from tui_elbo.model.records import Batch, Column, Layout
from tui_elbo.protocol import LayoutAdded, StepsRecorded, StepTimed, TimingPart
from tui_elbo.protocol.run_state import RunState
from tui_elbo.ui.plot.run_curves import largest_part
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.views.timing import duration, timing_lines
from tui_elbo.ui.widgets.status import StatusSummary, status_line

PARTS = (TimingPart("guide", 0.001, ""), TimingPart("gradient", 0.003, "the loss, and backward()"))


def texts(run: RunState) -> list[str]:
    return ["".join(text for text, _ in line) for line in timing_lines(run, ASCII)]


def test_each_part_has_its_seconds_and_its_share_and_the_slowest_step_is_named():
    run = RunState()
    assert texts(run) == ["No step has been timed yet: some are while the run goes on."]
    layout = Layout(0, (), (), (Column("step", "", "seconds"),))
    run.apply(LayoutAdded(layout))
    seconds = np.full((1, 9), 0.002)
    seconds[0, 4] = 0.05
    run.apply(StepsRecorded.of(Batch(layout, 1, seconds)))
    run.apply(StepTimed(9, 3, PARTS, 512_000_000, 1_500_000_000, 0))
    shown = "\n".join(texts(run))
    assert "4 ms from step to step: mean of 3 steps timed before 9" in shown
    assert "guide                  1 ms   25%" in shown
    assert "gradient               3 ms   75%" in shown
    assert "memory of the process: 512 MB, at most 1.50 GB" in shown
    assert "CUDA" not in shown
    assert "last 9 steps: 5, 50 ms, 25 times the median, which is 2 ms" in shown


def test_the_status_line_has_the_largest_part_where_there_is_room():
    timed = StepTimed(9, 3, PARTS, 0, 0, 0)
    assert largest_part(timed) == "gradient 75%"
    assert largest_part(None) == ""
    status = StatusSummary(step=9, running=True, rate=250.0, newest=9, cost=largest_part(timed))
    lines = ["".join(t for t, _ in status_line(status, width, UNICODE)) for width in (30, 80)]
    assert "gradient" not in lines[0]
    assert "250/s" in lines[0]
    assert "250/s · gradient 75%" in lines[1]


def test_durations_have_a_unit():
    assert [duration(x) for x in (2.5, 0.0125, 3e-5, 0.0)] == ["2.5 s", "12.5 ms", "30 us", "0 us"]
