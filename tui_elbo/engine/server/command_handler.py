"""Carries out the terminal's commands on a session, and tells what happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui_elbo.engine.checks.checker import Checker
from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.schedule import LensScheduler
from tui_elbo.engine.process_state import warm_up
from tui_elbo.engine.record.budget import Always, Budget
from tui_elbo.engine.rewind.resume import own_of
from tui_elbo.engine.server.event_emitter import MAX_TEXT, EventEmitter
from tui_elbo.engine.server.opening import opened
from tui_elbo.engine.server.subscriptions import Subscriptions
from tui_elbo.engine.server.time_travel import InterruptedTravelError, Travel, store, travel, tune
from tui_elbo.engine.session import Session
from tui_elbo.engine.tracebacks import interrupted, said, trimmed
from tui_elbo.model.conditions import parse
from tui_elbo.model.errors import ElboError, UsageError
from tui_elbo.model.history import History
from tui_elbo.protocol import (
    AnyCommand,
    ComputeGradients,
    ComputeImportanceBound,
    ConditionMet,
    DismissFinding,
    DrawPosterior,
    EngineBusy,
    ErrorReported,
    Event,
    InspectParam,
    JudgeRun,
    Load,
    Pause,
    Restart,
    RewindTo,
    RunStatus,
    RunUntil,
    Save,
    SetBreakpoints,
    Step,
    StepBack,
    StepInto,
    SwitchBranch,
    Tune,
    UndoStep,
    WatchParams,
)

BURST_STEPS, BURST_SECONDS = 2000, 0.05
"""What has been seen is sent after so many steps or so many seconds, whichever comes first."""


class CommandHandler:
    """Stands between the terminal's commands and a session.

    Args:
        send: takes the events, in order.
        wake: called from another thread when there may be something to do.
        history: gives every step of the run, to be saved.
    """

    def __init__(
        self,
        send: Callable[[Event], None],
        wake: Callable[[], object] = lambda: None,
        history: Callable[[], History] = History,
    ) -> None:
        warm_up()
        self._history = history
        self.running = False
        """Whether there are steps to take."""
        self._send = send
        self._emitter = EventEmitter(send)
        self.warned = self._emitter.warned
        self._session: Session | None = None
        self._load: Load | None = None
        self._own: Path | None = None
        self._loading = False
        self._target: int | None = None
        self._rate, self._seq = 0.0, 0
        self._by_hand = False
        """Whether the steps to take were asked for one by one."""
        self._subscriptions = Subscriptions(send)
        self._stops = self._subscriptions.stops
        self._lens = LensScheduler(send, wake)
        self._checker = Checker(send)

    @property
    def busy(self) -> bool:
        """Whether something is still to be done, or under way."""
        return self.running or self._lens.owed or self._lens.busy

    @property
    def ready(self) -> bool:
        """Whether `work` has something to do now."""
        return self._lens.owed or self.running

    def carry_out(self, command: AnyCommand) -> None:
        """Do what the terminal asks, as far as it can be done at once."""
        self._seq = command.seq
        self._guarded(self._obey, command)

    def work(self) -> None:
        """Start the look that is due, else take steps; as long as a terminal can wait."""
        if self._lens.owed:
            self._guarded(self._lens.start)
        elif self.ready:
            self._guarded(self._burst)
        else:
            self._lens.wait(BURST_SECONDS)

    def wait_for_checks(self) -> None:
        """Wait until what can be found before the first step has been reported."""
        self._checker.wait()

    def interrupt(self, *_: object) -> None:
        """SIGINT: break off the person's own code; our own goes on to the next command."""
        self.running = False
        self._lens.rest()
        if self._session is not None:
            self._session.interrupt()
        if self._loading or (self._session is not None and self._session.stepping):
            raise KeyboardInterrupt

    def _guarded(self, act: Callable[..., None], *args: Any) -> None:
        """Do something that may run the person's code, and tell what goes wrong."""
        try:
            with users_code():
                act(*args)
        except KeyboardInterrupt as error:
            step = None if self._session is None else self._session.steps_taken
            self._failed("interrupted", interrupted(error, self._own, step))
        except InterruptedTravelError as error:
            self._failed("interrupted", error)
        except UsageError as error:
            self._failed("refused" if self._session is not None else "load", error)
        except ElboError as error:
            self._failed("load" if self._session is None else "step", error)
        except Exception as error:
            what = f"elbo-tui itself failed: {said(error)}"
            hint = "R starts a fresh engine; the traceback is worth a report"
            self._failed("step", ElboError(what, hint=hint, traceback=trimmed(error)))

    def _obey(self, command: AnyCommand) -> None:
        if isinstance(command, Load):
            self._load, self._session = command, None
            self._subscriptions.forget_names()
            self._open(command)
        elif isinstance(command, Restart):
            if self._load is not None:
                self._open(self._load)
        elif isinstance(command, Pause):
            self._stop()
        elif self._session is not None:
            self._act(self._session, command)
        self._emitter.inspected(self._session)
        self.tell()

    def _act(self, session: Session, command: AnyCommand) -> None:
        """What can be asked of a scenario that stands."""
        match command:
            case RewindTo() | SwitchBranch() | StepInto() | UndoStep():
                self._travel(session, command)
            case StepBack():
                self._back(session, max(command.count, 1))
            case WatchParams() | SetBreakpoints():
                self._subscriptions.take(command)
                self._watch(session)
            case DismissFinding():
                self._checker.dismiss(command)
            case Save():
                store(session, command, self._send, self._history())
            case InspectParam():
                session.wanted.inspected = command.name
            case Tune():
                tune(session, command, self._send)
            case RunUntil():
                self._run(session, command)
            case Step():
                self._add_steps(session, max(command.count, 1))
            case ComputeImportanceBound() | ComputeGradients() | DrawPosterior() | JudgeRun():
                self._lens.ask(command)

    def _run(self, session: Session, command: RunUntil) -> None:
        condition = None if command.condition is None else parse(command.condition)
        self._stops.condition = condition
        if condition is not None and self._emitter.layout is not None:
            condition.check(self._emitter.layout)
        self._target, session.due, self._by_hand = command.until, Budget(), False
        session.target = command.until
        self._watch(session)
        self.running = self._target is None or self._target > session.steps_taken

    def _stop(self) -> None:
        """The run stands still."""
        self.running = False
        self._lens.stands()

    def _add_steps(self, session: Session, count: int) -> None:
        self._lens.asked()
        self._target = self._will_stand_at(session) + count
        self._stops.condition = None
        self.running, session.due, self._by_hand = True, Always(), True
        self._watch(session)

    def _watch(self, session: Session) -> None:
        """Record whole what the person watches, and stop where there is something to stop for."""
        session.wanted.watched = self._subscriptions.params
        session.until = self._stops.meets
        if self._stops.reads_params:
            session.due = Always()

    def _will_stand_at(self, session: Session) -> int:
        """The step at which the steps that were asked for one by one end."""
        by_hand = self.running and self._by_hand and self._target is not None
        return self._target or 0 if by_hand else session.steps_taken

    def _back(self, session: Session, count: int) -> None:
        step = max(0, self._will_stand_at(session) - count)
        if step > session.steps_taken:
            self._target = step
        else:
            self._travel(session, RewindTo(step=step))

    def _travel(self, session: Session, command: Travel) -> None:
        self.running, branch = False, session.branch
        travel(session, command, self._send, self._emitter)
        self._checker.rewound(session.steps_taken)
        self._lens.travelled(branch if isinstance(command, SwitchBranch) else session.steps_taken)

    def _open(self, load: Load) -> None:
        """Load a scenario, or execute it afresh; torch stays imported."""
        self.running, self._rate = False, 0.0
        self._lens.leave()
        self._checker.leave()
        self._emitter.opening()
        self.tell("loading")
        self._send(EngineBusy(f"loading {load.target}"))
        session, self._session = self._session, None
        self._loading = True
        try:
            self._own = own_of(load.target) if session is None else self._own
            if session is not None:
                session.restart()
            else:
                session = opened(load, self._emitter)
        finally:
            self._loading = False
        self._session = session
        self._emitter.loaded(session, lens=load.draws != 0)
        self._lens.follow(
            session, load.draws, in_process=load.lens_in_process, tolerance=load.tolerance
        )
        if load.draws != 0 and not session.steps_taken:
            self._checker.follow(session.scenario, ignore=session.scenario.ignore)

    def _burst(self) -> None:
        session = self._session
        if session is None:
            self.running = False
            return
        begin, before = time.perf_counter(), session.steps_taken
        left = BURST_STEPS if self._target is None else self._target - before
        by_hand = self._by_hand
        most = 1 if by_hand and self._lens.each else BURST_STEPS
        batches = session.advance(min(left, most), BURST_SECONDS)
        self._emitter.rows(batches)
        self._emitter.inspected(session)
        seconds = time.perf_counter() - begin
        self._lens.stepped(batches, seconds, by_hand=by_hand)
        rate = (session.steps_taken - before) / seconds
        self._rate = rate if self._rate == 0 else 0.8 * self._rate + 0.2 * rate
        if self._target is not None and session.steps_taken >= self._target:
            self._stop()
        if session.met:
            self._stop()
            self._send(ConditionMet(session.steps_taken, self._stops.found))
        if session.non_finite is not None:
            hint = "n takes the next step all the same, r restarts"
            self._failed("nonfinite", ElboError(str(session.non_finite), hint=hint))
        else:
            self.tell()

    def _failed(self, kind: str, error: ElboError) -> None:
        self.running, step = False, 0
        self._lens.failed()
        if self._session is not None:
            self._emitter.rows(self._session.flush())
            step = self._session.steps_taken
        what = error.what[:MAX_TEXT]
        self._send(ErrorReported(what, error.where, error.hint, error.traceback, step, kind))
        self.tell()

    def tell(self, state: str = "") -> None:
        """Tell how things stand."""
        if not state:
            state = "failed" if self._session is None and self._load is not None else "paused"
            state = "running" if self.running else state
        session = self._session
        step, kept = (session.steps_taken, session.checkpoint_bytes) if session else (0, 0)
        rate, target = (self._rate, self._target) if self.running else (0.0, None)
        self._send(RunStatus(state, step, target, rate, self._seq, kept))
