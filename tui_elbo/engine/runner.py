"""A run under the control of a terminal: what it is asked, where it stops, and what is sent.

Where its steps come from is a `Source`: a scenario, whose loop is ours, or a script's own loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

from tui_elbo.engine.checks.checker import Checker
from tui_elbo.engine.checks.monitor import Monitor
from tui_elbo.engine.lens.schedule import DOUBLED, Examine, LensScheduler
from tui_elbo.engine.record.options import Always, Budget, Due, RecordingOptions
from tui_elbo.engine.record.step_recorder import StopTest
from tui_elbo.model.breakpoints import StopCondition, VerdictIs, parse_breakpoint
from tui_elbo.model.conditions import Condition, parse
from tui_elbo.model.errors import ElboError, UsageError
from tui_elbo.model.findings import Finding, standing_text
from tui_elbo.model.records import Batch, Column, Layout
from tui_elbo.model.verdict import CONVERGED, SPACING, Verdict
from tui_elbo.protocol import (
    AnyCommand,
    Breakpoint,
    ComputeGradients,
    ComputeImportanceBound,
    ConditionMet,
    DismissFinding,
    DrawPosterior,
    ErrorReported,
    Event,
    InspectParam,
    JudgeRun,
    LayoutAdded,
    MeasureNoise,
    ParamInspected,
    Pause,
    RunStatus,
    RunUntil,
    SetBreakpoints,
    Step,
    StepsRecorded,
    SubscriptionsChanged,
    WarningIssued,
    WatchParams,
)

BURST_STEPS, BURST_SECONDS = 2000, 0.05
"""Steps are sent after so many of them or so many seconds, whichever comes first."""

MAX_WARNINGS = 500
"""A model that warns in other words at each step is cut short."""

MAX_TEXT = 10_000
"""Characters of a message that are sent."""

SMOOTHING = 0.8
"""Weight of the rate of before in that of now."""


class Source(Protocol):
    """Where a run's steps come from."""

    @property
    def steps_taken(self) -> int:
        """The newest step."""

    def status(self) -> tuple[str, int, int]:
        """What state a run that stands still is in, its step, and the bytes of its checkpoints."""

    def inspected(self) -> ParamInspected | None:
        """The parameter that is inspected, if there is one, at the step of the run."""

    def carry_out(self, command: AnyCommand) -> None:
        """Do what only this source can do.

        Raises:
            ElboError: if it cannot be done.
        """


class Runner:
    """What all runs have in common: commands, stops, the lens's schedule, events.

    Commands may be carried out by another thread than the one that takes the steps: both then hold
    `changed`.

    Args:
        source: takes the steps.
        send: takes the events, in order.
        wake: called from another thread when the lens has an answer.
    """

    def __init__(
        self, source: Source, send: Callable[[Event], None], wake: Callable[[], object]
    ) -> None:
        self._source, self.send = source, send
        self.changed = threading.Condition(threading.RLock())
        self.lens = LensScheduler(send, wake)
        self.checker = Checker(send)
        self.monitor = Monitor(self.checker)
        self.options = RecordingOptions()
        """What is kept of single parameters."""
        self.stops = Stops()
        self.due: Due = Budget()
        """When the sums of large parameters are taken."""
        self.running = False
        """Whether there are steps to take."""
        self.target: int | None = None
        """The step after which the run pauses by itself."""
        self.by_hand = False
        """Whether the steps to take were asked for one by one."""
        self.converging = False
        """Whether they end with the verdict that going on would gain nothing."""
        self.newest = 0
        """The newest step sent."""
        self.seq = 0
        """The number of the newest command."""
        self._rate = 0.0
        self._judged: Verdict | None = None
        self._watched: tuple[str, ...] = ()
        self._layout: Layout | None = None
        self._layouts: set[int] = set()
        self._warnings = 0

    def begin(self) -> None:
        """Another run is about to be loaded."""
        self.running, self._rate, self._warnings = False, 0.0, 0
        self._layouts.clear()
        self.lens.leave()
        self.checker.leave()

    # Commands.

    def carry_out(self, command: AnyCommand) -> None:
        """Do what a terminal asks.

        Raises:
            ElboError: if it cannot be done.
        """
        match command:
            case Pause():
                self.pause()
            case RunUntil():
                self._run_until(command)
            case Step():
                self._add_steps(max(command.count, 1))
            case SetBreakpoints() | WatchParams():
                self._subscribe(command)
            case InspectParam():
                self.options.inspected = command.name
            case ComputeImportanceBound() | ComputeGradients() | DrawPosterior() | JudgeRun():
                self.lens.ask(command)
            case MeasureNoise():
                self.lens.measure_noise(command.seconds)
            case DismissFinding():
                self.checker.dismiss(command)
            case _:
                self._source.carry_out(command)

    def pause(self) -> None:
        """The run stands still."""
        self.running = self.converging = False
        self.lens.stands()
        self.monitor.judge()
        self._examine(running=False)

    def _examine(self, *, running: bool) -> None:
        """Have the rules look through the lens, where that is due."""
        monitor = self.monitor
        if monitor.due(running=running) and self.lens.may_examine:
            self.lens.ask(Examine(monitor.examination(), monitor.examined))

    @property
    def end_of_steps(self) -> int:
        """The step at which the steps that were asked for one by one end."""
        if self.running and self.by_hand and self.target is not None:
            return self.target
        return self._source.steps_taken

    def _run_until(self, command: RunUntil) -> None:
        self.converging = (command.condition or "").strip() == CONVERGED
        if self.converging and not self.lens.follows:
            self.converging = False
            what = "no verdict is reached, since the lens does not look at this run"
            raise UsageError(what, hint="run until a step or a condition")
        asked = None if self.converging else command.condition
        condition = None if asked is None else parse(asked)
        if condition is not None and self._layout is not None:
            condition.check(self._layout)
        self.stops.condition, self.target = condition, command.until
        self.due, self.by_hand = Budget(), False
        self.update_recording()
        self._stop_of_verdict()
        self.running = self.target is None or self.target > self._source.steps_taken

    def _add_steps(self, count: int) -> None:
        self.lens.asked()
        self._stop_of_verdict()
        self.target = self.end_of_steps + count
        self.stops.condition = None
        self.running, self.due, self.by_hand = True, Always(), True
        self.converging = False
        self.update_recording()

    def _subscribe(self, command: WatchParams | SetBreakpoints) -> None:
        """Stop at these breakpoints, or record these parameters whole."""
        if isinstance(command, SetBreakpoints):
            self.stops.put(command.points)
        else:
            self._watched = command.names
        self.update_recording()
        self.send(SubscriptionsChanged(self.stops.points, self._watched))

    def forget_names(self) -> None:
        """Another scenario is loaded, with parameters of its own."""
        if self._watched:
            self._subscribe(WatchParams(names=()))

    def update_recording(self) -> None:
        """Record whole what is watched, and what is read to know where to stop."""
        self.options.watched = frozenset(self._watched) | self.stops.params
        if self.stops.reads_params:
            self.due = Always()

    # Steps.

    def reached(self, step: int) -> bool:
        """Whether the run pauses after this step by itself."""
        return self.target is not None and step >= self.target

    def stepped(self, steps: int, seconds: float, *, met: bool) -> None:
        """Steps have been taken and sent; pause where the run has come to its stop.

        Args:
            steps: how many.
            seconds: how long they took.
            met: whether the newest is one to stop on.
        """
        step = self._source.steps_taken
        with self.changed:
            often = self.converging or self.stops.reads_verdict
            spacing = SPACING if often else DOUBLED
            self.lens.patient = self.converging
            self.lens.stepped(steps, seconds, by_hand=self.by_hand, spacing=spacing)
            self.monitor.stepped()
            timer = self.options.timer
            if (timed := timer.report(step)) is not None:
                self.send(timed)
            timer.arm()
            if not self.by_hand:
                self._examine(running=True)
            verdict = self.lens.settled if self.converging else None
            why = self.stops.found if met else ""
            if verdict is not None and not why:
                why = done_text(verdict, self.checker.findings)
            why = why or self._stop_of_verdict()
            if why or self.reached(step):
                self.pause()
        if why:
            self.send(ConditionMet(step, why))

    def _stop_of_verdict(self) -> str:
        """Why a breakpoint stops the run on the newest verdict; empty if none does."""
        verdict, seen = self.lens.verdict, self._judged
        self._judged = verdict
        if verdict is None or verdict is seen:
            return ""
        return self.stops.stops_on(verdict)

    # Events.

    def send_steps(self, batches: Sequence[Batch], seconds: float = 0.0) -> int:
        """Send steps.

        Args:
            batches: the steps.
            seconds: how long they took; 0 if that is not known.

        Returns:
            How many they are.
        """
        for batch in batches:
            if batch.layout.id not in self._layouts:
                self._layouts.add(batch.layout.id)
                self.send(LayoutAdded(batch.layout))
            self.send(StepsRecorded.of(batch))
            self._layout = batch.layout
            self.newest = batch.first + batch.steps - 1
        self.lens.learn(batches)
        steps = sum(batch.steps for batch in batches)
        if seconds:
            rate = steps / seconds
            known = self._rate > 0
            self._rate = SMOOTHING * self._rate + (1 - SMOOTHING) * rate if known else rate
        return steps

    def send_inspected(self) -> None:
        """The parameter that is inspected, if there is one."""
        if self.options.inspected and (found := self._source.inspected()) is not None:
            self.send(found)

    def send_error(self, kind: str, error: ElboError, step: int) -> None:
        """Something has failed, or was refused, at this step."""
        what = error.what[:MAX_TEXT]
        self.send(ErrorReported(what, error.where, error.hint, error.traceback, step, kind))

    def send_status(self, state: str = "") -> None:
        """How the run stands."""
        # Not between the arrival of a command and its being carried out.
        with self.changed:
            standing, step, size = self._source.status()
            state = state or ("running" if self.running else standing)
            rate, target = (self._rate, self.target) if self.running else (0.0, None)
            self.send(RunStatus(state, step, target, rate, self.seq, size))

    def warn(self, text: str, source: str = "elbo-tui") -> None:
        """Something the person should know and no error says."""
        self._warnings += 1
        if self._warnings < MAX_WARNINGS:
            self.send(WarningIssued(text[:MAX_TEXT], source))
        elif self._warnings == MAX_WARNINGS:
            self.send(WarningIssued("further warnings are left out", "elbo-tui"))

    def show_warning(  # noqa: PLR0917 - the signature is that of `warnings.showwarning`
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG002
        line: str | None = None,  # noqa: ARG002
    ) -> None:
        """Takes the place of `warnings.showwarning`."""
        self.warn(f"{message} ({filename}:{lineno})", category.__name__)


def done_text(verdict: Verdict, findings: Sequence[Finding]) -> str:
    """Why a run that was to converge has stopped; no good verdict where faults stand."""
    faults = standing_text(findings)
    if not faults:
        return verdict.brief
    brief = "Going on would gain nothing" if verdict.good else verdict.brief.rstrip(".")
    return f"{brief}, yet {faults}."


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
        self._verdicts: list[_Point] = []
        self._rested = False
        self._step: int | None = None

    def put(self, breakpoints: Sequence[Breakpoint]) -> None:
        """Have these breakpoints and no others.

        Raises:
            UsageError: if one of them is none.
        """
        points = [(one.on, _Point(parse_breakpoint(one.text), one.held)) for one in breakpoints]
        on = [point for on, point in points if on]
        self._points = [point for point in on if not isinstance(point.stop, VerdictIs)]
        self._verdicts = [point for point in on if isinstance(point.stop, VerdictIs)]
        self.points, self._step, self._rested = tuple(breakpoints), None, False

    def rest(self) -> None:
        """Some steps are not asked about; what has come to hold by then has not come to hold."""
        self.condition, self._rested = None, True

    @property
    def test(self) -> StopTest | None:
        """What to ask after each step; None if there is nothing to stop for."""
        return self._test if self._points or self.condition is not None else None

    @property
    def reads_verdict(self) -> bool:
        """Whether there is something to stop for in a verdict."""
        return bool(self._verdicts)

    def stops_on(self, verdict: Verdict) -> str:
        """Why a run stops on a verdict that has just been reached; empty if it does not."""
        found = ""
        for point in self._verdicts:
            assert isinstance(point.stop, VerdictIs)
            holds = point.stop.judged(verdict, held=point.held)
            if holds and not point.held:
                found = found or f"{point.stop.text}: {verdict.words} at step {verdict.step}"
            point.held = holds
        return found

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

    def _test(self, layout: Layout, step: int, numbers: Callable[[Column], float]) -> bool:
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
