"""A run that can be stepped, taken back, and started anew. Watching it changes nothing."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NoReturn

import msgspec
from pyro.infer import ELBO
from pyro.optim import PyroOptim
from torch import Tensor

from tui_elbo.engine.describe import estimator, optimizer, rate_decays
from tui_elbo.engine.lens.isolation import snapshot
from tui_elbo.engine.process_state import here, warm_up
from tui_elbo.engine.record.inspection import inspected
from tui_elbo.engine.record.nonfinite import NonFinite, NonFiniteFinder
from tui_elbo.engine.record.options import Always, Due, RecordingOptions
from tui_elbo.engine.record.step_recorder import Collector, Observe, StopTest
from tui_elbo.engine.rewind.checkpoint import dense
from tui_elbo.engine.rewind.replay import ReplayableRun, Tell
from tui_elbo.engine.rewind.replay_log import BranchState
from tui_elbo.engine.rewind.resume import resume, saved
from tui_elbo.engine.scenario import Scenario
from tui_elbo.engine.stepper import Stepper
from tui_elbo.engine.tracebacks import message, place, place_of_site, shown, trimmed
from tui_elbo.engine.verdict.averaging import newest_mean
from tui_elbo.engine.verdict.iterates import MEMORY, Iterates
from tui_elbo.model.errors import ElboError, StepError, UsageError
from tui_elbo.model.own_settings import Given
from tui_elbo.model.records import Batch, StepRecord
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import BranchInfo, ParamInspected, RunFlagged, Stage
from tui_elbo.runfile import is_run_file
from tui_elbo.runfile.database import RunSettings, SavedRun, read, write


class Session:
    """A scenario and its run, standing at a step.

    Args:
        target: a gallery name, a path or a module name; or a saved run, or its file, to go on from.
        seed: of the run; None: the scenario's own.
        threads: torch's threads; the numbers of a run depend on them.
        device: torch's default device; None leaves it alone.
        guide: a stock guide, such as `AutoNormal`, in place of the scenario's own; None: its own.
        given: values of the scenario's own settings, in place of those that it declares.
        checkpoint_memory: bytes for checkpoints; 0 takes none, and every step back is a replay
            from the beginning.
        iterates_memory: bytes for the iterates, from which the verdict is reached.
        options: what is kept of single parameters; it may be changed between two steps.
        warn: receives what the person should know and no error says.
        busy: receives what takes its time, such as "running steps 1 to 412 again: 35%".
        flag: receives what holds of the run from now on.

    Raises:
        UsageError: if there is no such scenario, device, guide or setting.
        ScenarioError: if it cannot be executed or breaks the contract.
    """

    def __init__(
        self,
        target: str | SavedRun,
        *,
        seed: int | None = None,
        threads: int = 1,
        device: str | None = None,
        guide: str | None = None,
        given: Given = (),
        checkpoint_memory: int = 0,
        iterates_memory: int = MEMORY,
        options: RecordingOptions | None = None,
        warn: Tell = id,
        busy: Tell = id,
        flag: Callable[[RunFlagged], object] = id,
    ) -> None:
        warm_up()
        self._saved = run = _saved_run(target)
        if run is not None:
            seed, threads, device = run.settings.seed, run.settings.threads, run.settings.device
            guide, given = run.settings.guide, run.settings.given
        self._environment = here(threads, device)
        self.source = find_scenario(str(target)) if run is None else run.settings.source
        self.guide = guide
        """The stock guide in place of the scenario's own; None: its own."""
        self.given = given
        """Values of the scenario's own settings, in place of those that it declares."""
        self.from_state = True
        """False if the saved run's state was not enough, and all its steps were taken again."""
        self.due: Due = Always()
        """When to take the sums of large parameters; replaced by whoever runs the session."""
        self.options = RecordingOptions() if options is None else options
        """What is kept of single parameters, from the next step on."""
        self.non_finite: NonFinite | None = None
        """Set when the newest step's loss is not finite; the run goes on if told to."""
        self.target: int | None = None
        """Where the run will stand, if that is known: states shortly before it are kept closer."""
        self.until: StopTest | None = None
        """Asked after each step; `advance` stops on the first step that meets it."""
        self.met = False
        """Whether the newest step meets `until`."""
        self._observe: Observe | None = None
        self._asked_seed, self._warn, self._busy, self._flag = seed, warn, busy, flag
        self._memory, self._iterates_memory = checkpoint_memory, iterates_memory
        self._layout_ids = count(max((b.layout.id + 1 for b in self.restored), default=0))
        self._begin(None if run is None else run.text)
        if run is not None:
            self.from_state = resume(self._run, run)
            self.iterates.changed(self.steps_taken)

    def restart(self) -> None:
        """Execute the file afresh and stand at step 0.

        Raises:
            ScenarioError: as when it was loaded first; the session then cannot step.
        """
        gone = self._saved is not None and not self.source.path.is_file()
        self._begin(self._saved.text if self._saved is not None and gone else None)

    def _begin(self, text: bytes | None) -> None:
        self._run = ReplayableRun(
            self.source,
            self._asked_seed,
            self._environment,
            self.options,
            memory=self._memory,
            warn=self._warn,
            busy=self._busy,
            flag=self._flag,
            executed=self._executed,
            text=text,
            guide=self.guide,
            given=self.given,
        )
        self.iterates = Iterates(self._iterates_memory)
        self._ready: list[Batch] = []
        self._suspects = NonFiniteFinder()
        self.non_finite = None

    def observe(self, observe: Observe | None) -> None:
        """Have each batch handed on as it is made, with the tables that it is made of."""
        self._observe = self._collector.observe = observe

    @property
    def steps_taken(self) -> int:
        """The step at which the run stands."""
        return self._run.step

    @property
    def restored(self) -> tuple[Batch, ...]:
        """The steps that the saved run had taken which this one goes on from."""
        return () if self._saved is None else self._saved.batches

    @property
    def tunings(self) -> tuple[tuple[int, Tuning], ...]:
        """The changes of settings, each with the step after which it was made."""
        return self._run.log.record.tunings

    @property
    def settings(self) -> tuple[str, str]:
        """The estimator and the optimiser in use, in words."""
        stepper = self._run.stepper
        return estimator(stepper.estimator), optimizer(stepper.optimizer)

    @property
    def rate_decays(self) -> bool:
        """Whether the learning rate changes by itself."""
        return rate_decays(self._run.stepper.optimizer)

    @property
    def source_digest(self) -> str:
        """The SHA-256 of the scenario's text, as it was executed."""
        return hashlib.sha256(self._run.source_snapshot.text).hexdigest()

    @property
    def optimizer(self) -> PyroOptim:
        """The optimiser in use."""
        return self._run.stepper.optimizer

    @property
    def estimator(self) -> ELBO:
        """The estimator in use."""
        return self._run.stepper.estimator

    @property
    def stepper(self) -> Stepper:
        """What takes the steps; to be stepped by others in a forked copy of the process only."""
        return self._run.stepper

    @property
    def scenario(self) -> Scenario:
        """What the file's last execution has made."""
        return self._run.stepper.scenario

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self._run.stepper.seed

    @property
    def stepping(self) -> bool:
        """True while the person's own code may be running."""
        return self._run.stepping

    @stepping.setter
    def stepping(self, stepping: bool) -> None:
        self._run.stepping = stepping

    @property
    def checkpoint_bytes(self) -> int:
        """What the checkpoints take, about."""
        return self._run.kept_bytes

    @property
    def repeatable(self) -> bool:
        """False once a step that was run again did not meet the record."""
        return self._run.log.mismatch is None

    def step(self) -> StepRecord:
        """Take one step.

        Raises:
            StepError: if the person's code raised; the run stays at the step before.
        """
        self.due = Always()
        return self.advance(1)[-1].records()[-1]

    def advance(self, steps: int, seconds: float = math.inf) -> list[Batch]:
        """Take up to so many steps, for up to so many seconds, and at least one.

        Stops on a step whose loss is not finite, and says so in `non_finite`; and on one that
        meets `until`, and says so in `met`.

        Raises:
            StepError: if the person's code raised. The steps before it are returned by `flush`.
            KeyboardInterrupt: likewise.
        """
        self._run.stand_at_present()
        end = time.perf_counter() + seconds
        for _ in range(steps):
            self._take_step()
            self.met = self.until is not None and self._collector.newest_meets(self.until)
            stop = self.non_finite is not None or self._reports_no_loss or self.met
            if stop or time.perf_counter() > end:
                break
        return self.flush()

    @property
    def sound(self) -> bool:
        """Whether the parameters are those after `steps_taken`; not so after a failed step."""
        return self._run.stands

    @property
    def own(self) -> Mapping[str, Tensor]:
        """Those of its scenario's parameters that are in no store."""
        return self.scenario.own

    def present_state(self) -> dict[str, Tensor]:
        """The unconstrained parameters at which the run stands, copied."""
        self._run.stand_at_present()
        return snapshot()

    def state_at(self, step: int) -> dict[str, Tensor]:
        """The unconstrained parameters after a step, found again by replay.

        Leaves the session there: to be called in a forked copy of the process.
        """
        self._run.stand_at(step)
        return snapshot()

    def flush(self) -> list[Batch]:
        """The steps that were taken and have not been returned yet."""
        self._collect()
        ready, self._ready = self._ready, []
        if self.non_finite is not None:
            self.non_finite = replace(self.non_finite, suspect=self._suspects.first)
        elif self._reports_no_loss and self._suspects.step is not None:
            self.non_finite = NonFinite(self._suspects.step, math.nan, self._suspects.first)
        return ready

    def interrupt(self) -> None:
        """Run steps again no further; may be called from a signal handler."""
        self._run.interrupted = True

    def go_to(self, step: int) -> int:
        """Stand at an earlier step, exactly as the run stood there; what came after is left behind.

        Returns:
            The number of the branch that it becomes; 0 if it is the beginning of another one.

        Raises:
            UsageError: if there is no such step.
            StepError: if a step that is run again raises, or does not meet the record.
            KeyboardInterrupt: if it is broken off.

        The run still stands where it stood if anything is raised.
        """
        if not 0 <= step <= self.steps_taken:
            what = f"there is no step {step}"
            raise UsageError(what, hint=f"choose one from 0 to {self.steps_taken}")
        self.flush()
        with self._step_errors():
            left = self._run.go_to(step)
        self.iterates.forget_after(step)
        if self._suspects.step is not None and self._suspects.step > step:
            self._suspects = NonFiniteFinder()
        self.non_finite = None
        return left

    @property
    def branches(self) -> tuple[BranchInfo, ...]:
        """The paths that were left behind, the newest last."""
        run = self._run
        return tuple(
            BranchInfo(one.number, run.common(one), one.record.end) for one in run.branches
        )

    def switch(self, number: int = 0) -> int:
        """Go over to the end of a branch; the present path is left behind in its turn.

        Args:
            number: of the branch; 0: the one that was left last.

        Returns:
            The number of the branch that the present path becomes; 0 if it is the beginning of
            another one.

        Raises:
            UsageError: if there is no such branch.
            StepError, KeyboardInterrupt: as `go_to`.
        """
        self.flush()
        with self._step_errors():
            left = self._run.switch(number)
        self.iterates.changed(self.steps_taken)
        self.non_finite = None
        self._suspects = NonFiniteFinder()
        return left

    def remove_branch(self, number: int) -> None:
        """Keep a branch no longer.

        Raises:
            UsageError: if there is no such branch.
        """
        self._run.remove(number)

    def step_into(self) -> tuple[list[Batch], list[Stage]]:
        """Take one step, and record all that happened in it.

        Raises:
            StepError: if the person's code raised; the run stays at the step before.
        """
        self.due = Always()
        recorder = self._run.recorder()
        with recorder.recording():
            batches = self.advance(1)
        return batches, recorder.stages()

    def save(self, path: Path, batches: Sequence[Batch]) -> None:
        """Write the run into a file, from which it can be gone on with.

        Args:
            path: of the file; a saved run that is there is replaced.
            batches: all the steps up to the present.

        Raises:
            UsageError: if it cannot be written there.
        """
        try:
            write(path, self.saved(batches))
        except UnicodeEncodeError as error:
            what = f"a name cannot be written: {error.object!a} holds half a character"
            raise UsageError(what, hint="give the parameter another name") from error

    def save_branch(self, number: int, path: Path, batches: Sequence[Batch]) -> None:
        """Write a branch into a file, from which it can be gone on with.

        Args:
            number: of the branch; 0: the one that was left last.
            path: of the file; a saved run that is there is replaced.
            batches: all its steps.

        Raises:
            UsageError: if there is no such branch, or it cannot be written there.
        """
        left = self._run.branch(number)
        if sum(batch.steps for batch in batches) != left.record.end:
            raise UsageError("the branch's steps are not all known here", hint="switch to it first")
        write(path, self.saved(batches, left))

    def keep_state(self) -> None:
        """Keep the state at which the run stands, for `saved` to go back to."""
        self._run.keep_state()

    def saved(self, batches: Sequence[Batch], branch: BranchState | None = None) -> SavedRun:
        """What a file of the run, or of a branch that it has left behind, holds.

        Args:
            batches: all its steps.
            branch: the branch; None: the run.
        """
        source, environment = self.source, self._environment
        settings = RunSettings(
            name=source.name,
            path=str(source.path),
            module=source.module,
            root=str(source.root),
            own=str(source.own),
            seed=self._asked_seed,
            threads=environment.threads,
            device=environment.device,
            step=self.steps_taken,
            guide=self.guide,
            given=self.given,
        )
        return saved(self._run, settings, batches, branch)

    def undo(self) -> None:
        """Take back the step that was stepped into, as if it had not been taken.

        Raises:
            UsageError: if it is not the newest.
        """
        self.flush()
        self._run.undo()
        self.iterates.forget_after(self.steps_taken)
        self.non_finite = None
        self._suspects = NonFiniteFinder()

    def tune(self, tuning: Tuning) -> tuple[str, str]:
        """Change settings from the next step on, if they fit the scenario.

        Returns:
            The estimator and the optimiser with them, in words.

        With `average` the run stands at the mean of its newest iterates at once, and what it has
        left is the branch; `tunings` then has the mean.

        Raises:
            UsageError: with the reason, if they do not fit; the run is then as it was.
        """
        if tuning.average:
            mean = newest_mean(self.iterates, self.steps_taken)
            tuning = msgspec.structs.replace(tuning, mean=mean)
        words = self._run.tune(tuning)
        self.iterates.changed(self.steps_taken)
        return words

    def inspected(self) -> ParamInspected | None:
        """Everything about the parameter that is inspected, at the step at which the run stands.

        Raises:
            StepError, KeyboardInterrupt: if a step failed, and one that is run again does too.
        """
        if not self.options.inspected:
            return None
        with self._step_errors():
            self._run.stand_at_present(again=True)
        return inspected(self.options.inspected, self.steps_taken, self._run.stepper.params)

    @property
    def _reports_no_loss(self) -> bool:
        return self._run.stepper.reports_no_loss

    def _executed(self, _: Stepper) -> None:
        """The file has been executed: its steps are watched from now on."""
        self._collector = Collector(self._layout_ids)
        self._collector.observe = self._observe

    def _take_step(self) -> None:
        step = self._run.stepper.taken + 1
        due = self.due.at(step)
        try:
            seen = self._run.advance(due=due)
        except BaseException as error:
            self._raise_as_step_error(error)
        loss = self._run.stepper.loss
        bad = seen.loss is not None and not math.isfinite(loss)
        self.non_finite = NonFinite(step, loss, "") if bad else None
        self.due.took(seen.watching if due else 0.0, seen.seconds)
        self.iterates.took(step, self._run.stepper.params.stored, seen.seconds)
        self._collector.add(seen)
        near = self.target is not None and dense(step, self.target)
        self._run.keep(seen, always=near or isinstance(self.due, Always))

    def _collect(self) -> None:
        batches = self._collector.flush()
        for batch in batches:
            self._suspects.look(batch)
            self._run.row_bytes = 8 * len(batch.layout.columns)
        self._ready += batches

    @contextmanager
    def _step_errors(self) -> Iterator[None]:
        """What the person's code raises becomes a `StepError`."""
        try:
            yield
        except BaseException as error:
            self._raise_as_step_error(error)

    def _raise_as_step_error(self, error: BaseException) -> NoReturn:
        if isinstance(error, StepError):
            stays = f"{error.hint}; {self._stays}"
            raise StepError(error.what, where=error.where, hint=stays) from error
        if isinstance(error, KeyboardInterrupt | ElboError):
            raise error
        raise self._step_error(error) from error

    @property
    def _stays(self) -> str:
        return f"the run stays at step {self.steps_taken}"

    def _step_error(self, error: BaseException) -> StepError:
        step = self._run.stepper.taken + 1
        what = f"step {step} raised {message(error)}"
        if isinstance(error, SystemExit):
            what = f"step {step} called sys.exit({shown(error.code)})"
        self._collect()
        if self._suspects.first:
            what += f" ({self._suspects.first})"
        own, path = self.source.own, self.source.path
        where = place(error, own) or place_of_site(error, path) or str(path)
        return StepError(what, where=where, hint=self._stays, traceback=trimmed(error))


def _saved_run(target: str | SavedRun) -> SavedRun | None:
    if isinstance(target, SavedRun):
        return target
    return read(Path(target)) if is_run_file(target) else None
