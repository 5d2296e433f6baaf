"""A loop that evaluates an ELBO itself as the source of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import pyro
from pyro.infer import ELBO
from torch.optim import Optimizer

from tui_elbo.engine import describe
from tui_elbo.engine.script.loop_stepper import LoopStepper
from tui_elbo.engine.script.script_source import SETTLING, ScriptSource, Trainings
from tui_elbo.engine.script.step_arguments import ScriptSubject
from tui_elbo.protocol import RunFlagged, Tuned

IDLE = SETTLING
"""A step is over so many seconds after its last update, if nothing is evaluated before."""

BY_EVALUATION = "no optimiser of torch's is seen: steps are counted by evaluations"

UNKNOWN = (
    "The optimiser updates parameters that are neither in Pyro's param store nor in a module that "
    "is the model or the guide, so who reads them is not known"
)

NOTES = """\
This is a script's own loop, which evaluates an ELBO and updates the parameters itself.

- A step is an update by torch's optimisers that follows one or more evaluations of the ELBO whose
  gradient was taken. Of several evaluations, loss and terms are the mean; of those that an
  optimiser makes by itself, such as LBFGS, they are those of the first.
- Where no optimiser of torch's updates the parameters, a step is an evaluation after which they
  have changed.
- An evaluation that no update follows, such as that of validation data, is no step: its loss is the
  column `eval_loss` of the next one.
- `space`, `n`, `u`: hold it, step it, let it run until something happens. It is held before the
  first evaluation of a step.
- What moved log p is seen by the lens, which looks between two steps, and only while a terminal is
  there. Where the ELBO is evaluated with other data each time, it looks at those of some of them.
- It cannot go back, and its settings are its own.
- `d` and `q` leave it going; so does a lost line. A script that was held goes on then.
"""


class Call:
    """What an estimator is evaluated with."""

    def __init__(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> None:
        self.model, self.guide, self.args, self.kwargs = model, guide, args, kwargs


class LoopSource(ScriptSource):
    """Stands between a loop's evaluations and updates and the terminals.

    Args:
        guide: of the first evaluation; it is held weakly.
        elbo: its estimator; it is held weakly.
        script: the script's file.
        trainings: all those of the process.
        checks: whether to look for faults before the first step.
        held: whether to wait before the first step until a person lets it go on.
    """

    notes = NOTES

    def __init__(
        self,
        guide: Any,
        elbo: ELBO,
        script: Path,
        trainings: Trainings,
        *,
        checks: bool = True,
        held: bool = False,
    ) -> None:
        self._loop: LoopStepper
        self._begin = guide, elbo
        self._waits = self._named = self._counts = False
        super().__init__(None, script, trainings, checks=checks, held=held)
        del self._begin

    def _make(self, training: Any, *, lens: bool) -> tuple[LoopStepper, ScriptSubject]:  # noqa: ARG002
        self._loop = loop = LoopStepper(*self._begin, self._runner.options)
        return loop, ScriptSubject(loop, loop)

    def _name_guide(self, training: Any) -> str:  # noqa: ARG002
        return describe.callable_name(pyro.poutine.unwrap(self._begin[0]))

    # The script's thread.

    def evaluate(self, elbo: ELBO, take: Callable[[], Any], call: Call) -> Any:
        """In place of the estimator's own method, which is `take`; its gradient may be taken."""
        if self._closed or not self.server.is_ours:
            return take()  # in a worker that was forked: not this run's
        if not self._enter():
            return take()  # by a second thread: not this run's
        loop, entered = self._loop, time.perf_counter()
        try:
            self._trainings.stepping(self)
            loop.model, loop.guide = call.model, call.guide
            self._guarded(self._complete)
            if loop.begins:
                self._guarded(self._before, call)
            elif self._following or self._visited:
                self._follow(call.args, call.kwargs)
            due = self._runner.due.at(loop.taken + 1)
            try:
                return loop.evaluate(elbo, take, due=due, entered=entered)
            except Exception as error:
                if self.server.is_ours:
                    self._guarded(self._raised, error)
                raise
        finally:
            loop.model = loop.guide = None
            if self._closed and self.server.is_ours:
                self._close_lens()
            self._inside.release()

    def evaluated(self, value: Any) -> None:
        """An evaluation has been made whose gradient is not taken."""
        if not self._closed and self.server.is_ours and self._enter():
            try:
                self._guarded(self._complete)
                self._guarded(self._loop.unused.took, value)
            finally:
                self._inside.release()

    def updating(self, optimizer: Optimizer) -> None:
        """An optimiser's step begins."""
        if self._closed or not self.server.is_ours:
            return
        if self._loop.updating(optimizer) and self._enter():
            # Its next evaluation is that of its closure.
            try:
                self._guarded(self._complete)
            finally:
                self._inside.release()
        self._guarded(self._loop.before_update, optimizer)

    def updated(self, optimizer: Optimizer) -> None:
        """An optimiser's step has ended."""
        if self._closed or not self.server.is_ours:
            return
        self._guarded(self._loop.updated, optimizer)
        if self._loop.has_unknown:
            self._subject.refuse(UNKNOWN, always=True)
        if not self._waits:
            self._waits = True
            self.server.call_later(IDLE, self._idle)

    def _before(self, call: Call) -> None:
        """The first evaluation of a step is about to be made."""
        if self._unchecked:
            self._check(call.args, call.kwargs)
        if not self._alone:
            self._attend(call.args, call.kwargs)

    @property
    def _alone(self) -> bool:
        return self._runner.running and not (self._attached or self._visited)

    def _complete(self) -> None:
        """Take note of the step that is over, if one is."""
        if not self._loop.completed():
            return
        alone = self._alone
        self._read()
        self._after_step(alone)

    def _finish(self) -> None:
        if self._loop.completed():
            self._read()

    def _read(self) -> None:
        """Read the step that is over."""
        seen = self._loop.finish()
        self._name_optimizer()
        self.last_step = time.perf_counter()
        if seen is not None:
            self._step_seconds = seen.seconds
            self._runner.due.took(seen.watching, seen.seconds)
            self._collector.add(seen)

    def _name_optimizer(self) -> None:
        """Say what updates the parameters, once that is known."""
        loop = self._loop
        if self._named and not self._counts:
            return
        if loop.by_evaluation != self._counts:
            self._counts = loop.by_evaluation
            self._send(RunFlagged("by_evaluation", BY_EVALUATION if self._counts else ""))
        about = loop.optimizer
        if about and not self._named:
            self._named = True
            if loop.taken <= 1:
                self._introduce()
            else:
                self._flush()
                self._send(Tuned(loop.taken - 1, about, loop.estimator, about))

    # The server's thread.

    def _idle(self) -> None:
        """The script may evaluate nothing for long: its last step is shown nevertheless."""
        self._waits = False
        if self._closed or not self._loop.updates:
            return
        if time.perf_counter() - self._loop.ended < IDLE:
            self._waits = True
            self.server.call_later(IDLE, self._idle)
            return
        self._settling = True
        try:
            if self._inside.acquire(blocking=False):
                try:
                    self._guarded(self._complete)
                finally:
                    self._inside.release()
        finally:
            self._settling = False


def anchor(guide: Any) -> Any:
    """What a guide lives as long as: a function, a module, or the object whose method it is.

    A lambda may be made anew for each step: its code lives on.
    """
    guide = pyro.poutine.unwrap(guide)
    while hasattr(guide, "func") and hasattr(guide, "args"):
        guide = guide.func
    if isinstance(guide, FunctionType) and guide.__name__ == "<lambda>":
        return guide.__code__
    return guide.__self__ if isinstance(guide, MethodType) else guide
