"""A curve, and its reduction to the columns of dots that a screen has room for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tui_elbo.model.history import window
from tui_elbo.model.records import Floats

Mode = Literal["robust", "full", "log"]
"""Which y range: without the outliers, with them, or logarithmic."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LARGEST = 1e300
"""What lies beyond is drawn there, so that differences do not overflow."""

SMOOTH = 20
"""The running mean looks back over this part of the axis."""

SMOOTH_STEPS = 8
"""…or over so many steps, whichever is more."""


@dataclass(frozen=True, eq=False)
class Curve:
    """What is to be drawn."""

    values: Floats
    """A column of the history, index `step - 1`; may hold anything that a float can be."""
    first: int = 1
    """The first step shown."""
    last: int = 0
    """The last step shown; none if it is before the first."""
    references: tuple[tuple[str, float], ...] = ()
    """Names and heights of dashed lines."""
    cursor: int | None = None
    """The step looked at."""
    marks: tuple[int, ...] = ()
    """Steps before which something was changed by hand."""
    line: Floats | None = None
    """The bright line, index `step - 1`; it leads straight over steps that have no number. None:
    the running mean of the values."""
    spread: Floats | None = None
    """How far the band reaches above and below each value, index `step - 1`; None: not at all."""

    absent: Bools | None = None
    """Steps that have no number, and lack none, index `step - 1`; None: no step."""

    branches: tuple[tuple[Floats, str], ...] = ()
    """The curves of the branches, drawn dimly where nothing else is, index `step - 1`; and a few
    words at the end of each."""

    @property
    def end(self) -> int:
        """The last step that there is anything to draw of."""
        return max(self.last, *(len(values) for values, _ in self.branches), 0)

    @property
    def shown(self) -> Floats:
        """The numbers of the steps shown."""
        return self.part(self.values)

    @property
    def reach(self) -> Floats:
        """The numbers of the steps shown, and the ends of what is spread about them."""
        if self.spread is None:
            return self.shown
        spread = self.part(self.spread)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.concatenate([self.shown - spread, self.shown + spread])

    def part(self, column: Floats) -> Floats:
        """What a column has of the steps shown."""
        return column[max(0, self.first - 1) : max(0, self.last)]


@dataclass(frozen=True, eq=False)
class Columns:
    """A curve reduced to columns of dots: one entry a bucket, in y units of the axes.

    A bucket without a number has NaN in `low`, `high` and, if none came shortly before, `mean`.
    """

    x: Ints
    """The column, from 0."""
    low: Floats
    high: Floats
    mean: Floats
    """The bright line: the running mean up to the bucket's last step, if it is no other."""
    up: Bools
    """The bucket holds a +inf."""
    down: Bools
    """The bucket holds a NaN, a -inf or, on a logarithmic axis, a number of the wrong sign."""

    @staticmethod
    def none() -> Columns:
        """Nothing at all."""
        empty, no = np.empty(0), np.empty(0, dtype=bool)
        return Columns(np.empty(0, dtype=np.int64), empty, empty, empty, no, no)

    def same(self, other: Columns) -> int:
        """How many leading buckets both have in common."""
        count = min(len(self.x), len(other.x))
        differs = (self.x[:count] != other.x[:count]) | (self.up[:count] != other.up[:count])
        differs |= self.down[:count] != other.down[:count]
        for mine, its in ((self.low, other.low), (self.high, other.high), (self.mean, other.mean)):
            a, b = mine[:count], its[:count]
            differs |= (a != b) & ~(np.isnan(a) & np.isnan(b))
        return int(differs.argmax()) if differs.any() else count


def scaled(values: Floats, sign: int) -> Floats:
    """The numbers on an axis: as they are (sign 0), or logarithms that keep their order.

    With sign -1 it is -log10(-v): for what is negative throughout, such as most ELBOs. Numbers of
    the other sign become NaN.
    """
    if sign == 0:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = sign * np.log10(values * sign)
    return np.where(np.isfinite(logs), logs, np.nan)


def unscaled(y: float, sign: int) -> float:
    """The number that stands at `y` on the axis."""
    return y if sign == 0 else sign * 10.0 ** min(max(sign * y, -307.0), 308.0)


def columns(curve: Curve, span: int, width: int, sign: int = 0) -> Columns:
    """Reduce a curve to `width` columns that stand for `span` steps from the first one shown on.

    Args:
        curve: what is to be drawn.
        span: the steps on the whole axis, those to come included.
        width: the columns of dots on the whole axis.
        sign: 0 for a linear axis; 1 or -1 for a logarithmic one, see `scaled`.
    """
    raw = curve.shown
    if width <= 0 or len(raw) == 0:
        return Columns.none()
    part = scaled(raw, sign)
    seen = window(part, 1, len(part), width, span)
    offsets = seen.step.astype(np.int64) - 1
    x = ((2 * offsets + 1) * width) // (2 * span) if span < width else np.arange(len(offsets))
    back = max(SMOOTH_STEPS, span // SMOOTH) / max(1.0, span / width)
    up, down = _broken(curve, part, offsets, bool(seen.broken.any()))
    low, high = seen.low, seen.high
    if curve.spread is not None:
        under, over = np.split(curve.reach, 2)
        low = window(scaled(under, sign), 1, len(part), width, span).low
        high = window(scaled(over, sign), 1, len(part), width, span).high
    if curve.line is not None:
        mean = _joined(window(scaled(curve.part(curve.line), sign), 1, len(part), width, span).mean)
    else:
        mean = trailing_mean(np.clip(seen.mean, -LARGEST, LARGEST), seen.finite, round(back))
    return Columns(
        x=x,
        low=np.clip(low, -LARGEST, LARGEST),
        high=np.clip(high, -LARGEST, LARGEST),
        mean=np.clip(mean, -LARGEST, LARGEST),
        up=up,
        down=down,
    )


def _joined(heights: Floats) -> Floats:
    """The heights, with straight lines over gaps between them."""
    known = np.flatnonzero(np.isfinite(heights))
    if len(known) == 0:
        return heights
    at = np.arange(len(heights))
    joined: Floats = np.interp(at, known, np.clip(heights[known], -LARGEST, LARGEST))
    joined[(at < known[0]) | (at > known[-1])] = np.nan
    return joined


def _broken(curve: Curve, part: Floats, offsets: Ints, some: bool) -> tuple[Bools, Bools]:
    up, down = np.zeros(len(offsets), dtype=bool), np.zeros(len(offsets), dtype=bool)
    if some:
        broken = ~np.isfinite(part)
        if curve.absent is not None:
            broken &= ~curve.absent[max(0, curve.first - 1) : max(0, curve.last)]
        where = np.flatnonzero(broken)
        above = curve.shown[where] == np.inf
        buckets = np.searchsorted(offsets, where, side="right") - 1
        up[buckets[above]] = True
        down[buckets[~above]] = True
    return up, down


def trailing_mean(means: Floats, counts: Floats, back: int) -> Floats:
    """The mean over each bucket and the `back - 1` before it; NaN where they hold no number."""
    recent = np.ones(max(1, min(back, len(means))))
    heights = np.where(counts > 0, means, 0.0) * counts
    total = np.convolve(counts, recent)[: len(means)]
    with np.errstate(invalid="ignore", divide="ignore"):
        smooth: Floats = np.convolve(heights, recent)[: len(means)] / total
    return np.where(total > 0, smooth, np.nan)
