"""The breakpoints of a session: what they are, which of them are on, and where they held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui_elbo.client.run_state import Run
from tui_elbo.model.breakpoints import (
    StopCondition,
    VerdictIs,
    describe_at,
    last_step_held,
    parse_breakpoint,
)
from tui_elbo.model.errors import UsageError
from tui_elbo.protocol import Breakpoint


@dataclass(eq=False)
class BreakpointState:
    """One of them."""

    stop: StopCondition
    on: bool = True

    @property
    def text(self) -> str:
        """As it was written."""
        return self.stop.text


class Breakpoints:
    """All of them, in the order in which they were added."""

    def __init__(self) -> None:
        self.all: list[BreakpointState] = []

    def add(self, text: str, run: Run) -> str:
        """Add one.

        Returns:
            A word about it: that it holds already, if it does.

        Raises:
            UsageError: if it is none, names what the run has not, or is there already.
        """
        stop = parse_breakpoint(text)
        stop.check(*(layout for _, _, layout in run.history.stretches()))
        if any(point.text == stop.text for point in self.all):
            raise UsageError(f"{stop.text} is a breakpoint already", hint="B lists them")
        if isinstance(stop, VerdictIs) and run.loaded and run.loaded.capabilities.lens:
            why = run.loaded.capabilities.lens
            raise UsageError(f"no verdict is reached: {why}", hint="break on a condition")
        self.all.append(BreakpointState(stop))
        now = _holds(stop, run)
        if now:
            return f"it holds at once: {now}; runs stop where it comes to hold again"
        return f"runs stop where {stop.text}; B lists the breakpoints"

    def sent(self, run: Run) -> tuple[Breakpoint, ...]:
        """All of them, as they are sent to the engine."""

        return tuple(
            Breakpoint(one.text, one.on and bool(_holds(one.stop, run)), one.on) for one in self.all
        )

    def taken_over(self, points: Sequence[Breakpoint]) -> str:
        """These are what a terminal before this one has set; returns a word about them."""
        self.all = [BreakpointState(parse_breakpoint(one.text), one.on) for one in points]
        count = sum(point.on for point in self.all)
        if not count:
            return ""
        text = "a breakpoint is on" if count == 1 else f"{count} breakpoints are on"
        return f"{text}, set before: B lists them"

    def before(self, run: Run) -> tuple[int, str]:
        """The last step before the present one at which one held, and why.

        Raises:
            UsageError: if there is none.
        """
        stops = [parse_breakpoint(point.text) for point in self.all if point.on]
        if not stops:
            hint = "b adds one" if not self.all else "B turns them on"
            raise UsageError("no breakpoint is on", hint=hint)
        found = last_step_held(stops, run.history, run.step)
        if found is None:
            raise UsageError(f"no breakpoint holds before step {run.step}", hint="B lists them")
        step, stop = found
        return step, describe_at(parse_breakpoint(stop.text), run.history, step)


def _holds(stop: StopCondition, run: Run) -> str:
    """Why it holds where the run stands; empty if it does not."""
    if isinstance(stop, VerdictIs):
        verdict = run.verdict
        holds = verdict is not None and stop.judged(verdict, held=False)
        return f"the verdict at step {verdict.step} is {verdict.words}" if verdict and holds else ""
    return describe_at(parse_breakpoint(stop.text), run.history, run.step) if run.step else ""
