"""The grid of cells that a drawing is made on, and what is set beside and laid over a curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tui_elbo.model.records import Floats
from tui_elbo.ui.plot.axes import Axes, x_ticks, y_ticks
from tui_elbo.ui.plot.curve import Columns

BLANK, BAND, MEAN, REFERENCE, AXIS, CURSOR, BROKEN, OUTSIDE, MARK, BRANCH = " bmracxoig"
"""The styles: the raw estimates, the running mean, reference lines, ticks and labels, the step
looked at, what is not finite, what lies outside the range, where something was changed, and
the curves of branches."""

PHI, THETA, BOTH = "pt2"
"""The styles of lines that belong to someone."""

GUTTER = 8
"""Columns for the y axis: seven of label, one of line."""

NARROW = 20
"""A drawing of fewer columns than this has no gutter."""

SHORT = 3
"""A drawing of fewer rows than this has no row for the labels of the steps."""


@dataclass(frozen=True)
class Look:
    """How a curve is drawn, apart from its colours."""

    ascii: bool = False
    """Plain characters instead of braille."""
    axis: bool = False
    """With a row that names the steps."""


@dataclass(frozen=True)
class Canvas:
    """The cells that the curve itself is in, and the dots that they are divided into."""

    left: int
    """Columns of the gutter before it."""
    width: int
    height: int
    ascii: bool

    @staticmethod
    def of(width: int, height: int, look: Look) -> Canvas:
        """The canvas of a drawing of that size, at least one cell each way."""
        left = GUTTER if width >= NARROW else 0
        footer = 1 if look.axis and height >= SHORT else 0
        return Canvas(left, width - left, height - footer, look.ascii)

    @property
    def per_column(self) -> int:
        """Columns of dots in a cell."""
        return 1 if self.ascii else 2

    @property
    def per_row(self) -> int:
        """Rows of dots in a cell."""
        return 1 if self.ascii else 4

    @property
    def columns(self) -> int:
        """Dots from left to right."""
        return self.width * self.per_column

    @property
    def top(self) -> int:
        """The highest dot, counted from 0 at the bottom."""
        return self.height * self.per_row - 1

    def dots(self, y: Floats, axes: Axes) -> Floats:
        """The dots, from 0 to `top`, of heights within the axes; NaN for all others."""
        inside = np.where((y >= axes.low) & (y <= axes.high), y, np.nan)
        share = (inside - axes.low) / (axes.high - axes.low)
        return np.minimum(np.floor(share * (self.top + 1)), self.top)

    def row(self, y: float, axes: Axes) -> int:
        """The row of cells, from the top, of a height within the axes."""
        return self.height - 1 - int(self.dots(np.array([y]), axes)[0]) // self.per_row

    def cell(self, step: int, axes: Axes) -> int:
        """The column of cells of a step within the axes."""
        return (2 * (step - axes.first) + 1) * self.width // (2 * axes.span)


class CellGrid:
    """Cells to write on, and a style for each."""

    def __init__(self, rows: Sequence[str], styles: Sequence[str], canvas: Canvas) -> None:
        """A grid with the curve's cells in their place."""
        margin = " " * canvas.left
        self.canvas = canvas
        self._rows = [list(margin + row) for row in rows]
        self._styles = [list(margin + row) for row in styles]

    @property
    def rows(self) -> tuple[str, ...]:
        """The characters."""
        return tuple("".join(row) for row in self._rows)

    @property
    def styles(self) -> tuple[str, ...]:
        """The style of each character."""
        return tuple("".join(row) for row in self._styles)

    def put(self, row: int, column: int, text: str, style: str) -> None:
        """Write text from that cell of the grid on; what does not fit is left out."""
        end = min(column + len(text), len(self._rows[row]))
        self._rows[row][column:end] = text[: end - column]
        self._styles[row][column:end] = style * (end - column)

    def mark(self, data: Columns, axes: Axes) -> None:
        """Mark at the edges what is outside the axes or not finite."""
        bottom, left = self.canvas.height - 1, self.canvas.left
        above, below = ("^", "v") if self.canvas.ascii else ("▲", "▼")
        cells = data.x // self.canvas.per_column + left
        for row, text, style, where in (
            (bottom, below, OUTSIDE, data.low < axes.low),
            (0, above, OUTSIDE, data.high > axes.high),
            (bottom, "x" if self.canvas.ascii else "×", BROKEN, data.down),
            (0, "x" if self.canvas.ascii else "×", BROKEN, data.up),
        ):
            for cell in cells[where].tolist():
                self.put(row, cell, text, style)

    def branches(self, lines: Sequence[tuple[Columns, str]], axes: Axes) -> None:
        """Branches: a dot a column where nothing else is, and a few words at the end of each."""
        ends = [(label, self._branch(data, axes)) for data, label in lines]
        for label, end in ends:
            place = self._free(*end, len(label)) if end is not None else None
            if place is not None:
                self.put(*place, label, BRANCH)

    def _branch(self, data: Columns, axes: Axes) -> tuple[int, int] | None:
        """Draw a branch; the row of its end and the column for its label, None if it has none."""
        seen = np.flatnonzero(~np.isnan(data.mean))
        if not seen.size:
            return None
        dot, row = self._dot, 0
        for x, y in zip(data.x[seen].tolist(), data.mean[seen].tolist(), strict=True):
            column = self.canvas.left + x // self.canvas.per_column
            row = self.canvas.row(min(max(y, axes.low), axes.high), axes)
            if self._styles[row][column] == BLANK:
                self.put(row, column, dot, BRANCH)
        last = self.canvas.left + int(data.x[seen[-1]]) // self.canvas.per_column
        return row, last + 2

    @property
    def _dot(self) -> str:
        return "." if self.canvas.ascii else "·"

    def _free(self, row: int, column: int, width: int) -> tuple[int, int] | None:
        """Where a text of this width hides nothing, as near as can be; None where it would."""
        first, last = self.canvas.left, self.canvas.left + self.canvas.width - width
        places = [(y, x) for y in range(self.canvas.height) for x in range(first, last + 1)]
        # A cell is about twice as high as it is wide.
        places.sort(key=lambda at: 2 * abs(at[0] - row) + abs(at[1] - min(column, last)))
        free = {BLANK, BRANCH, REFERENCE}
        fitting = (
            (y, x)
            for y, x in places
            if {*self._styles[y][x : x + width]} <= free and not self._labelled(y, x, width)
        )
        return next(fitting, None)

    def _labelled(self, row: int, column: int, width: int) -> bool:
        """Whether the label of a branch is there already, or right beside."""
        cells = slice(max(0, column - 1), column + width + 1)
        pairs = zip(self._styles[row][cells], self._rows[row][cells], strict=True)
        return any(style == BRANCH and text != self._dot for style, text in pairs)

    def upright(self, step: int, axes: Axes, line: str, style: str) -> None:
        """A vertical line at a step, behind the curve."""
        if not axes.first <= step < axes.first + axes.span:
            return
        column = self.canvas.left + self.canvas.cell(step, axes)
        for row in range(self.canvas.height):
            if self._styles[row][column] in (BLANK, REFERENCE):
                self.put(row, column, line, style)

    def cursor(self, step: int, axes: Axes) -> None:
        """A vertical line at a step; the curve's own marks stay and take its style."""
        self.upright(step, axes, "|" if self.canvas.ascii else "│", CURSOR)
        if axes.first <= step < axes.first + axes.span:
            column = self.canvas.left + self.canvas.cell(step, axes)
            for row in range(self.canvas.height):
                self._styles[row][column] = CURSOR

    def y_axis(self, axes: Axes) -> None:
        """The gutter: a line, and labels at round heights."""
        if not self.canvas.left:
            return
        line, tick = ("|", "+") if self.canvas.ascii else ("│", "┤")
        for row in range(self.canvas.height):
            self.put(row, GUTTER - 1, line, AXIS)
        if axes.rows:
            for y, label in y_ticks(axes, GUTTER - 1):
                self.put(self.canvas.row(y, axes), 0, label + tick, AXIS)

    def x_axis(self, axes: Axes) -> None:
        """A row of labels below the canvas."""
        row, left, width = self.canvas.height, self.canvas.left, self.canvas.width
        self._rows.append(list(" " * (left + width)))
        self._styles.append(list(" " * (left + width)))
        if left:
            self.put(row, 0, "step".rjust(left - 1), AXIS)
        taken = -1
        for step, label in x_ticks(axes, width):
            cell = self.canvas.cell(max(step, axes.first), axes) - (len(label) - 1) // 2
            cell = max(0, min(cell, width - len(label)))
            if cell > taken:
                self.put(row, left + cell, label, AXIS)
                taken = cell + len(label)
