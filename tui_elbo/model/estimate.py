"""Numbers that are estimated from draws, written with the digits that their error allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui_elbo.model.records import Floats

DIGITS = 6
"""The most digits of a value."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and standard deviation of some numbers, and their standard errors: (elements,) each."""

    mean: Floats
    sd: Floats
    mean_error: Floats
    sd_error: Floats
    """Both NaN of a single draw."""


def rounded(value: float, error: float, digits: int = DIGITS) -> str:
    """The value down to the first digit of its standard error.

    Args:
        value: may be anything.
        error: 0 where there is none; NaN where it is not known, which leaves two digits.
        digits: the most of the value that are shown.
    """
    if not math.isfinite(value):
        return f"{value:g}"
    if not math.isfinite(error):
        return f"{value:.2g}"
    first = math.floor(math.log10(abs(value))) if value else 0
    last = first - digits + 1
    if error > 0:
        last = max(last, _place(error))
    if -DIGITS <= last <= 0:
        return f"{value + 0.0:.{-last}f}"
    if max(first, last) < DIGITS and error > 0 and 0 < last == _place(error):
        return f"{round(value, -last):.0f}"
    return f"{round(value, -last):.{max(0, first - last)}e}"


def significant(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """The value in so many significant digits, for a sentence: `1,230`, not `1.23e+03`.

    Args:
        value: may be anything; from a thousand million on it has an exponent.
        digits: 1 at least.
        signed: whether a positive number has its sign too.
    """
    kept, sign = float(f"{value:.{digits}g}"), "+" if signed else ""
    if 1000 <= abs(kept) < 1e9:
        return f"{kept:{sign},.0f}"
    return f"{kept:{sign}.{digits}g}"


def one_digit(value: float) -> str:
    """A standard error in one digit: `0.03`, `50`."""
    return f"{float(f'{value:.1g}'):g}" if math.isfinite(value) else "–"


def with_error(value: float, error: float, digits: int = DIGITS) -> str:
    """`-4.60 ± 0.03`."""
    return f"{rounded(value, error, digits)} ± {one_digit(error)}"


def _place(error: float) -> int:
    """The power of ten of its first digit, when it is rounded to one."""
    return int(f"{error:.0e}".partition("e")[2])
