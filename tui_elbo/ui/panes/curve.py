"""A pane that shows one curve: it binds the drawing to a place on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.events import Resize
from textual.strip import Strip
from textual.widget import Widget

from tui_elbo.model.records import Floats
from tui_elbo.model.text import safe
from tui_elbo.ui.plot.cell_grid import BLANK
from tui_elbo.ui.plot.curve import Bools, Mode
from tui_elbo.ui.plot.plotting import Axes, Canvas, Curve, Drawing, Look, plot
from tui_elbo.ui.style.styles import CLASSES
from tui_elbo.ui.widgets.text_lines import refresh_rows


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
        overflow: hidden;
        border: round $foreground 30%;
        border-title-color: $foreground;
        &:focus { border: round $primary; }
        & > .curve--band { color: $primary 75%; text-style: dim; }
        & > .curve--mean { color: $text; text-style: bold; }
        & > .curve--reference { color: $warning; }
        & > .curve--axis { color: $foreground 80%; text-style: dim; }
        & > .curve--cursor { color: $success; text-style: bold; }
        & > .curve--mark { color: $success; text-style: dim; }
        & > .curve--branch { color: $foreground 55%; text-style: dim; }
        & > .curve--broken { color: $error; text-style: bold; }
        & > .curve--outside { color: $error; }
        & > .curve--phi { color: $primary; text-style: bold; }
        & > .curve--theta { color: $secondary; text-style: bold; }
        & > .curve--both { color: $warning; text-style: bold; }
        &:ansi {
            border: round ansi_bright_black;
            border-title-color: ansi_default;
            &:focus { border: round ansi_cyan; }
            & > .curve--band { color: ansi_cyan; text-style: dim; }
            & > .curve--mean { color: ansi_default; text-style: bold; }
            & > .curve--reference { color: ansi_magenta; }
            & > .curve--axis { color: ansi_default; text-style: dim; }
            & > .curve--phi { color: ansi_cyan; text-style: bold; }
            & > .curve--theta { color: ansi_magenta; text-style: bold; }
            & > .curve--both { color: ansi_yellow; text-style: bold; }
            & > .curve--branch { color: ansi_default; text-style: dim; }
        }
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
        self._shown_title = ""
        self._styles: dict[str, Style] = {}
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
        marks: Sequence[int] = (),
        line: Floats | None = None,
        absent: Bools | None = None,
        branches: tuple[tuple[Floats, str], ...] = (),
        note: str = "",
    ) -> None:
        """Show a column of the history.

        Args:
            values: the column, index `step - 1`; steps may be added afterwards, none changed.
            first: the first step to show.
            last: the last step to show; none if it is before the first.
            references: names and heights of dashed lines.
            cursor: the step looked at.
            marks: steps before which something was changed.
            line: the bright line, index `step - 1`; without it, the running mean of the column.
            absent: steps that have no number and lack none, index `step - 1`.
            branches: the curves of branches, index `step - 1`, and a few words at the end of each.
            note: a few words behind the title; plain text.
        """
        self._curve = Curve(
            *(values, first, last, tuple(references), cursor, tuple(marks), line),
            absent=absent,
            branches=branches,
        )
        self._note = note
        self._entitle()
        self._draw()

    def on_resize(self, _event: Resize) -> None:
        """Draw in the new size."""
        self._draw()

    def _draw(self) -> None:
        """Bring the drawing up to date, and refresh the rows of it that changed."""
        width, height = self.size
        rows = Canvas.of(width, height, self._look).height
        self._axes = self._axes.covering(self._curve, rows, self._mode)
        old, self.drawing = self.drawing, self._drawn(width, height)
        refresh_rows(self, _rows(old), _rows(self.drawing))

    def _drawn(self, width: int, height: int) -> Drawing:
        """The curve on the axes that there are."""
        before = self.drawing
        return plot(self._curve, self._axes, width, height, look=self._look, before=before)

    def _entitle(self) -> None:
        dash, gap = ("---", " - ") if self._look.ascii else ("┈┈┈", " · ")
        mode = "" if self._mode == "robust" else f" (y: {self._mode})"
        legend = [f"{name} {dash}" for name, _ in self._curve.references]
        words = [self._title + mode, self._note, *legend]
        title = safe(gap.join(word for word in words if word))
        if title != self._shown_title:
            self._shown_title = title
            self.border_title = Content(title)

    def notify_style_update(self) -> None:
        """The theme or a style sheet changed."""
        self._styles.clear()
        super().notify_style_update()

    def style_of(self, key: str) -> Style:
        """The style that the theme gives a key of a drawing."""
        if key not in self._styles:
            # The terminal's own background need not be sent.
            native = self.app.native_ansi_color
            if key != BLANK:
                style = self.get_component_rich_style(CLASSES[key], partial=native)
            else:
                style = Style.null() if native else self.rich_style
            self._styles[key] = style
        return self._styles[key]

    def render_line(self, y: int) -> Strip:
        """A row, one segment for each stretch of one key."""
        width, blank = self.size.width, self.style_of(BLANK)
        if y >= len(self.drawing.rows):
            return Strip.blank(width, blank)
        row, segments, at = self.drawing.rows[y], list[Segment](), 0
        for key, run in groupby(self.drawing.styles[y]):
            end = at + len(list(run))
            segments.append(Segment(row[at:end], self.style_of(key)))
            at = end
        return Strip(segments, len(row)).adjust_cell_length(width, blank)


def _rows(drawing: Drawing) -> list[tuple[str, str]]:
    return list(zip(drawing.rows, drawing.styles, strict=True))
