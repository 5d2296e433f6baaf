"""What a run keeps of its steps to find any of them again, and the branches that it left."""

from __future__ import annotations

import math
import time
from array import array
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from tui_elbo.engine.record.options import Due
from tui_elbo.engine.rewind.checkpoint import Checkpoint, Timeline
from tui_elbo.engine.stepper import Stepper
from tui_elbo.model.tuning import Tuning


@dataclass(frozen=True, eq=False)
class SavedPosition:
    """Where a run stands, to stand there again if going elsewhere fails."""

    stepper: Stepper
    timeline: Timeline
    state: Checkpoint | None
    """None if the state has to be found again anyway."""


@dataclass(frozen=True, eq=False)
class Record:
    """What is known of every step of a run, and what going over them again takes."""

    losses: array[float]
    tunings: tuple[tuple[int, Tuning], ...]
    """The changes of settings, each with the step after which it was made."""

    @property
    def end(self) -> int:
        """The last step."""
        return len(self.losses)

    def common(self, other: Record) -> int:
        """The last step up to which both have gone the same way."""
        end = min(self.end, other.end)
        mine, its = (np.array(one.losses[:end]).view(np.uint64) for one in (self, other))
        apart = np.flatnonzero(mine != its)
        end = int(apart[0]) if len(apart) else end
        changes = zip_longest(self.tunings, other.tunings, fillvalue=(end + 1, Tuning()))
        for (after, change), (its_after, its_change) in changes:
            if (after, change) != (its_after, its_change):
                moved = any(
                    step == min(after, its_after) and one.mean is not None
                    for step, one in ((after, change), (its_after, its_change))
                )
                return max(0, min(end, min(after, its_after) - moved))
        return end

    def retraces(self, other: Record) -> bool:
        """Whether it is the beginning of the other, or all of it."""
        same = self.losses.tobytes() == other.losses[: self.end].tobytes()
        return same and self._felt(self.end) == other._felt(self.end)

    def _felt(self, end: int) -> list[tuple[int, Tuning]]:
        """The changes that make a difference at that step: settings do from the next one on."""
        return [
            (after, tuning)
            for after, tuning in self.tunings
            if after < end or (after == end and tuning.mean is not None)
        ]


@dataclass(eq=False)
class BranchState:
    """A path that the run has left behind, and what standing at its end again takes."""

    number: int
    """From 1 on, in the order of leaving."""
    record: Record
    """Of all its steps, from the first on."""
    stepper: Stepper | None
    """The execution that it belongs to; None: all its steps are to be taken again."""
    state: Checkpoint | None
    """At its end; None if it has to be found again from a checkpoint."""
    timeline: Timeline
    """Its checkpoints, those that it shares with other paths included."""

    def let_go(self) -> None:
        """Keep no state of it, and no execution."""
        self.stepper, self.state, self.timeline = None, None, Timeline(0)


NOTICED = 0.02
"""Seconds that a checkpoint may take where a person waits for the step."""

HICCUP = 2.0
"""A checkpoint that took so many times as long as the last one has waited for something else."""


@dataclass(frozen=True)
class ReplayMismatch:
    """A step that was run again, and did not meet the record."""

    step: int
    field: str
    """Which number."""
    recorded: float
    replayed: float

    def __str__(self) -> str:
        return (
            f"step {self.step}, run again, gave {self.field} {self.replayed!r}, "
            f"and the record has {self.recorded!r}: the scenario keeps state of its own"
        )


class ReplayLog:
    """The losses, the changes of settings, and some of the states of a run.

    Args:
        memory: bytes for checkpoints; 0 keeps none.
    """

    def __init__(self, memory: int) -> None:
        self.timeline = Timeline(memory)
        self.mismatch: ReplayMismatch | None = None
        """The first step that did not meet the record when it was run again."""
        self.memory = memory
        """Bytes for checkpoints."""
        self._cost = 0.0
        self._losses = array("d")
        self._tunings: list[tuple[int, Tuning]] = []

    @property
    def quick(self) -> bool:
        """Whether a checkpoint takes so little that nobody who waits for a step notices."""
        return self._cost < NOTICED

    def took(self, stepper: Stepper, when: Due, seconds: float) -> str:
        """A step was taken, in so many seconds; keep its state when it is due.

        Returns:
            What the person should know, if there is anything.
        """
        self._losses.append(stepper.loss)
        if not self.memory:
            return ""
        cost = 0.0
        if when.at(stepper.taken):
            # Once for a set of parameters; and a hiccup of the machine is no cost of ours either.
            stepper.modules()
            begin = time.perf_counter()
            kept = stepper.capture()
            if kept.size > self.memory:
                return self._gives_up(kept.size)
            self.timeline.add(kept)
            cost = min(time.perf_counter() - begin, HICCUP * self._cost or math.inf)
            self._cost = cost
        when.took(cost, seconds)
        return ""

    def _gives_up(self, size: int) -> str:
        """Keep no states: a single one would take more than all of them may."""
        budget, self.memory, self.timeline = self.memory, 0, Timeline(0)
        return (
            f"a state of this run takes {size:,} bytes and --checkpoint-memory is {budget:,}: "
            "going back runs the steps again from the first"
        )

    def repeated(self, stepper: Stepper, *, keep: bool) -> bool:
        """A step was run again; keep its state if asked to.

        Returns:
            Whether it is the first that does not meet the record; `mismatch` says how.
        """
        step, loss, recorded = stepper.taken, stepper.loss, self._losses[stepper.taken - 1]
        same = loss == recorded or (math.isnan(loss) and math.isnan(recorded))
        if same or self.mismatch is not None:
            if keep and self.memory:
                self.timeline.add(stepper.capture())
            return False
        self.mismatch = ReplayMismatch(step, "loss", recorded, loss)
        return True

    def tuned(self, step: int, tuning: Tuning) -> None:
        """Settings have changed from the step after `step` on."""
        self._tunings.append((step, tuning))

    def tunings(self, step: int) -> list[Tuning]:
        """The changes of settings that the step after `step` is the first to feel."""
        return [tuning for after, tuning in self._tunings if after == step]

    @property
    def record(self) -> Record:
        """What is known of the run's steps, copied."""
        return Record(self._losses[:], tuple(self._tunings))

    @record.setter
    def record(self, record: Record) -> None:
        self._losses, self._tunings = record.losses[:], list(record.tunings)

    def forget_after(self, step: int) -> None:
        """What came after this step is no longer part of the run."""
        self.timeline.forget_after(step)
        del self._losses[step:]
        self._tunings = [one for one in self._tunings if one[0] <= step]
