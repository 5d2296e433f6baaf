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
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui_elbo.model.records import Floats
from tui_elbo.model.text import safe
from tui_elbo.ui.plot.cell_grid import BLANK
from tui_elbo.ui.plot.curve import Mode
from tui_elbo.ui.plot.plotting import Axes, Canvas, Curve, Drawing, Look, plot
from tui_elbo.ui.style.styles import CLASSES
from tui_elbo.ui.widgets.titled import Titled

STRIP = 4
"""Columns of a strip: narrower ones send fewer cells that are the same, but more cursor moves."""

SHARE = 40
"""Bytes, about, that a pane may send in a frame of a live run without leaving out later ones."""

LEFT_OUT = 4
"""Frames of a live run left out at most, one after the other."""

_MOVE = 20
"""Bytes, about, to go to a stretch of cells and to set its colour and reset it."""


class CurvePane(Titled, can_focus=True):
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
        border: round $foreground 30%;
        border-title-color: $foreground;
        &:focus { border: round $primary; }
        & > .curve--band { color: $primary 75%; text-style: dim; }
        & > .curve--mean { color: $text; text-style: bold; }
        & > .curve--reference { color: $warning; }
        & > .curve--axis { color: $foreground 80%; text-style: dim; }
        & > .curve--cursor { color: $success; text-style: bold; }
        & > .curve--mark { color: $success; text-style: dim; }
        & > .curve--ghost { color: $foreground 55%; text-style: dim; }
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
            & > .curve--ghost { color: ansi_default; text-style: dim; }
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
        self._waiting = 0
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
        ghost: Floats | None = None,
        label: str = "",
        note: str = "",
        live: bool = False,
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
            ghost: a curve left behind, index `step - 1`.
            label: a few words at its end.
            note: a few words behind the title; plain text.
            live: more is to come very soon, and in the end a call without `live`. So frames may
                be left out after one that sent much.
        """
        old = self._curve
        self._curve = Curve(
            values, first, last, tuple(references), cursor, tuple(marks), line, None, ghost, label
        )
        self._note = note
        grown = (old.first, old.references, old.cursor, old.marks) == (
            first,
            self._curve.references,
            cursor,
            self._curve.marks,
        )
        if live and grown and self._waiting:
            self._waiting -= 1
            return
        self._entitle()
        sent = self._draw()
        self._waiting = min(LEFT_OUT, sent // SHARE)

    def on_resize(self, event: Resize) -> None:
        """Draw in the new size; strips beyond the right edge stay for when they are needed."""
        have, needed = len(self.children), -(-event.size.width // STRIP)
        if needed > have:
            self.mount_all(_Slice(self, i * STRIP) for i in range(have, needed))
        self._draw()

    def _draw(self) -> int:
        """Bring the drawing up to date, and refresh what of it changed: about so many bytes."""
        width, height = self.size
        rows = Canvas.of(width, height, self._look).height
        self._axes = self._axes.covering(self._curve, rows, self._mode)
        new = self._drawn(width, height)
        old, self.drawing = self.drawing, new
        return sum(piece.update(old, new) for piece in self.children if isinstance(piece, _Slice))

    def _drawn(self, width: int, height: int) -> Drawing:
        """The curve on the axes that there are."""
        before = self.drawing
        return plot(self._curve, self._axes, width, height, look=self._look, before=before)

    def _entitle(self) -> None:
        dash, gap = ("---", " - ") if self._look.ascii else ("┈┈┈", " · ")
        mode = "" if self._mode == "robust" else f" ({self._mode})"
        legend = [f"{name} {dash}" for name, _ in self._curve.references]
        words = [self._title + mode, self._note, *legend]
        self.entitle(safe(gap.join(word for word in words if word)))

    def notify_style_update(self) -> None:
        """The theme or a style sheet changed."""
        self._styles.clear()
        super().notify_style_update()

    def style_of(self, ink: str) -> Style:
        """The style that the theme gives an ink."""
        if ink not in self._styles:
            # The terminal's own background need not be sent.
            native = self.app.native_ansi_color
            if ink != BLANK:
                style = self.get_component_rich_style(CLASSES[ink], partial=native)
            else:
                style = Style.null() if native else self.rich_style
            self._styles[ink] = style
        return self._styles[ink]


class _Slice(Widget):
    """Some columns of the drawing of a pane."""

    ALLOW_SELECT = False
    DEFAULT_CSS = f"_Slice {{ width: {STRIP}; height: 1fr; }}"

    def __init__(self, pane: CurvePane, left: int) -> None:
        super().__init__()
        self._pane = pane
        self._part = slice(left, left + STRIP)

    def update(self, old: Drawing, new: Drawing) -> int:
        """Refresh the rows that are not the same in both drawings: about so many bytes."""
        if old.size != new.size:
            self.refresh()
            return len(new.rows) * (_MOVE + STRIP)
        regions = []
        rows = zip(old.rows, old.inks, new.rows, new.inks, strict=True)
        for y, cells in enumerate(rows):
            was, inked, now, ink = (row[self._part] for row in cells)
            if was != now or inked != ink:
                # Up to the last change: of what lies beyond, nothing is sent.
                at = range(len(now))
                last = max(i for i in at if was[i : i + 1] != now[i] or inked[i : i + 1] != ink[i])
                regions.append(Region(0, y, last + 1, 1))
        if regions:
            self.refresh(*regions)
        return sum(_MOVE + region.width for region in regions)

    def render_line(self, y: int) -> Strip:
        """A row of the part, one segment for each stretch of one ink."""
        drawing, width = self._pane.drawing, self.size.width
        if y >= len(drawing.rows):
            return Strip.blank(width, self._pane.style_of(BLANK))
        row, inks = drawing.rows[y][self._part], drawing.inks[y][self._part]
        segments, at = [], 0
        for ink, run in groupby(inks):
            end = at + len(list(run))
            segments.append(Segment(row[at:end], self._pane.style_of(ink)))
            at = end
        return Strip(segments, len(row)).adjust_cell_length(width, self._pane.style_of(BLANK))
