"""Axes that hold still, in round steps with room to spare; and their ticks at round numbers.

`Axes` is a value; `Axes.covering` gives the axes for newer data, which are the same axes for as
long as the data fit them. So a new step changes a few cells of a drawing and not the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor, isfinite, log10

import numpy as np

from tui_elbo.model.records import Floats
from tui_elbo.ui.plot.curve import LARGEST, Curve, Mode, scaled, unscaled

LEAST_SPAN = 20
"""Fewer steps than this never fill an axis."""

SAMPLE = 1024
"""A robust range looks at no more than about twice so many numbers."""

ROOM = 0.06
"""The part of the range that is left free at either end when an axis is fitted."""

AHEAD = 0.1
"""What is left free besides, at an end where a curve has grown beyond an axis."""

SHRINK = 0.4
"""An axis that shows so much more than there is to see is fitted again."""

TALL = sorted((m / gap, gap) for m in (1, 2, 5, 10) for gap in (2, 3, 4))
FLAT = sorted((m / 2, 2) for m in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10))
"""Heights of a row, but for a power of ten, and how many rows a tick comes after the last."""


@dataclass(frozen=True)
class Axes:
    """The part of the plane that a drawing shows."""

    first: int = 1
    """The step at the left edge."""
    span: int = LEAST_SPAN
    """How many steps the axis has room for."""
    low: float = 0.0
    """The lower edge, in y units: see `scaled`."""
    high: float = 1.0
    """The upper edge, in y units."""
    step: float = 0.5
    """The distance between ticks, in y units."""
    rows: int = 0
    """The rows of cells that the y range was fitted to; 0 if there was nothing to fit it to."""
    mode: Mode = "robust"
    sign: int = 0
    """0 if the y axis is linear, 1 if logarithmic, -1 if logarithmic for negative numbers."""

    def covering(self, curve: Curve, rows: int, mode: Mode = "robust") -> Axes:
        """These axes if the curve fits them well, else axes that it fits.

        Args:
            curve: what is to be drawn.
            rows: rows of cells to draw on.
            mode: which y range.
        """
        rows = max(1, rows)
        sign = _sign(curve.shown) if mode == "log" else 0
        span = round_up(max(LEAST_SPAN, curve.end - curve.first + 1))
        along = replace(self, first=curve.first, span=span, mode=mode, sign=sign)
        held = (self.rows, self.mode, self.sign, self.first) == (rows, mode, sign, curve.first)
        wanted = _wanted(curve, mode, sign)
        if wanted is None:
            return along if held else Axes(curve.first, span, mode=mode, sign=sign)
        low, high = wanted
        fits = self.low <= low and high <= self.high
        # The first few steps say little about how much there will be to see.
        least = SHRINK if len(curve.shown) >= LEAST_SPAN else SHRINK / 4
        if held and fits and high - low >= least * (self.high - self.low):
            return along
        more = AHEAD * (high - low) if held else 0.0
        below, above = more * (low < self.low), more * (high > self.high)
        low, high = _roomy(low - below, high + above)
        low, high, step = _rounded(low, high, rows)
        return replace(along, low=low, high=high, step=step, rows=rows)


def round_up(count: int) -> int:
    """The next of 1, 2, 3, 5, 10, 20, 30, 50…"""
    power = int(10 ** (len(str(max(1, count))) - 1))
    return next(power * m for m in (1, 2, 3, 5, 10) if power * m >= count)


def _sign(shown: Floats) -> int:
    """1 if most of what is finite is above zero, else -1."""
    finite = shown[np.isfinite(shown)]
    above, below = int((finite > 0).sum()), int((finite < 0).sum())
    return -1 if below > above else 1


def _wanted(curve: Curve, mode: Mode, sign: int) -> tuple[float, float] | None:
    """The range that should be visible, in y units; None if there is no finite number."""
    shown = curve.reach
    if curve.branches:
        start = max(0, curve.first - 1)
        shown = np.concatenate([shown, *(values[start:] for values, _ in curve.branches)])
    if mode == "robust" and len(shown) > 2 * SAMPLE:
        shown = shown[:: len(shown) // SAMPLE]
    part = scaled(shown, sign)
    finite = np.clip(part[np.isfinite(part)], -LARGEST, LARGEST)
    if len(finite) == 0:
        return None
    low, high = float(finite.min()), float(finite.max())
    if mode == "robust":
        low, high = _core(finite, low, high)
    return _with_references(curve, sign, low, high)


def _core(finite: Floats, low: float, high: float) -> tuple[float, float]:
    """The range without its outliers: nine tenths of the numbers, and as much again at either end.

    Few steps are too few to judge by, so there it is more.
    """
    count = len(finite)
    cut = max(count // 20, int(count >= 5))
    ordered = np.partition(finite, [cut, count - 1 - cut])
    inner, outer = float(ordered[cut]), float(ordered[count - 1 - cut])
    room = max(outer - inner, 1e-3 * max(abs(inner), abs(outer))) * (1 + LEAST_SPAN / count)
    return max(low, inner - room), min(high, outer + room)


def _with_references(curve: Curve, sign: int, low: float, high: float) -> tuple[float, float]:
    """The range with the reference lines that leave the curve a quarter of the height."""
    room = 3.0 * max(high - low, 0.05 * max(abs(low), abs(high)))
    for _, value in curve.references:
        y = float(scaled(np.array([value]), sign)[0])
        if isfinite(y) and abs(y) <= LARGEST and low - y <= room and y - high <= room:
            low, high = min(low, y), max(high, y)
    return low, high


def _roomy(low: float, high: float) -> tuple[float, float]:
    """The range with room to spare; labels can tell its ends apart."""
    size = max(abs(low), abs(high))
    if size < 1e-290:  # Zero, or as good as that: an axis of ordinary numbers about it.
        size = 10.0
    least = 0.1 * size if high == low else 1e-3 * size
    short = max(0.0, least - (high - low)) / 2
    room = short + ROOM * (high - low)
    return low - room, high + room


def _rounded(low: float, high: float, rows: int) -> tuple[float, float, float]:
    """The closest range around this one whose ticks stand at the middle of rows, evenly.

    A row stands for a round number divided by 2, 3 or 4, the rows from tick to tick. Where there
    are few rows, more numbers count as round, so that fewer rows stay empty.

    Returns:
        The lower and the upper edge, and the distance between ticks.
    """
    heights = TALL if rows >= 8 else FLAT
    power = 10.0 ** floor(log10((high - low) / rows))
    while True:
        for height, gap in heights:
            row = height * power
            first, last = floor(low / row + 0.5), floor(high / row + 0.5)
            for below in _halves(rows - (last - first + 1)):
                bottom = first - below
                ticks = (bottom + rows - 1) // gap - (bottom - 1) // gap
                if ticks >= min(2, rows // 2):
                    return (bottom - 0.5) * row, (bottom + rows - 0.5) * row, gap * row
        power *= 10


def _halves(spare: int) -> Iterator[int]:
    """How many of the spare rows to leave below: half of them, else about half."""
    half = spare // 2
    yield from (below for below in (half, half + 1, half - 1) if 0 <= below <= spare)


def nice_step(span: float, most: float) -> float:
    """The finest of 1, 2, 5 times a power of ten that cuts `span` into at most `most` parts."""
    rough = span / max(1.0, most)
    power = 10.0 ** floor(log10(rough))
    return next((power * m for m in (1, 2, 5) if power * m >= rough * (1 - 1e-9)), power * 10)


def x_ticks(axes: Axes, width: int) -> list[tuple[int, str]]:
    """The ticks of the step axis with their labels, few enough for `width` columns."""
    longest = len(_steps(axes.first + axes.span))
    step = max(1, round(nice_step(axes.span, max(1, width // (longest + 4)))))
    last = axes.first + axes.span - 1
    start = -(-axes.first // step) * step if axes.first > 1 else 0
    return [(place, _steps(place)) for place in range(start, last + 1, step)]


def y_ticks(axes: Axes, width: int) -> list[tuple[float, str]]:
    """The ticks of the y axis, in y units, with their labels of exactly `width` characters.

    Fewer of them where neighbouring labels would be equal.
    """
    places = _places(axes)
    while True:
        numbers = [unscaled(place, axes.sign) for place in places]
        texts = labels(numbers, width, even=not axes.sign)
        if len(set(texts)) == len(texts):
            return list(zip(places, texts, strict=True))
        places = places[::2]


def _places(axes: Axes) -> list[float]:
    """Where the ticks go: at round numbers."""
    step = axes.step
    if axes.sign:
        decades = float(max(1, ceil(step - 1e-9)))
        if floor(axes.high / decades) > ceil(axes.low / decades):
            step = decades
        elif len(places := _between_decades(axes)) > 1:
            return places
    first, last = ceil(axes.low / step), floor(axes.high / step)
    return [i * step for i in range(first, last + 1)]


def _between_decades(axes: Axes) -> list[float]:
    """1, 2 and 5 times powers of ten, those that would share a row or have neighbours left out."""
    marks = sorted(
        axes.sign * (decade + log10(m))
        for decade in range(
            floor(min(axes.sign * axes.low, axes.sign * axes.high)),
            ceil(max(axes.sign * axes.low, axes.sign * axes.high)) + 1,
        )
        for m in (1, 2, 5)
    )
    apart = 2 * (axes.high - axes.low) / max(1, axes.rows)
    places: list[float] = []
    for mark in marks:
        if axes.low <= mark <= axes.high and (not places or mark - places[-1] >= apart):
            places.append(mark)
    return places


def labels(numbers: list[float], width: int, even: bool = True) -> list[str]:
    """Ascending numbers as text of one width, flush right; blank where one does not fit.

    Args:
        numbers: what to write.
        width: the characters of each.
        even: write them with the same decimal places.
    """
    steps = [b - a for a, b in pairwise(numbers)]
    step = min(steps) if steps else abs(numbers[0]) if numbers else 0.0
    texts: list[str] = []
    for texts in _spellings(numbers, step, even):
        if all(len(text) <= width for text in texts) and len(set(texts)) == len(texts):
            break
    return [(text if len(text) <= width else "").rjust(width) for text in texts]


def _spellings(numbers: list[float], step: float, even: bool) -> Iterator[list[str]]:
    """Ways to write the numbers, the plainest first."""
    largest = max(map(abs, numbers), default=0.0)
    if not even and all(1e-4 <= abs(n) < 1e6 for n in numbers):
        for digits in (2, 3, 4):
            yield [f"{n:.{digits}g}" if abs(n) < 100 else f"{n:.0f}" for n in numbers]
    elif even and largest < 1e9 and step > 1e-9:
        for unit, suffix in ((1.0, ""), (1e3, "k"), (1e6, "M")):
            places = max(0, -floor(log10(step / unit) + 1e-9))
            scaled = step / unit * 10.0**places
            places += abs(scaled - round(scaled)) > 1e-3
            yield [f"{n / unit + 0.0:.{places}f}{suffix if n else ''}" for n in numbers]
    for digits in (3, 2, 1, 0):
        yield [_short(number, digits) for number in numbers]


def _short(number: float, digits: int) -> str:
    """With an exponent and without idle zeros."""
    mantissa, _, exponent = f"{number:.{digits}e}".partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}" if exponent and int(exponent) else mantissa


def _steps(step: int) -> str:
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if step >= size and step % (size // 100 if unit == "M" else 100) == 0:
            return f"{step / (size if unit == 'M' else 1000):g}{unit}"
    return str(step)
