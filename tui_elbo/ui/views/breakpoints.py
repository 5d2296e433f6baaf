"""The list of breakpoints: turned on and off, and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from tui_elbo.client.breakpoints import Breakpoints
from tui_elbo.model.text import safe
from tui_elbo.ui.style.theme import DIM, KEY
from tui_elbo.ui.views.views import View
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line


class BreakpointsView(View):
    """The breakpoints, one a line.

    Args:
        points: what is listed, and changed.
        changed: called after each change.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("B", "close", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("space,enter", "switch", show=False),
        Binding("d,delete", "drop", show=False),
    ]

    def __init__(self, points: Breakpoints, changed: Callable[[], object]) -> None:
        super().__init__()
        self._points, self._changed = points, changed
        self._at = 0

    def compose(self) -> ComposeResult:
        """The lines."""
        frame = self.framed(Lines(self._lines(), id="frame"), "breakpoints")
        frame.border_subtitle = Content("space: on and off, d deletes, esc closes")
        yield frame

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._at = max(0, min(self._at + by, len(self._points.all) - 1))
        self._show()

    def action_switch(self) -> None:
        """Turn it on or off."""
        if self._points.all:
            point = self._points.all[self._at]
            point.on = not point.on
            self._change()

    def action_drop(self) -> None:
        """Delete it."""
        if self._points.all:
            del self._points.all[self._at]
            self._at = max(0, min(self._at, len(self._points.all) - 1))
            self._change()

    def _change(self) -> None:
        self._changed()
        self._show()

    def _show(self) -> None:
        for lines in self.query(Lines):
            lines.put(self._lines())

    def _lines(self) -> list[Line]:
        if not self._points.all:
            return [[("There is no breakpoint: b adds one.", DIM)]]
        return [
            [
                ("[x] " if point.on else "[ ] ", KEY),
                (safe(point.text), "reverse" if at == self._at else "" if point.on else DIM),
            ]
            for at, point in enumerate(self._points.all)
        ]
