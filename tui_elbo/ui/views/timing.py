"""Where the seconds of a step go, the memory, and the slowest of the last steps."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui_elbo.model.records import Column
from tui_elbo.model.text import safe
from tui_elbo.protocol import StepTimed
from tui_elbo.protocol.run_state import RunState
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.theme import DIM, KEY
from tui_elbo.ui.views.views import Live
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line

LAST = 1000
"""Of so many of the last steps the slowest is named."""

BAR = 10
"""Cells of a bar that stands for all of a step."""


class TimingView(Live):
    """What was measured of single steps.

    Args:
        run: what is known of it.
        glyphs: of the terminal.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("C", "close", show=False)]

    def __init__(self, run: RunState, glyphs: Glyphs) -> None:
        super().__init__()
        self._run, self._glyphs = run, glyphs
        self._shown: object = None

    def compose(self) -> ComposeResult:
        """The lines."""
        yield self.framed(Lines([], id="frame"), "seconds of a step")

    def on_mount(self) -> None:
        """Look at once."""
        self.update()

    def update(self) -> None:
        """Show what has come since."""
        new = self._run.timed, self._run.step if self._run.timed is None else 0
        if new != self._shown:
            self._shown = new
            for lines in self.query(Lines):
                lines.put(timing_lines(self._run, self._glyphs))


def timing_lines(run: RunState, glyphs: Glyphs) -> list[Line]:
    """All that was measured, and nothing else."""
    timed = run.timed
    slow = [[(text, "")] for text in _slowest(run)]
    if timed is None:
        return [[("No step has been timed yet: some are while the run goes on.", DIM)], *slow]
    total = sum(part.seconds for part in timed.parts)
    count = f"{timed.count} step{'s' if timed.count > 1 else ''}"
    lines: list[Line] = [
        [(f"{duration(total)} from step to step: mean of {count} timed before {timed.step}", KEY)],
        [("", "")],
    ]
    for part in timed.parts:
        share = part.seconds / total if total > 0 else 0.0
        bar = glyphs.bars[-1] * round(share * BAR)
        text = f"{safe(part.name):<18}{duration(part.seconds):>9}{share:>6.0%}  {bar:<{BAR}}"
        lines.append([(text, ""), (f"  {safe(part.about)}" if part.about else " ", DIM), ("", "")])
    lines += [[("", "")], [(_memory(timed), "")], *slow]
    if not run.loaded or run.loaded.watched:
        lines.append([("The lens looks between two steps, in a process of its own.", DIM)])
    return lines


def duration(seconds: float) -> str:
    """Such as `1.25 ms`."""
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _memory(timed: StepTimed) -> str:
    texts = [f"memory of the process: {_size(timed.memory)}"] if timed.memory else []
    texts.append(f"at most {_size(timed.peak)}")
    texts += [f"tensors on CUDA: {_size(timed.on_cuda)}"] if timed.on_cuda else []
    return ", ".join(texts)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _slowest(run: RunState) -> list[str]:
    """The slowest of the last steps, if there are enough to compare it with."""
    if run.step < 3:
        return []
    seconds = run.history.values(Column("step", "", "seconds"))[-LAST:]
    if not np.isfinite(seconds).all():
        return []
    at, median = int(np.argmax(seconds)), float(np.median(seconds))
    step = run.step - len(seconds) + 1 + at
    times = f", {seconds[at] / median:.3g} times the median" if median > 0 else ""
    return [
        f"slowest of the last {len(seconds)} steps: {step}, {duration(seconds[at])}{times}, "
        f"which is {duration(median)}"
    ]
