"""A scenario as the source of a run: we own the loop, so it can go back, be tuned and branch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui_elbo.engine.checks.origin import origin_of
from tui_elbo.engine.checks.running import failure_of
from tui_elbo.engine.describe import estimator, optimizer, plain
from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.fork import why_no_fork
from tui_elbo.engine.lens.schedule import Measure, MeasureAverage
from tui_elbo.engine.noise.rate_scan import Scanned, scan_rates
from tui_elbo.engine.process_state import warm_up
from tui_elbo.engine.record.estimators import estimators
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.rewind.resume import own_of
from tui_elbo.engine.runner import BURST_SECONDS, BURST_STEPS, Runner
from tui_elbo.engine.session import Session
from tui_elbo.engine.tracebacks import error_text, interrupted, trimmed
from tui_elbo.engine.tuning import optimizers
from tui_elbo.engine.verdict.iterates import memory_of
from tui_elbo.model.averaging import AverageTaken
from tui_elbo.model.errors import ElboError, UsageError
from tui_elbo.model.history import History
from tui_elbo.model.rate_scan import RateScan, unscanned
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import (
    AnyCommand,
    AverageMeasured,
    BranchesListed,
    BranchInfo,
    BranchSwitched,
    Capabilities,
    EngineBusy,
    Event,
    Load,
    Loaded,
    MovedToMean,
    ParamInspected,
    Pause,
    RatesScanned,
    RemoveBranch,
    Restart,
    RewindTo,
    Rewound,
    RunSaved,
    Save,
    ScanRates,
    StepBack,
    StepInto,
    SteppedInto,
    SwitchBranch,
    Tune,
    Tuned,
    UndoStep,
)
from tui_elbo.protocol.codec import decode

NO_LENS = "there is no lens: the run was started with --draws 0"

Travel = RewindTo | SwitchBranch | StepInto | UndoStep


class InterruptedTravelError(ElboError):
    """The person has broken it off."""


class ScenarioSource:
    """Executes scenarios and takes their steps, one run at a time.

    Args:
        send: takes the events, in order.
        wake: called from another thread when there may be something to do.
        history: gives every step of the run, to be saved.
        branch_history: gives every step of the branch of a number; none if there is no such branch.
    """

    def __init__(
        self,
        send: Callable[[Event], None],
        wake: Callable[[], object] = lambda: None,
        history: Callable[[], History] = History,
        branch_history: Callable[[int], History] = lambda _: History(),
    ) -> None:
        warm_up()
        self._send, self._history, self._branch_history = send, history, branch_history
        self._runner = Runner(self, send, wake)
        self.show_warning, self.send_status = self._runner.show_warning, self._runner.send_status
        self._session: Session | None = None
        self._load: Load | None = None
        self._own: Path | None = None
        self._loading = False

    @property
    def busy(self) -> bool:
        """Whether something is still to be done, or under way."""
        return self.ready or self._runner.lens.busy

    @property
    def ready(self) -> bool:
        """Whether `work` has something to do now."""
        return self._runner.running or self._runner.lens.owed

    def handle(self, command: AnyCommand) -> None:
        """Do what the terminal asks, as far as it can be done at once."""
        self._runner.seq = command.seq
        self._guarded(self._handle, command)

    def work(self) -> None:
        """Start the look that is due, else take steps; as long as a terminal can wait."""
        lens = self._runner.lens
        if lens.owed:
            self._guarded(lens.start)
        elif self._runner.running:
            self._guarded(self._take_steps)
        else:
            lens.wait(BURST_SECONDS)

    def left_alone(self) -> None:
        """Without a terminal a run goes no further than it was to, or than the scenario says: one
        that nobody sees must not run for ever. What waits for a condition gets as many steps more.
        """
        session, runner = self._session, self._runner
        if session is None or not runner.running or runner.target is not None:
            return
        end, taken = session.scenario.steps, session.steps_taken
        if runner.stops.condition is not None and taken >= end:
            end = taken + max(end, 1)
        runner.target = max(end, taken)
        if runner.target <= taken:
            runner.pause()
        runner.send_status()

    def wait_for_checks(self) -> None:
        """Wait until what can be found before the first step has been reported."""
        self._runner.checker.wait()

    def interrupt(self, *_: object) -> None:
        """SIGINT: break off the person's own code; our own goes on to the next command."""
        self._runner.running = False
        self._runner.lens.rest()
        if self._session is not None:
            self._session.interrupt()
        if self._loading or (self._session is not None and self._session.stepping):
            raise KeyboardInterrupt

    # What the runner asks.

    @property
    def steps_taken(self) -> int:
        """The step at which the run stands."""
        return 0 if self._session is None else self._session.steps_taken

    def status(self) -> tuple[str, int, int]:
        """What state a run that stands still is in, its step, and the bytes of its checkpoints."""
        if self._session is None:
            return "paused" if self._load is None else "failed", 0, 0
        return "paused", self._session.steps_taken, self._session.checkpoint_bytes

    def inspected(self) -> ParamInspected | None:
        """The parameter that is inspected, if there is one."""
        return None if self._session is None else self._session.inspected()

    def carry_out(self, command: AnyCommand) -> None:
        """Do what only a scenario can do."""
        session = self._session
        match command:
            case Load():
                self._load, self._session = command, None
                self._runner.forget_names()
                self._open(command)
            case Restart() if self._load is not None:
                self._open(self._load)
            case RewindTo() | SwitchBranch() | StepInto() | UndoStep() if session is not None:
                self._travel(session, command)
            case StepBack() if session is not None:
                self._back(session, max(command.count, 1))
            case RemoveBranch() if session is not None:
                session.remove_branch(command.number)
                self._list_branches(session)
            case Save() if session is not None:
                self._save(session, command)
            case ScanRates() if session is not None:
                self._scan(session, command.seconds)
            case Tune() if session is not None:
                self._tune(session, command.tuning)
            case _:
                pass

    # The run's thread.

    def _guarded(self, act: Callable[..., None], *args: Any) -> None:
        """Do something that may run the person's code, and report what goes wrong."""
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
        except BaseException as error:  # The person's code has errors of its own kinds.
            what = f"elbo-tui itself failed: {error_text(error)}"
            hint = "R starts a fresh engine; the traceback is worth a report"
            self._failed("step", ElboError(what, hint=hint, traceback=trimmed(error)))

    def _failed(self, kind: str, error: ElboError) -> None:
        runner, session = self._runner, self._session
        runner.running = False
        runner.lens.failed()
        if session is not None:
            runner.send_steps(session.flush())
        if kind == "step":
            runner.monitor.failed(failure_of(error, self.steps_taken + 1))
        elif kind == "nonfinite":
            runner.monitor.judge()
        runner.send_error(kind, error, self.steps_taken)
        runner.send_status()

    def _handle(self, command: AnyCommand) -> None:
        if self._session is not None or isinstance(command, Load | Restart | Pause):
            self._runner.carry_out(command)
        self._runner.send_inspected()
        self._runner.send_status()

    def _take_steps(self) -> None:
        """As many as a terminal can wait for."""
        runner, session = self._runner, self._session
        if session is None:
            runner.running = False
            return
        began = time.perf_counter()
        most = 1 if runner.by_hand and runner.lens.each else BURST_STEPS
        if runner.target is not None:
            most = min(most, runner.target - session.steps_taken)
        session.due, session.until, session.target = runner.due, runner.stops.test, runner.target
        batches = session.advance(most, BURST_SECONDS)
        seconds = time.perf_counter() - began
        steps = runner.send_steps(batches, seconds)
        runner.send_inspected()
        runner.stepped(steps, seconds, met=session.met)
        if session.non_finite is not None:
            hint = "n takes the next step all the same, r restarts"
            self._failed("nonfinite", ElboError(str(session.non_finite), hint=hint))
        else:
            runner.send_status()

    def _open(self, load: Load) -> None:
        """Load a scenario, or execute it afresh; torch stays imported."""
        runner = self._runner
        runner.begin()
        runner.send_status("loading")
        self._send(EngineBusy(f"loading {load.target}"))
        session, self._session = self._session, None
        self._loading = True
        try:
            self._own = own_of(load.target) if session is None else self._own
            if session is not None:
                session.restart()
            else:
                runner.options = RecordingOptions()
                session = Session(
                    load.target,
                    seed=load.seed,
                    given=load.given,
                    threads=load.threads,
                    device=load.device,
                    checkpoint_memory=load.checkpoint_memory,
                    iterates_memory=memory_of(load.checkpoint_memory),
                    options=runner.options,
                    warn=runner.warn,
                    busy=lambda text: self._send(EngineBusy(text)),
                    flag=self._send,
                )
        finally:
            self._loading = False
        self._session = session
        self._send(_loaded(session, lens=load.draws != 0))
        if session.steps_taken:  # It goes on from the steps of a saved run.
            runner.send_steps(session.restored)
            for step, tuning in session.tunings:
                self._send(Tuned(step, str(tuning), *session.settings))
        runner.lens.follow(
            session, load.draws, in_process=load.lens_in_process, tolerance=load.tolerance
        )
        runner.checker.begin(ignore=session.scenario.ignore)
        runner.monitor.follow(
            lambda: session.optimizer,
            session.scenario.steps,
            step=session.steps_taken,
            origin_of=lambda step: origin_of(session, step),
        )
        session.observe(runner.monitor.observe)
        if session.steps_taken:
            runner.lens.learn(session.restored)
            runner.lens.stands()
        if load.draws != 0 and not session.steps_taken:
            runner.checker.follow(session.scenario, ignore=session.scenario.ignore)

    def _back(self, session: Session, count: int) -> None:
        step = max(0, self._runner.end_of_steps - count)
        if step > session.steps_taken:
            self._runner.target = step
        else:
            self._travel(session, RewindTo(step=step))

    def _travel(self, session: Session, command: Travel) -> None:
        """Stand elsewhere, and say what came of it."""
        runner = self._runner
        runner.running = False
        common = session.steps_taken
        try:
            match command:
                case RewindTo():
                    left = session.go_to(command.step)
                    common = session.steps_taken
                    self._send(Rewound(common, left))
                case SwitchBranch():
                    to = self._found(session, command.number)
                    left, common = session.switch(to.number), to.since
                    self._send(BranchSwitched(to.number, session.steps_taken, left))
                case UndoStep():
                    session.undo()
                    common = session.steps_taken
                    self._send(Rewound(common))
                case StepInto():
                    session.until = runner.stops.test
                    batches, stages = session.step_into()
                    runner.send_steps(batches)
                    self._send(SteppedInto(session.steps_taken, tuple(stages)))
        except KeyboardInterrupt as error:
            what = "going there was interrupted"
            if isinstance(command, RewindTo):
                what = f"going back to step {command.step} was interrupted"
            hint = f"the run stays at step {session.steps_taken}"
            raise InterruptedTravelError(what, hint=hint, traceback=trimmed(error)) from error
        if not isinstance(command, StepInto):
            self._list_branches(session)
            runner.monitor.rewound(session.steps_taken)
        runner.checker.rewound(session.steps_taken)
        runner.lens.travelled(common)

    def _found(self, session: Session, number: int) -> BranchInfo:
        """The branch of that number; 0: the one that was left last."""
        found = [one for one in session.branches if number in (0, one.number)]
        if not found:
            what = f"there is no branch {number}" if number else "there is no branch"
            raise UsageError(what, hint="rewinding leaves one behind")
        return found[-1]

    def _list_branches(self, session: Session) -> None:
        self._send(BranchesListed(session.branches))

    def _tune(self, session: Session, tuning: Tuning) -> None:
        """Change settings; going to the mean of the iterates stops the run there."""
        runner = self._runner
        before = session.present_state() if tuning.average else {}
        known = {branch.number for branch in session.branches}
        words = session.tune(tuning)
        left = max({branch.number for branch in session.branches} - known, default=0)
        step, made = session.tunings[-1]
        mean = made.mean
        if mean is not None:
            runner.pause()
            self._send(MovedToMean(step, left))
        self._send(Tuned(step, str(made), *words))
        if mean is not None:
            self._list_branches(session)
        if mean is None:
            # Updates before and after it cannot be compared, nor were they made for the same end.
            runner.monitor.forget(step)
        else:
            runner.monitor.rewound(step)
            runner.checker.rewound(step)
            runner.lens.travelled(step - 1)
            taken = AverageTaken(step, mean.first, mean.last)
            if runner.lens.follows:
                runner.lens.ask(MeasureAverage(before, session.present_state(), taken))
            else:
                self._send(AverageMeasured(replace(taken, note=NO_LENS)))

    def _scan(self, session: Session, seconds: float) -> None:
        """Have short runs taken at other learning rates, in a copy of the process."""
        step = session.steps_taken

        def lost(why: str) -> None:
            self._send(RatesScanned(unscanned(step, why)))

        if why_no_fork() or not session.sound:
            lost(why_no_fork() or "the last step has failed")
            return
        draws = None if self._load is None else self._load.draws
        run = Scanned(session.stepper, self._runner.lens.settled_lens, draws, seconds)
        self._runner.lens.ask(
            Measure(
                "scanning learning rates: run",
                lambda progress: scan_rates(run, progress),
                lambda data: self._send(RatesScanned(decode(data, RateScan))),
                lost,
                run.patience,
            )
        )

    def _save(self, session: Session, command: Save) -> None:
        if command.branch:
            history = self._branch_history(command.branch)
            session.save_branch(command.branch, Path(command.path), history.batches())
            self._send(RunSaved(command.path, history.last, command.branch))
            return
        history = self._history()
        if history.last != session.steps_taken:
            raise UsageError("the run's steps are not all known here", hint="run --save keeps them")
        session.save(Path(command.path), history.batches())
        self._send(RunSaved(command.path, session.steps_taken))


def _loaded(session: Session, *, lens: bool) -> Loaded:
    scenario = session.scenario
    return Loaded(
        name=scenario.source.name,
        path=str(scenario.source.path),
        title=scenario.title,
        notes=scenario.notes,
        seed=session.seed,
        steps=scenario.steps,
        estimator=estimator(scenario.loss),
        optimizer=optimizer(scenario.optimizer),
        reference=plain(scenario.reference),
        estimators=tuple(estimators()),
        optimizers=tuple(optimizers()),
        capabilities=Capabilities(lens="" if lens else NO_LENS),
        saved=session.steps_taken,
    )
