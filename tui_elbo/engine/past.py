"""What a run keeps of its past, to find any of its steps again."""

from __future__ import annotations

import math
import time
from array import array

from tui_elbo.engine.due import Due
from tui_elbo.engine.stepper import Stepper
from tui_elbo.engine.timeline import Timeline
from tui_elbo.protocol import Tuning


class Past:
    """The losses, the changes of settings, and some of the states of a run.

    Args:
        memory: bytes for checkpoints; 0 keeps none.
    """

    def __init__(self, memory: int) -> None:
        self.timeline = Timeline(memory)
        self.repeatable = True
        """False once a step that was run again gave another loss than before."""
        self._memory = memory
        self._losses = array("d")
        self._tunings: list[tuple[int, Tuning]] = []

    def took(self, stepper: Stepper, when: Due, seconds: float) -> None:
        """A step was taken, in so many seconds; keep its state when it is due."""
        self._losses.append(stepper.loss)
        if not self._memory:
            return
        cost = 0.0
        if when.at(stepper.taken):
            begin = time.perf_counter()
            self.timeline.add(stepper.capture())
            cost = time.perf_counter() - begin
        when.took(cost, seconds)

    def repeated(self, stepper: Stepper, *, keep: bool) -> str:
        """A step was run again; keep its state if asked to.

        Returns:
            What is wrong with it, the first time that something is; else nothing.
        """
        if keep and self._memory:
            self.timeline.add(stepper.capture())
        step, loss, wanted = stepper.taken, stepper.loss, self._losses[stepper.taken - 1]
        same = loss == wanted or (math.isnan(loss) and math.isnan(wanted))
        if same or not self.repeatable:
            return ""
        self.repeatable = False
        return (
            f"step {step}, run again, gave loss {loss!r} and not {wanted!r}: the scenario keeps "
            "state of its own, or its file has changed (R reloads it)"
        )

    def tuned(self, step: int, tuning: Tuning) -> None:
        """Settings have changed from the step after `step` on."""
        self._tunings.append((step, tuning))

    def tunings(self, step: int) -> list[Tuning]:
        """The changes of settings that the step after `step` is the first to feel."""
        return [tuning for after, tuning in self._tunings if after == step]

    def forget_after(self, step: int) -> None:
        """What came after this step is no longer part of the run."""
        self.timeline.forget_after(step)
        del self._losses[step:]
        self._tunings = [one for one in self._tunings if one[0] <= step]
