"""Curves as cells of characters: a pure function of data and size.

Only this module touches plotext. It is given finite numbers within the canvas, in units of dots,
a few a column; what it gives back is taken apart into characters and styles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from math import isnan
from typing import Any

import numpy as np

from tui_elbo.model.records import Floats
from tui_elbo.ui.plot.axes import Axes
from tui_elbo.ui.plot.cell_grid import BAND, BLANK, MARK, MEAN, REFERENCE, Canvas, CellGrid, Look
from tui_elbo.ui.plot.curve import Columns, Curve, Ints, Mode, columns, scaled

__all__ = ["Axes", "Canvas", "Curve", "Drawing", "Look", "plot", "sketch"]

_SEQUENCE = re.compile(r"\x1b\[(?:38;5;(\d+)|0)m")
_COLOURS = {REFERENCE: 1, BAND: 2, MEAN: 3}
_STYLES = {str(colour): style for style, colour in _COLOURS.items()}
_MARKERS = {REFERENCE: "-", BAND: ".", MEAN: "*"}

DASH = 2
"""Cells of a reference line's dashes, and between them: each change of style costs bytes."""

Cells = tuple[tuple[str, ...], tuple[str, ...]]
"""Rows of characters and rows of styles, of equal lengths."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A curve as rows of characters, each with a row of styles of the same length."""

    rows: tuple[str, ...]
    styles: tuple[str, ...]
    source: _Source | None = field(default=None, repr=False)
    """What it was made from, so that the next one can take over what stays."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return (len(self.rows[0]) if self.rows else 0, len(self.rows))

    @property
    def text(self) -> str:
        """The characters alone, a line a row."""
        return "\n".join(row.rstrip() for row in self.rows)


@dataclass(frozen=True, eq=False)
class _Source:
    cells: Cells
    """The curve without what is laid over it and set beside it."""
    data: Columns
    key: tuple[Canvas, Axes, tuple[tuple[str, float], ...]]
    """What has to be the same for cells to stay."""
    size: tuple[int, int, int, int]
    """What the branches are reduced for: the first step, the span, columns, the sign."""
    left: tuple[tuple[Floats, Columns], ...]
    """The branches, and what they were reduced to: they change no more."""


def plot(
    curve: Curve,
    axes: Axes,
    width: int,
    height: int,
    *,
    look: Look | None = None,
    before: Drawing | None = None,
) -> Drawing:
    """Draw a curve.

    Args:
        curve: what to draw.
        axes: the part of the plane to show.
        width: columns of characters; less than one draws nothing.
        height: rows of characters; less than one draws nothing.
        look: the kind of marks, and whether steps are labelled.
        before: an earlier drawing. The result is the same without it; with it, only the columns
            that differ are drawn again.
    """
    if width <= 0 or height <= 0:
        return Drawing(("",) * max(0, height), ("",) * max(0, height))
    look = look or Look()
    canvas = Canvas.of(width, height, look)
    data = columns(curve, axes.span, canvas.columns, axes.sign)
    key = (canvas, axes, curve.references)
    old = before.source if before is not None else None
    cells = _cells(data, key, old if old is not None and old.key == key else None)
    grid = CellGrid(*cells, canvas)
    grid.mark(data, axes)
    size = (curve.first, axes.span, canvas.columns, axes.sign)
    known = old.left if old is not None and old.size == size else ()
    left = tuple(
        next((one for one in known if one[0] is values), None)
        or (values, columns(Curve(values, curve.first, len(values)), *size[1:]))
        for values, _ in curve.branches
    )
    labels = (label for _, label in curve.branches)
    grid.branches([(data, label) for (_, data), label in zip(left, labels, strict=True)], axes)
    for step in curve.marks:
        grid.upright(step, axes, ":" if canvas.ascii else "┊", MARK)
    if curve.cursor is not None:
        grid.cursor(curve.cursor, axes)
    grid.y_axis(axes)
    if canvas.height < height:
        grid.x_axis(axes)
    return Drawing(grid.rows, grid.styles, _Source(cells, data, key, size, left))


def sketch(
    curve: Curve, width: int, height: int, look: Look | None = None, mode: Mode = "robust"
) -> Drawing:
    """Draw a curve by itself, on axes of its own."""
    rows = Canvas.of(width, height, look or Look()).height
    return plot(curve, Axes().covering(curve, rows, mode), width, height, look=look)


def _cells(
    data: Columns,
    key: tuple[Canvas, Axes, tuple[tuple[str, float], ...]],
    old: _Source | None,
) -> Cells:
    """The cells of the curve; those left of the first change are the old ones."""
    canvas = key[0]
    if old is None:
        return _part(data, key, 0, canvas.width)
    same = data.same(old.data)
    if same == len(data.x) == len(old.data.x):
        return old.cells
    # The line to the first bucket that changed begins at the last that has not.
    start = int(data.x[same - 1]) // canvas.per_column if same else 0
    ends = [int(c.x[-1]) // canvas.per_column + 1 for c in (data, old.data) if len(c.x)]
    end = max(ends, default=0)
    new = _part(data, key, start, end)
    spliced = [
        tuple(was[:start] + now + was[end:] for was, now in zip(a, b, strict=True))
        for a, b in zip(old.cells, new, strict=True)
    ]
    return spliced[0], spliced[1]


def _part(
    data: Columns, key: tuple[Canvas, Axes, tuple[tuple[str, float], ...]], start: int, end: int
) -> Cells:
    """The curve's columns of cells from `start` to `end`, drawn by plotext."""
    canvas, axes, references = key
    per = canvas.per_column
    # One bucket before the part, for the line that comes from it: plotext rounds towards zero,
    # so its columns are counted from there.
    first = max(0, int(np.searchsorted(data.x, start * per)) - 1)
    origin = min(start, int(data.x[first]) // per) if first < len(data.x) else start
    stop = int(np.searchsorted(data.x, end * per))
    x = data.x[first:stop] - origin * per
    low, high, mean = (y[first:stop] for y in (data.low, data.high, data.mean))
    pen = _Pen(end - origin, canvas)
    # What lies outside is drawn at the edge, so that a line leads there.
    low, high = (canvas.dots(np.clip(y, axes.low, axes.high), axes) for y in (low, high))
    for xs, ys in _runs(x, low, high):
        pen.line(xs, ys, BAND)
    heights = scaled(np.array([value for _, value in references]), axes.sign)
    for y in canvas.dots(heights, axes).tolist():
        dashes = np.arange(origin * per, end * per)
        if not isnan(y):
            pen.dots(dashes[dashes // per // DASH % 2 == 0] - origin * per, y)
    mean = canvas.dots(mean, axes)
    for xs, ys in _runs(x, mean, mean):
        pen.line(xs, ys, MEAN)
    rows, styles = pen.cells()
    cut = start - origin
    return tuple(row[cut:] for row in rows), tuple(style[cut:] for style in styles)


def _runs(x: Ints, low: Floats, high: Floats) -> Iterator[tuple[list[int], list[float]]]:
    """Lines through the extremes of neighbouring columns, one for each stretch without a gap.

    A line goes up one column and down the next. Where two do not overlap, their nearest ends are
    joined; where they do, it changes over within both.
    """
    line: list[tuple[int, float]] = []
    under, over = 0.0, 0.0
    for column, a, b in zip(x.tolist(), low.tolist(), high.tolist(), strict=True):
        if isnan(a):
            if line:
                yield _unzipped(line)
            line = []
            continue
        upwards = True
        if line:
            upwards = a > over or (b >= under and line[-1][1] == under)
            leave = max(under, min(a, over)) if upwards else min(over, max(b, under))
            enter = max(leave, a) if upwards else min(leave, b)
            line += [(line[-1][0], leave), (column, enter)]
        line += [(column, a), (column, b)] if upwards else [(column, b), (column, a)]
        under, over = a, b
    if line:
        yield _unzipped(line)


def _unzipped(line: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    """The two coordinates of a line's points, without repetition."""
    points = [point for point, _ in groupby(line)]
    return [x for x, _ in points], [y for _, y in points]


class _Pen:
    """Marks to be made on some columns of a canvas."""

    def __init__(self, width: int, canvas: Canvas) -> None:
        self._width, self._canvas = width, canvas
        self._marks: list[tuple[list[int], list[float], str]] = []

    def dots(self, xs: Ints, y: float) -> None:
        """A reference line's dots, at one height."""
        if len(xs):
            self._marks.append((xs.tolist(), [y] * len(xs), REFERENCE))

    def line(self, xs: list[int], ys: list[float], style: str) -> None:
        """A line through points, over what has been drawn before."""
        self._marks.append((xs, ys, style))

    def cells(self) -> Cells:
        """What has been drawn.

        plotext keeps one figure for the whole process, so this is for one thread.
        """
        width, height = self._width, self._canvas.height
        if not self._marks or width <= 0:
            return (" " * width,) * height, (BLANK * width,) * height
        plt = _plotext()
        plt.clear_data()
        plt.plot_size(width, height)
        plt.xlim(0, max(1, width * self._canvas.per_column - 1))
        plt.ylim(0, max(1, self._canvas.top))
        for xs, ys, style in self._marks:
            draw = plt.scatter if style == REFERENCE else plt.plot
            marker = _MARKERS[style] if self._canvas.ascii else "braille"
            draw(xs, ys, marker=marker, color=_COLOURS[style])
        pairs = [_inked(line) for line in plt.build().split("\n")[:height]]
        return tuple(text for text, _ in pairs), tuple(style for _, style in pairs)


def _inked(line: str) -> tuple[str, str]:
    """A line of plotext's as characters and styles."""
    text, styles, style = "", "", BLANK
    pieces = _SEQUENCE.split(line)
    for piece, colour in zip(pieces[::2], [*pieces[1::2], None], strict=True):
        text += piece
        styles += style * len(piece)
        style = BLANK if colour is None else _STYLES[colour]
    return text, styles


@cache
def _plotext() -> Any:
    """plotext, with a figure without frame, ticks and colours of its own."""
    # Imported when first needed: it takes a good part of the time that a first frame may take.
    import plotext as plt  # noqa: PLC0415

    plt.clear_figure()
    plt.limit_size(False, False)
    plt.frame(False)
    plt.xfrequency(0)
    plt.yfrequency(0)
    for paint in (plt.canvas_color, plt.axes_color, plt.ticks_color):
        paint("default")
    return plt
