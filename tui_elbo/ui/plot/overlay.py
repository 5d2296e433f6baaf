"""Many curves over each other, one colour each: a pure function of data and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from tui_elbo.model.records import Floats
from tui_elbo.ui.plot.axes import LEAST_SPAN, Axes, round_up
from tui_elbo.ui.plot.cell_grid import AXIS, BLANK, BROKEN, Canvas, CellGrid, Look
from tui_elbo.ui.plot.curve import (
    LARGEST,
    SMOOTH,
    SMOOTH_STEPS,
    Bools,
    Curve,
    Mode,
    scaled,
    trailing_mean,
)

_LEFT, _RIGHT = (0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)
_DOTS = np.array([_LEFT, _RIGHT]).T
"""The bit of each dot of a braille character, from the top left."""

_FIRST = 0x100
"""The styles of curves are characters from here on."""


@dataclass(frozen=True, eq=False)
class OverlaidCurve:
    """A curve among others."""

    values: Floats
    """Of each column of dots; a gap where it is NaN. Shape (columns,)."""
    broken: Bools
    """Where a number is not finite. Shape (columns,)."""
    style: str
    """As rich writes it."""
    letter: str
    """What draws it in ASCII."""
    band: tuple[Floats, Floats] | None = None
    """Lower and upper ends of a range about it, dotted; each of shape (columns,)."""


def axes_for(
    pooled: Floats, steps: int, *, height: int, look: Look, before: Axes, mode: Mode = "robust"
) -> Axes:
    """The axes that hold these numbers of so many steps; those before if they still fit."""
    rows = Canvas.of(80, height, look).height
    axes = before.covering(Curve(pooled, 1, len(pooled)), rows, mode)
    return replace(axes, span=round_up(max(LEAST_SPAN, steps)))


def overlay(
    curves: Sequence[OverlaidCurve], axes: Axes, width: int, height: int, look: Look
) -> list[list[tuple[str, str]]]:
    """Draw curves over each other, the last one on top.

    Args:
        curves: with a value for each column of dots of the canvas.
        axes: the part of the plane to show.
        width: columns of characters.
        height: rows of characters.
        look: the kind of marks.

    Returns:
        For each row its pieces: text, and a style as rich writes it.
    """
    if width <= 0 or height <= 0:
        return [[] for _ in range(max(0, height))]
    canvas = Canvas.of(width, height, look)
    shape = (canvas.height, canvas.per_row, canvas.width, canvas.per_column)
    dots = np.zeros(shape, dtype=bool)
    owner = np.zeros((canvas.height, canvas.width), dtype=np.int64)
    for number, curve in enumerate(curves, start=1):
        mask = _mask(curve, axes, canvas).reshape(shape)
        dots |= mask
        owner[mask.any(axis=(1, 3))] = number
    letters = [" ", *(curve.letter for curve in curves)]
    if canvas.ascii:
        rows = ["".join(letters[one] for one in row) for row in owner.tolist()]
    else:
        bits = (dots * _DOTS[None, :, None, :]).sum(axis=(1, 3)).tolist()
        rows = ["".join(chr(0x2800 + b) if b else " " for b in row) for row in bits]
    styles = ["".join(chr(_FIRST + one) if one else BLANK for one in row) for row in owner.tolist()]
    grid = CellGrid(rows, styles, canvas)
    _mark_broken(grid, curves, axes)
    grid.y_axis(axes)
    if canvas.height < height:
        grid.x_axis(axes)
    named = {BLANK: "", AXIS: "dim", BROKEN: "bold red"}
    named |= {chr(_FIRST + i): curve.style for i, curve in enumerate(curves, start=1)}
    return [_pieces(row, style, named) for row, style in zip(grid.rows, grid.styles, strict=True)]


def smoothed(values: Floats, broken: Bools, span: int) -> Floats:
    """The running mean up to each column, as far back as that of the explorer's curves.

    Args:
        values: the mean of each column of dots, as `Reduction.over` gives it.
        broken: where a number is not finite.
        span: steps of the whole axis.
    """
    line = joined(values, broken)
    back = max(SMOOTH_STEPS, span // SMOOTH) * len(values) / span
    known = np.isfinite(line)
    mean = trailing_mean(np.clip(line, -LARGEST, LARGEST), known.astype(float), round(back))
    mean[~known] = np.nan
    return mean


def joined(values: Floats, broken: Bools) -> Floats:
    """The values with straight lines over columns that nothing falls into.

    Where a number is not finite and none is finite, the line has a gap.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 0:
        return values
    at = np.arange(len(values))
    line: Floats = np.interp(at, known, values[known])
    gap = broken & ~np.isfinite(values)
    met = np.concatenate([[0], np.cumsum(gap)])
    after = np.searchsorted(known, at, side="left")
    outside = (after == len(known)) | (at < known[0])
    following = known[np.minimum(after, len(known) - 1)]
    before = known[np.maximum(np.where(following == at, after, after - 1), 0)]
    line[outside | (met[following] != met[before])] = np.nan
    return line


def _mask(curve: OverlaidCurve, axes: Axes, canvas: Canvas) -> Bools:
    """The dots of a curve, from the top; shape (rows of dots, columns of dots)."""
    rows = np.arange(canvas.top, -1, -1)[:, None]
    heights = _dots(curve.values, axes, canvas)
    before = np.concatenate([[np.nan], heights[:-1]])
    before = np.where(np.isnan(before), heights, before)
    # From the dot beside the one before, so that a slope is one dot thick.
    low = np.where(before < heights, before + 1, heights)
    high = np.where(before > heights, before - 1, heights)
    with np.errstate(invalid="ignore"):
        mask: Bools = (rows >= low) & (rows <= high)
        for ends in curve.band or ():
            edge = _dots(ends, axes, canvas)
            edge[1::2] = np.nan
            mask |= rows == edge
    return mask


def _dots(values: Floats, axes: Axes, canvas: Canvas) -> Floats:
    """The heights in dots. What lies outside is at the edge."""
    return canvas.dots(np.clip(scaled(values, axes.sign), axes.low, axes.high), axes)


def _mark_broken(grid: CellGrid, curves: Sequence[OverlaidCurve], axes: Axes) -> None:
    """A mark at the lower edge where a curve is not finite, or is no number on a log axis."""
    canvas = grid.canvas
    cross = "x" if canvas.ascii else "×"
    for curve in curves:
        broken = curve.broken
        if axes.sign:
            shown = scaled(curve.values, axes.sign)
            broken = broken | (np.isnan(shown) & ~np.isnan(curve.values))
        for column in sorted({*(np.flatnonzero(broken) // canvas.per_column).tolist()}):
            grid.put(canvas.height - 1, canvas.left + column, cross, BROKEN)


def _pieces(row: str, styles: str, named: dict[str, str]) -> list[tuple[str, str]]:
    pieces, at = [], 0
    for style, run in groupby(styles):
        end = at + len(list(run))
        pieces.append((row[at:end], named[style]))
        at = end
    return pieces
