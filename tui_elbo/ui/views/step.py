"""A step that was stepped into, stage by stage: paging is looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from tui_elbo.model.text import safe
from tui_elbo.protocol import Stage, SteppedInto
from tui_elbo.ui.style.glyphs import ASCII, UNICODE, Glyphs
from tui_elbo.ui.style.theme import DIM, KEY
from tui_elbo.ui.views.views import View
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line

KINDS = {
    "guide": "the guide draws {}",
    "model": "the model scores {}",
    "loss": "the {}",
    "gradient": "the gradient of {}",
    "update": "the optimiser moves {}",
}
"""What a stage is, in words."""


class StepView(View):
    """The stages of a step, one at a time.

    Args:
        stepped: the step.
        undo: takes it back.
        ascii: draw with ASCII characters alone.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", show=False),
        Binding("right,n,s,space,down,full_stop", "turn(1)", show=False),
        Binding("left,N,up,backspace,comma", "turn(-1)", show=False),
        Binding("pagedown", "turn(10)", show=False),
        Binding("pageup", "turn(-10)", show=False),
        Binding("home", "turn(-100000)", show=False),
        Binding("end", "turn(100000)", show=False),
    ]

    def __init__(
        self, stepped: SteppedInto, undo: Callable[[], object], *, ascii: bool = False
    ) -> None:
        super().__init__()
        self._stepped, self._undo = stepped, undo
        self._glyphs = ASCII if ascii else UNICODE
        self._at = 0

    def compose(self) -> ComposeResult:
        """The lines of a stage."""
        frame = self.framed(Lines(self._lines(), id="frame"), self._title())
        frame.border_subtitle = Content("n next, N before, enter keeps the step, esc takes it back")
        yield frame

    def action_turn(self, by: int) -> None:
        """Look at another stage."""
        self._at = max(0, min(self._at + by, len(self._stepped.stages) - 1))
        for lines in self.query(Lines):
            lines.border_title = Content(self._title())
            lines.put(self._lines())

    def action_keep(self) -> None:
        """Keep the step, and close."""
        self.dismiss(None)

    def action_close(self) -> None:
        """Take the step back, and close."""
        self._undo()
        self.dismiss(None)

    def _title(self) -> str:
        count = len(self._stepped.stages)
        return f"step {self._stepped.step}: {self._at + 1} of {count}"

    def _lines(self) -> list[Line]:
        if not self._stepped.stages:
            return [[("Nothing is known of this step.", DIM)]]
        return list(stage_lines(self._stepped.stages[self._at], self._glyphs))


def stage_lines(stage: Stage, glyphs: Glyphs) -> Iterator[Line]:
    """A stage, safe to draw: what it is, its numbers, and the code that it is on."""
    name = safe(stage.name)
    yield [(KINDS.get(stage.kind, "{}").format(name), "bold")]
    yield [("", "")]
    for text in stage.lines:
        yield [(f"  {safe(text)}", "")]
    yield [("", "")]
    if not stage.line:
        yield [("  (not on a line of the scenario's file)", DIM)]
    for number, text in enumerate(stage.code, stage.first):
        here = number == stage.line
        mark = glyphs.run if here else " "
        yield [(f" {mark}{number:>4}  ", KEY if here else DIM), (safe(text), "" if here else DIM)]
