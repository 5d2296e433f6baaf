"""The breakpoints of a session: what they are, which of them are on, and where they held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui_elbo.client.run_state import Run
from tui_elbo.model.breakpoints import StopCondition, describe_at, last_step_held, parse_breakpoint
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
        self.all.append(BreakpointState(stop))
        now = describe_at(parse_breakpoint(text), run.history, run.step) if run.step else ""
        if now:
            return f"it holds at once: {now}; runs stop where it comes to hold again"
        return f"runs stop where {stop.text}; B lists the breakpoints"

    def sent(self, run: Run) -> tuple[Breakpoint, ...]:
        """All of them, as they are sent to the engine."""

        def holds(one: BreakpointState) -> bool:
            return bool(run.step and describe_at(parse_breakpoint(one.text), run.history, run.step))

        return tuple(Breakpoint(one.text, one.on and holds(one), one.on) for one in self.all)

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
