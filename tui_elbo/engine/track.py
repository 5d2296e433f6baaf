"""A run's steps, forward and back: an execution of the scenario, and what is kept of its past."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tui_elbo.engine.blame import said, trimmed
from tui_elbo.engine.collector import Observation
from tui_elbo.engine.describe import estimator, optimizer
from tui_elbo.engine.due import Always, Budget, Due
from tui_elbo.engine.past import Past
from tui_elbo.engine.shared import Surroundings
from tui_elbo.engine.stepper import Stepper
from tui_elbo.engine.tuning import apply
from tui_elbo.engine.wanted import Wanted
from tui_elbo.errors import UsageError
from tui_elbo.protocol import Tuning
from tui_elbo.scenario import Source

Tell: TypeAlias = Callable[[str], object]

DENSE_STEPS, DENSE_EVERY = 50, 3
"""So many steps before the present have a checkpoint each so many steps, once gone back to."""

MANY_STEPS = 500
"""Running more steps again than this is worth a word."""


class Track:
    """Takes a run's steps, and finds any of them again.

    Args:
        source: the scenario's file.
        seed: of the run; None: the scenario's own.
        surroundings: what each execution of the file is given.
        wanted: what is kept of single parameters.
        memory: bytes for checkpoints; 0 takes none.
        warn: is told what the person should know and no error says.
        busy: is told what takes its time.
        executed: is called with what a new execution of the file has made.

    Raises:
        ScenarioError: if the file cannot be executed or breaks the contract.
    """

    def __init__(
        self,
        source: Source,
        seed: int | None,
        surroundings: Surroundings,
        wanted: Wanted,
        *,
        memory: int,
        warn: Tell,
        busy: Tell,
        executed: Callable[[Stepper], object],
    ) -> None:
        self._source, self._asked_seed, self._surroundings = source, seed, surroundings
        self._wanted = wanted
        self._warn, self._busy, self._executed = warn, busy, executed
        self.step = 0
        """The step at which the run stands."""
        self.stepping = False
        """True while the person's own code may be running."""
        self.past = Past(memory)
        self._execute()

    @property
    def stepper(self) -> Stepper:
        """The file's last execution; it may stand elsewhere than the run until the next step."""
        return self._stepper

    def stand_at_present(self) -> None:
        """Find the state at which the run stands, if something has left another behind."""
        if self._failed or self._stepper.taken != self.step:
            self._stand_at(self.step)

    def advance(self, *, due: bool) -> Observation:
        """Take the next step; whatever the person's code raises goes through.

        Args:
            due: whether to take the sums of large parameters.
        """
        seen = self._taken(due=due)
        self.step = self._stepper.taken
        return seen

    def keep(self, seen: Observation, *, always: bool) -> None:
        """Keep of the newest step what going back takes; its state when that is due."""
        when: Due = Always() if always else self._keep_when_running
        self.past.took(self._stepper, when, seen.seconds)

    def go_to(self, step: int) -> None:
        """Stand at an earlier step; what came after is forgotten.

        Raises:
            Exception: if a step that is run again ends so; the run then still stands where it
                stood.
        """
        self.past.timeline.forget_after(step)
        self._stand_at(step)
        self.past.forget_after(step)
        self.step = step

    def tune(self, tuning: Tuning) -> tuple[str, str]:
        """Change settings from the next step on, if they fit the scenario.

        Returns:
            The estimator and the optimiser with them, in words.

        Raises:
            UsageError: with the reason, if they do not fit; the run is then as it was.
        """
        self.stand_at_present()
        before = self._stepper.capture() if self.step else None
        self.stepping = True
        try:
            apply(self._stepper, tuning)
            words = estimator(self._stepper.estimator), optimizer(self._stepper.optimizer)
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
        self.past.tuned(self.step, tuning)
        return words

    def _execute(self) -> None:
        self._surroundings.put_back()
        self.stepping = True
        try:
            self._stepper = Stepper(self._source, self._asked_seed, self._warn, self._wanted)
        finally:
            self.stepping = False
        self._keep_when_running = Budget(0.02)
        self._failed = False
        self._executed(self._stepper)

    def _taken(self, *, due: bool) -> Observation:
        for tuning in self.past.tunings(self._stepper.taken):
            apply(self._stepper, tuning)
        self.stepping = True
        try:
            return self._stepper.take(due=due)
        except BaseException:
            self._failed = True
            raise
        finally:
            self.stepping = False

    def _stand_at(self, step: int) -> None:
        """Find the state of a step again: from a checkpoint if there is one, else from the file.

        A failed step leaves random state and lazily made things behind; nothing of them is saved
        at each step, since that would cost every step.
        """
        checkpoint = self.past.timeline.nearest(step)
        if checkpoint is None or not self._stepper.restore(checkpoint):
            self.past.timeline.forget_after(0)
            self._execute()
        self._failed = False
        first = self._stepper.taken + 1
        if step - first > MANY_STEPS:
            self._busy(f"running steps {first} to {step} again")
        while self._stepper.taken < step:
            self._repeat_step(dense=step - DENSE_STEPS)

    def _repeat_step(self, dense: int) -> None:
        step = self._stepper.taken + 1
        self._taken(due=False)
        wrong = self.past.repeated(self._stepper, keep=step > dense and step % DENSE_EVERY == 0)
        if wrong:
            self._warn(wrong)
