"""What a run is to stop for, asked after each step: a condition of this run, and breakpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui_elbo.engine.record.collector import Meets
from tui_elbo.model.breakpoints import StopCondition, parse_breakpoint
from tui_elbo.model.conditions import Condition
from tui_elbo.model.records import Column, Layout
from tui_elbo.protocol import Breakpoint


@dataclass(eq=False)
class _Point:
    stop: StopCondition
    held: bool
    """Whether it held at the step that was asked about last."""


class Stops:
    """Decides on which step a run stops.

    The condition of a run ends it on the first step that meets it; a breakpoint where it comes to
    hold, so that a run goes on from a step on which it holds.
    """

    def __init__(self) -> None:
        self.condition: Condition | None = None
        """That of the present run."""
        self.found = ""
        """Why the step that was asked about last is one to stop on; empty if it is none."""
        self.points: tuple[Breakpoint, ...] = ()
        """The breakpoints as they were given, those that are off as well."""
        self._points: list[_Point] = []
        self._rested = False
        self._step: int | None = None

    def put(self, breakpoints: Sequence[Breakpoint]) -> None:
        """Have these breakpoints and no others.

        Raises:
            UsageError: if one of them is none.
        """
        points = [(one.on, _Point(parse_breakpoint(one.text), one.held)) for one in breakpoints]
        self._points = [point for on, point in points if on]
        self.points, self._step, self._rested = tuple(breakpoints), None, False

    def rest(self) -> None:
        """Some steps are not asked about; what has come to hold by then has not come to hold."""
        self.condition, self._rested = None, True

    @property
    def meets(self) -> Meets | None:
        """What to ask after each step; None if there is nothing to stop for."""
        return self._meets if self._points or self.condition is not None else None

    @property
    def reads_params(self) -> bool:
        """Whether parameters are read; their sums are then wanted at every step."""
        return any(one.reads_params for one in self._all())

    @property
    def params(self) -> frozenset[str]:
        """The parameters that are read by name; they are to be recorded whole."""
        return frozenset().union(*(one.params for one in self._all()))

    def _all(self) -> list[StopCondition]:
        own = [] if self.condition is None else [self.condition]
        return [*own, *(point.stop for point in self._points)]

    def _meets(self, layout: Layout, step: int, numbers: Callable[[Column], float]) -> bool:
        went_on = self._step in (None, step - 1)
        rested, self._rested = self._rested, False
        self._step, self.found = step, ""
        if self.condition is not None and self.condition.met(layout, step, numbers):
            self.found = self.condition.describe(layout, step, numbers)
        for point in self._points:
            holds = point.stop.met(layout, step, numbers)
            if holds and not rested and not (point.held and went_on):
                self.found = self.found or point.stop.describe(layout, step, numbers)
            point.held = holds
        return bool(self.found)
