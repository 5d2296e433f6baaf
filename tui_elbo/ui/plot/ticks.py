"""Ticks at round numbers, and labels of one width."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil, floor, log10

from tui_elbo.ui.plot.axes import Axes
from tui_elbo.ui.plot.curve import unscaled


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

    Fewer of them where neighbours could not be told apart.
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
