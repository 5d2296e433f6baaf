"""What one would write with textual-plotext: four panes that show what the explorer's curves show.

    rival.py STEPS

begins with so many steps of the fake engine's run; `n` takes one more, `space` runs 800 a second
and draws ten times a second, `q` quits.
"""

from __future__ import annotations

import sys
from pathlib import Path

from textual.app import App, ComposeResult
from textual.containers import Grid
from textual.widgets import Label
from textual_plotext import PlotextPlot

sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))
from fake_numbers import layout, numbers

PANES = {"log p(x, z)": "log_p", "log q(z)": "log_q", "ELBO": "elbo", "phi": "value[0]"}
STEPS_A_FRAME = 80


class Rival(App[None]):
    """The four panes."""

    CSS = "Grid { grid-size: 2; } Label { height: 1; }"
    BINDINGS = [("n", "step", ""), ("space", "run", ""), ("q", "quit", "")]  # noqa: RUF012

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.shape = layout()
        self.fields = [column.field for column in self.shape.columns]
        self.columns: dict[str, list[float]] = {name: [] for name in PANES}
        self.steps = 0
        self.advance(steps)
        self.timer = None

    def compose(self) -> ComposeResult:
        with Grid():
            for _ in PANES:
                yield PlotextPlot()
        yield Label("ready")

    def on_mount(self) -> None:
        self.draw()

    def advance(self, count: int) -> None:
        for _ in range(count):
            self.steps += 1
            row = dict(zip(reversed(self.fields), reversed(numbers(self.shape, self.steps))))  # noqa: B905
            for name, field in PANES.items():
                self.columns[name].append(row[field])

    def draw(self) -> None:
        for (name, values), pane in zip(self.columns.items(), self.query(PlotextPlot), strict=True):
            pane.plt.clear_data()
            pane.plt.title(name)
            pane.plt.plot(values)
            pane.refresh()
        self.query_one(Label).update(f"step {self.steps}")

    def action_step(self) -> None:
        self.advance(1)
        self.draw()

    def action_run(self) -> None:
        self.timer = self.set_interval(0.1, self.frame)

    def frame(self) -> None:
        self.advance(STEPS_A_FRAME)
        self.draw()


if __name__ == "__main__":
    Rival(int(sys.argv[1])).run()
