"""Axes that hold still: ranges in round steps with room to spare, and their ticks.

`Axes` is a value; `Axes.covering` gives the axes for newer data, which are the same axes for as
long as the data fit them. So a new step changes a few cells of a drawing and not the whole of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

import numpy as np

from tui_elbo.records import Floats
from tui_elbo.ui.drawing.curve import LARGEST, Curve, Mode, scaled, unscaled

LEAST_SPAN = 20
"""Fewer steps than this never fill an axis."""

SAMPLE = 4096
"""A robust range looks at no more than about twice so many numbers."""


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
    mode: Mode = "robust"
    sign: int = 0
    """0 if the y axis is linear, 1 if logarithmic, -1 if logarithmic for negative numbers."""
    fitted: bool = False
    """False as long as there is nothing that the y range was fitted to."""

    def covering(self, curve: Curve, mode: Mode = "robust") -> Axes:
        """These axes if the curve fits them well, else axes that it fits."""
        span = round_up(max(LEAST_SPAN, curve.last - curve.first + 1))
        sign = _sign(curve.shown) if mode == "log" else 0
        wanted = _wanted(curve, mode, sign)
        held = self.fitted and (mode, sign, curve.first) == (self.mode, self.sign, self.first)
        if wanted is None:
            if held:
                return Axes(curve.first, span, self.low, self.high, mode, sign, True)
            return Axes(curve.first, span, mode=mode, sign=sign)
        low, high = wanted
        fits = self.low <= low and high <= self.high
        roomy = (high - low) < 0.35 * (self.high - self.low)
        if held and fits and not roomy:
            return Axes(curve.first, span, self.low, self.high, mode, sign, True)
        low, high = _rounded(low, high)
        return Axes(curve.first, span, low, high, mode, sign, True)


def round_up(count: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50…"""
    power = int(10 ** (len(str(max(1, count))) - 1))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= count)


def nice_step(span: float, most: float) -> float:
    """The finest of 1, 2, 5 times a power of ten that cuts `span` into at most `most` parts."""
    rough = span / max(1.0, most)
    power = 10.0 ** floor(log10(rough))
    return next((power * m for m in (1, 2, 5) if power * m >= rough * (1 - 1e-9)), power * 10)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` of them; `most` is at least 2."""
    step = nice_step(high - low, most - 1)
    first, last = ceil(low / step - 1e-6), floor(high / step + 1e-6)
    return [i * step for i in range(first, last + 1)]


def y_ticks(axes: Axes, most: int, width: int) -> list[tuple[float, str]]:
    """The ticks of the y axis, in y units, with their labels of exactly `width` characters."""
    most = max(2, most)
    if axes.sign and axes.high - axes.low >= 1:
        decades = max(1, round(nice_step(axes.high - axes.low, most - 1)))
        first, last = ceil(axes.low / decades - 1e-6), floor(axes.high / decades + 1e-6)
        places = [float(i * decades) for i in range(first, last + 1)]
    else:
        places = ticks(axes.low, axes.high, most)
    numbers = [unscaled(place, axes.sign) for place in places]
    step = abs(numbers[1] - numbers[0]) if len(numbers) > 1 and not axes.sign else 0.0
    return list(zip(places, labels(numbers, step, width), strict=True))


def labels(numbers: list[float], step: float, width: int) -> list[str]:
    """The numbers as text of one width, flush right; blank where one does not fit.

    Args:
        numbers: what to write.
        step: the distance between neighbours; 0 if they have no common one.
        width: the characters of each.
    """
    plain = [_plain(number, step) for number in numbers]
    if any(len(text) > width for text in plain):
        plain = [_short(number) for number in numbers]
    return [(text if len(text) <= width else "").rjust(width) for text in plain]


def _plain(number: float, step: float) -> str:
    if step == 0.0:
        return f"{number:.4g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    if abs(step) < 1e-9 or abs(number) >= 1e9:
        return _short(number)
    places = max(0, -floor(log10(step) + 1e-9))
    return f"{number + 0.0:.{places}f}"


def _short(number: float) -> str:
    text = f"{number:.2g}" if abs(number) < 100 else f"{number:.1e}"
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def _sign(shown: Floats) -> int:
    """1 if most of what is finite is above zero, else -1."""
    finite = shown[np.isfinite(shown)]
    above, below = int((finite > 0).sum()), int((finite < 0).sum())
    return -1 if below > above else 1


def _wanted(curve: Curve, mode: Mode, sign: int) -> tuple[float, float] | None:
    """The range that should be visible, in y units; None if there is no finite number."""
    shown = curve.shown
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
    """The range without its outliers: those that would make it more than twice as wide."""
    count = len(finite)
    cut = count // 50 + (count >= 5)
    if cut == 0:
        return low, high
    ordered = np.partition(finite, [cut, count - 1 - cut])
    inner, outer = float(ordered[cut]), float(ordered[count - 1 - cut])
    room = max(outer - inner, 1e-3 * max(abs(inner), abs(outer)))
    return (
        low if inner - low <= room else inner,
        high if high - outer <= room else outer,
    )


def _with_references(curve: Curve, sign: int, low: float, high: float) -> tuple[float, float]:
    """The range with the reference lines that leave the curve a quarter of the height."""
    room = 3.0 * max(high - low, 0.05 * max(abs(low), abs(high)))
    for _, value in curve.references:
        y = float(scaled(np.array([value]), sign)[0])
        if isfinite(y) and abs(y) <= LARGEST and low - y <= room and y - high <= room:
            low, high = min(low, y), max(high, y)
    return low, high


def _rounded(low: float, high: float) -> tuple[float, float]:
    """A wider range with round ends."""
    size = max(abs(low), abs(high))
    least = 0.1 * size if high == low else 1e-3 * size
    least = max(least, 1e-290)
    if high - low < least:
        middle = low / 2 + high / 2
        low, high = middle - least / 2, middle + least / 2
    room = 0.08 * (high - low)
    step = nice_step(high - low, 12)
    return floor((low - room) / step) * step, ceil((high + room) / step) * step


def x_ticks(axes: Axes, width: int) -> list[tuple[int, str]]:
    """The ticks of the step axis with their labels, few enough for `width` columns."""
    longest = len(_steps(axes.first + axes.span))
    step = max(1, round(nice_step(axes.span, max(1, width // (longest + 4)))))
    last = axes.first + axes.span - 1
    start = -(-axes.first // step) * step if axes.first > 1 else 0
    return [(place, _steps(place)) for place in range(start, last + 1, step)]


def _steps(step: int) -> str:
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if step >= size and step % (size // 100 if unit == "M" else 100) == 0:
            return f"{step / (size if unit == 'M' else 1000):g}{unit}"
    return str(step)
