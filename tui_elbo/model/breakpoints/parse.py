"""From the text of a breakpoint to what a run can be asked, and where in a history it held."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from tui_elbo.model.breakpoints.kinds import Falls, NonFinite, Sign, Still
from tui_elbo.model.conditions import Condition, Numbers, parse
from tui_elbo.model.conditions.condition import Bools
from tui_elbo.model.errors import UsageError
from tui_elbo.model.history import History
from tui_elbo.model.records import Column, Layout

WORDS = ("nonfinite", "falls ", "sign ", "still ")
"""What a breakpoint that is no condition begins with."""

EXAMPLES = 'elbo > -1.2, nonfinite, falls 3, sign params["phi"], still 100'


class Stop(Protocol):
    """What a run may stop for."""

    text: str
    """As it was written."""

    @property
    def reads_params(self) -> bool:
        """Whether it reads parameters; their sums are then wanted at every step."""

    @property
    def params(self) -> frozenset[str]:
        """The parameters that it reads by name."""

    def check(self, *layouts: Layout) -> None:
        """See that its names are there.

        Raises:
            UsageError: with the names that are nearest.
        """

    def met(self, layout: Layout, step: int, numbers: Numbers) -> bool:
        """Whether it holds at this step; asked in the order of the steps."""

    def describe(self, layout: Layout, step: int, numbers: Numbers) -> str:
        """What made it hold at the step that was asked about last."""

    def holds_in(self, history: History) -> Bools:
        """Whether it holds, for each step of a history; shape (steps,)."""


def stop_at(text: str) -> Stop:
    """Read a breakpoint.

    Raises:
        UsageError: if it is none.
    """
    text = " ".join(text.split())
    if not text:
        raise UsageError("there is no breakpoint", todo=f"write such as {EXAMPLES}")
    word, _, rest = text.partition(" ")
    if word == "nonfinite" and (not rest or rest.startswith("except ")):
        names = [part.strip(" \"'") for part in rest.removeprefix("except ").split(",")]
        return NonFinite(text, [name for name in names if name])
    if word == "falls":
        return Falls(text, _number(rest, "falls", "3", least=0.1))
    if word == "sign":
        return Sign(text, rest)
    if word == "still":
        count, _, name = rest.partition(" ")
        return Still(text, int(_number(count, "still", "100", least=1)), name.strip(" \"'"))
    return parse(text)


def last_held(stops: Iterable[Stop], history: History, before: int) -> tuple[int, Stop] | None:
    """The last step before that one at which one of them held, and which; None if none did."""
    found: tuple[int, Stop] | None = None
    for stop in stops:
        at = np.flatnonzero(stop.holds_in(history)[: max(0, before - 1)])
        if at.size and (found is None or at[-1] + 1 > found[0]):
            found = int(at[-1]) + 1, stop
    return found


def told(stop: Stop, history: History, step: int) -> str:
    """What made it hold at that step of a history; empty if it did not."""
    text = ""
    # A condition knows a step by itself; the others come to know it by those before.
    for at in range(step if isinstance(stop, Condition) else 1, step + 1):
        layout = history.layout_at(at)
        if layout is None:
            return ""

        def numbers(column: Column, at: int = at) -> float:
            return float(history.values(column)[at - 1])

        held = stop.met(layout, at, numbers)
        text = stop.describe(layout, at, numbers) if held else ""
    return text


def _number(text: str, word: str, example: str, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        what = f"{word} takes a number, at least {least:g}, and this is {text!r}"
        raise UsageError(what, todo=f"as in {word} {example}")
    return value
