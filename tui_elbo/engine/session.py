"""A run that can be stepped, taken back, and started anew. Watching it changes nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from tui_elbo.engine.blame import place, said, trimmed
from tui_elbo.engine.collector import Collector, Meets, Observation
from tui_elbo.engine.describe import estimator, optimizer
from tui_elbo.engine.due import Always, Budget, Due
from tui_elbo.engine.loading import Scenario
from tui_elbo.engine.past import Past
from tui_elbo.engine.shared import here, warm_up
from tui_elbo.engine.stepper import Stepper
from tui_elbo.engine.suspects import Suspects
from tui_elbo.engine.tuning import apply
from tui_elbo.errors import StepError, UsageError
from tui_elbo.protocol import Tuning
from tui_elbo.records import Batch, StepRecord
from tui_elbo.scenario import find

Tell = Callable[[str], object]

DENSE_STEPS, DENSE_EVERY = 50, 3
"""So many steps before the present have a checkpoint each so many steps, once gone back to."""

MANY_STEPS = 500
"""Running more steps again than this is worth a word."""


@dataclass(frozen=True)
class NonFinite:
    """A step whose loss is not finite. The step is taken and recorded."""

    step: int
    loss: float
    suspect: str
    """The first bad site or parameter, in words; empty when none is known to be."""

    def __str__(self) -> str:
        tail = f": {self.suspect}" if self.suspect else ""
        return f"the loss is {self.loss} at step {self.step}{tail}"


class Session:
    """A scenario and its run, standing at a step.

    Args:
        target: a gallery name, a path or a module name.
        seed: of the run; None: the scenario's own.
        threads: torch's threads; the numbers of a run depend on them.
        device: torch's default device; None leaves it alone.
        checkpoint_memory: bytes for checkpoints; 0 takes none, and every step back is a replay
            from the beginning.
        warn: is told what the person should know and no error says.
        busy: is told what takes its time, such as "running 412 steps again".

    Raises:
        UsageError: if there is no such scenario, or no such device.
        ScenarioError: if it cannot be executed or breaks the contract.
    """

    def __init__(
        self,
        target: str,
        *,
        seed: int | None = None,
        threads: int = 1,
        device: str | None = None,
        checkpoint_memory: int = 0,
        warn: Tell = id,
        busy: Tell = id,
    ) -> None:
        warm_up()
        self._surroundings = here(threads, device)
        self.source = find(target)
        self.due: Due = Always()
        """When to take the sums of large parameters; replaced by whoever runs the session."""
        self.stepping = False
        """True while the person's own code may be running."""
        self.non_finite: NonFinite | None = None
        """Set when the newest step's loss is not finite; the run goes on if told to."""
        self.until: Meets | None = None
        """Asked after each step; `advance` stops on the first step that meets it."""
        self.met = False
        """Whether the newest step meets `until`."""
        self._asked_seed, self._warn, self._busy = seed, warn, busy
        self._memory, self._next_layout = checkpoint_memory, 0
        self.restart()

    def restart(self) -> None:
        """Execute the file afresh and stand at step 0.

        Raises:
            ScenarioError: as when it was loaded first; the session then cannot step.
        """
        self._execute()
        self.steps_taken = 0
        """The step at which the run stands."""
        self._past = Past(self._memory)
        self._ready: list[Batch] = []
        self._suspects = Suspects()
        self.non_finite = None

    @property
    def scenario(self) -> Scenario:
        """What the file's last execution has made."""
        return self._stepper.scenario

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self._stepper.seed

    @property
    def checkpoint_bytes(self) -> int:
        """What the checkpoints take, about."""
        return self._past.timeline.size

    @property
    def repeatable(self) -> bool:
        """False once a step that was run again gave another loss than before."""
        return self._past.repeatable

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
        self._stand_at_present()
        keep: Due = Always() if isinstance(self.due, Always) else self._keep_when_running
        end = time.perf_counter() + seconds
        for _ in range(steps):
            self._take_step(keep)
            self.met = self.until is not None and self._collector.newest_meets(self.until)
            stop = self.non_finite is not None or self._stepper.reports_no_loss or self.met
            if stop or time.perf_counter() > end:
                break
        return self.flush()

    def flush(self) -> list[Batch]:
        """The steps that were taken and have not been returned yet."""
        self._collect()
        ready, self._ready = self._ready, []
        if self.non_finite is not None:
            self.non_finite = replace(self.non_finite, suspect=self._suspects.first)
        elif self._stepper.reports_no_loss and self._suspects.step is not None:
            self.non_finite = NonFinite(self._suspects.step, math.nan, self._suspects.first)
        return ready

    def go_to(self, step: int) -> None:
        """Stand at an earlier step, exactly as the run stood there; what came after is dropped.

        Raises:
            UsageError: if there is no such step.
            StepError, KeyboardInterrupt: if a step that is run again ends so; the run then still
                stands where it stood.
        """
        if not 0 <= step <= self.steps_taken:
            what = f"there is no step {step}"
            raise UsageError(what, todo=f"choose one from 0 to {self.steps_taken}")
        self.flush()
        self._past.timeline.forget_after(step)
        self._stand_at(step)
        self._past.forget_after(step)
        if self._suspects.step is not None and self._suspects.step > step:
            self._suspects = Suspects()
        self.steps_taken, self.non_finite = step, None

    def tune(self, tuning: Tuning) -> tuple[str, str]:
        """Change settings from the next step on, if they fit the scenario.

        Returns:
            The estimator and the optimiser with them, in words.

        Raises:
            UsageError: with the reason, if they do not fit; the run is then as it was.
        """
        self._stand_at_present()
        before = self._stepper.capture() if self.steps_taken else None
        self.stepping = True
        try:
            apply(self._stepper, tuning)
            scenario = self._stepper.scenario
            words = estimator(self._stepper.estimator), optimizer(scenario.optimizer)
            self._stepper.rehearse()
        except (UsageError, KeyboardInterrupt):
            raise
        except BaseException as error:
            what = f"{tuning} does not fit this scenario: {said(error)}"
            raise UsageError(what, trace=trimmed(error)) from error
        finally:
            self.stepping = False
            if before is None or not self._stepper.restore(before):
                self._failed = True
        self._past.tuned(self.steps_taken, tuning)
        return words

    def _execute(self) -> None:
        self._surroundings.put_back()
        self.stepping = True
        try:
            self._stepper = Stepper(self.source, self._asked_seed, self._warn)
        finally:
            self.stepping = False
        terms, params = self._stepper.terms, self._stepper.params
        self._collector = Collector(terms, params, self._next_layout)
        self._keep_when_running = Budget(0.02)
        self._failed = False

    def _take_step(self, keep: Due) -> None:
        step = self._stepper.taken + 1
        due = self.due.at(step)
        seen = self._taken(step, due=due)
        loss = self._stepper.loss
        bad = seen.loss is not None and not math.isfinite(loss)
        self.non_finite = NonFinite(step, loss, "") if bad else None
        self.due.took(seen.watching if due else 0.0, seen.seconds)
        self._collector.add(seen)
        self.steps_taken = step
        self._past.took(self._stepper, keep, seen.seconds)

    def _taken(self, step: int, *, due: bool) -> Observation:
        for tuning in self._past.tunings(step - 1):
            apply(self._stepper, tuning)
        self.stepping = True
        try:
            return self._stepper.take(due=due)
        except BaseException as error:
            self._failed = True
            if isinstance(error, KeyboardInterrupt):
                raise
            raise self._told(error, step) from error
        finally:
            self.stepping = False

    def _stand_at_present(self) -> None:
        if self._failed or self._stepper.taken != self.steps_taken:
            self._stand_at(self.steps_taken)

    def _stand_at(self, step: int) -> None:
        """Find the state of a step again: from a checkpoint if there is one, else from the file.

        A failed step leaves random state and lazily made things behind; nothing of them is saved
        at each step, since that would cost every step.
        """
        checkpoint = self._past.timeline.nearest(step)
        if checkpoint is None or not self._stepper.restore(checkpoint):
            self._next_layout = self._collector.next_layout
            self._past.timeline.forget_after(0)
            self._execute()
        self._failed = False
        first = self._stepper.taken + 1
        if step - first > MANY_STEPS:
            self._busy(f"running steps {first} to {step} again")
        while self._stepper.taken < step:
            self._repeat_step(dense=step - DENSE_STEPS)

    def _repeat_step(self, dense: int) -> None:
        step = self._stepper.taken + 1
        self._taken(step, due=False)
        wrong = self._past.repeated(self._stepper, keep=step > dense and step % DENSE_EVERY == 0)
        if wrong:
            self._warn(wrong)

    def _collect(self) -> None:
        batches = self._collector.flush()
        for batch in batches:
            self._suspects.look(batch)
        self._ready += batches

    def _told(self, error: BaseException, step: int) -> StepError:
        stays = f"the run stays at step {self.steps_taken}"
        if isinstance(error, StepError):
            return StepError(error.what, where=error.where, todo=f"{error.todo}; {stays}")
        what = f"step {step} raised {said(error)}"
        if isinstance(error, SystemExit):
            what = f"step {step} called sys.exit({error.code!r})"
        self._collect()
        if self._suspects.first:
            what += f" ({self._suspects.first})"
        where = place(error, self.source.own) or str(self.source.path)
        return StepError(what, where=where, todo=stays, trace=trimmed(error))
