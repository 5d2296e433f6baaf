"""A pane that shows one curve: it binds the drawing to a place on the screen.

Of a region that is refreshed, Textual sends each row from the left edge of the widget on. So the
drawing is cut into narrow strips, widgets of their own, and each refreshes only its rows that
changed: a new step costs a few cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.content import Content
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui_elbo.records import Floats
from tui_elbo.ui.drawing.curve import Mode
from tui_elbo.ui.drawing.sheet import (
    AXIS,
    BAND,
    BLANK,
    BROKEN,
    CURSOR,
    MEAN,
    OUTSIDE,
    REFERENCE,
)
from tui_elbo.ui.plotting import Axes, Curve, Drawing, Look, plot

STRIP = 8
"""Columns of a strip. Narrower ones send fewer cells that have not changed, but more cursor moves;
this is where the sum is least."""

CLASSES = {
    BAND: "curve--band",
    MEAN: "curve--mean",
    REFERENCE: "curve--reference",
    AXIS: "curve--axis",
    CURSOR: "curve--cursor",
    BROKEN: "curve--broken",
    OUTSIDE: "curve--outside",
}
"""The component class that the theme gives each ink its colour by."""


class CurvePane(Widget, can_focus=True):
    """One curve over the steps, with the name of what it shows in its border.

    Args:
        title: what is shown; plain text.
        id: the widget's id.
        ascii: draw with plain characters.
        axis: name the steps in a row below the curve.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = set(CLASSES.values())
    ALLOW_SELECT = False
    DEFAULT_CSS = """
    CurvePane {
        layout: horizontal;
        overflow: hidden;
        border: round $foreground 25%;
        border-title-color: $foreground;
        &:focus { border: round $primary; }
        & > .curve--band { color: $primary 75%; text-style: dim; }
        & > .curve--mean { color: $text; text-style: bold; }
        & > .curve--reference { color: $accent; }
        & > .curve--axis { color: $foreground 65%; text-style: dim; }
        & > .curve--cursor { color: $warning; text-style: bold; }
        & > .curve--broken { color: $error; text-style: bold; }
        & > .curve--outside { color: $warning; text-style: dim; }
    }
    """

    def __init__(self, title: str, *, id: str, ascii: bool = False, axis: bool = False) -> None:
        super().__init__(id=id)
        self.drawing = Drawing((), ())
        """What is on the screen."""
        self._title, self._note = title, ""
        self._mode: Mode = "robust"
        self._look = Look(ascii=ascii, axis=axis)
        self._axes = Axes()
        self._curve = Curve(np.empty(0))
        self._entitle()

    @property
    def title(self) -> str:
        """What is shown, in the border: plain text."""
        return self._title

    @title.setter
    def title(self, title: str) -> None:
        self._title = title
        self._entitle()

    @property
    def mode(self) -> Mode:
        """Which y range is shown."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        self._entitle()
        self._draw()

    def show(
        self,
        values: Floats,
        first: int,
        last: int,
        references: Sequence[tuple[str, float]] = (),
        cursor: int | None = None,
        *,
        note: str = "",
    ) -> None:
        """Show a column of the history.

        Args:
            values: the column, index `step - 1`; may be grown afterwards, not changed.
            first: the first step to show.
            last: the last step to show; none if it is before the first.
            references: names and heights of dashed lines.
            cursor: the step looked at.
            note: a few words behind the title; plain text.
        """
        self._curve = Curve(values, first, last, tuple(references), cursor)
        if note != self._note:
            self._note = note
        self._entitle()
        self._draw()

    def compose(self) -> ComposeResult:
        """Nothing at first: strips come with the size."""
        return ()

    def on_resize(self, event: Resize) -> None:
        """Draw in the new size; strips beyond the right edge are left for when they are needed."""
        missing = -(-event.size.width // STRIP) - len(self.children)
        if missing > 0:
            have = len(self.children)
            self.mount_all(_Slice(self, (have + i) * STRIP) for i in range(missing))
        self._draw()

    def _draw(self) -> None:
        """Bring the drawing up to date, and refresh what of it changed."""
        width, height = self.size
        self._axes = self._axes.covering(self._curve, self._mode)
        new = plot(self._curve, self._axes, width, height, look=self._look, before=self.drawing)
        old, self.drawing = self.drawing, new
        for piece in self.query_children(_Slice):
            piece.update(old, new)

    def _entitle(self) -> None:
        dash = "-" if self._look.ascii else "┈"
        legend = [f"{name} {dash * 3}" for name, _ in self._curve.references]
        words = [
            self._title,
            *([self._mode] if self._mode != "robust" else []),
            self._note,
            *legend,
        ]
        gap = " - " if self._look.ascii else " · "
        text = Content(gap.join(word for word in words if word))
        if self.border_title != text:
            self.border_title = text


class _Slice(Widget):
    """Some columns of the drawing of a pane."""

    ALLOW_SELECT = False
    DEFAULT_CSS = f"""
    _Slice {{ width: {STRIP}; height: 1fr; }}
    """

    def __init__(self, pane: CurvePane, left: int) -> None:
        super().__init__()
        self._pane = pane
        self._left = left

    def update(self, old: Drawing, new: Drawing) -> None:
        """Refresh the rows that are not the same in both drawings."""
        if len(old.rows) != len(new.rows):
            self.refresh()
            return
        part = slice(self._left, self._left + STRIP)
        changed = [
            Region(0, y, STRIP, 1)
            for y, (was, now, ink, inked) in enumerate(
                zip(old.rows, new.rows, old.inks, new.inks, strict=True)
            )
            if was[part] != now[part] or ink[part] != inked[part]
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """A row of the part, one segment for each stretch of one ink."""
        drawing = self._pane.drawing
        if y >= len(drawing.rows):
            return Strip.blank(self.size.width)
        row = drawing.rows[y][self._left : self._left + STRIP]
        inks = drawing.inks[y][self._left : self._left + STRIP]
        segments, at = [], 0
        for ink, run in groupby(inks):
            end = at + len(list(run))
            segments.append(Segment(row[at:end], self._style(ink)))
            at = end
        return Strip(segments, len(row)).adjust_cell_length(self.size.width)

    def _style(self, ink: str) -> Style:
        if ink == BLANK:
            return self._pane.rich_style
        return self._pane.get_component_rich_style(CLASSES[ink])
