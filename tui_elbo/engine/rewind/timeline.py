"""Checkpoints under a budget of bytes: dense near the present, thinned towards the past."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from tui_elbo.engine.rewind.checkpoint import Checkpoint

SLACK = 16
"""A full budget is emptied by this part of it."""

DENSE_STEPS, DENSE_EVERY = 50, 3
"""So many steps before a known end have a checkpoint each so many steps, and so have those before
any step that was gone back to."""


def dense(step: int, end: int) -> bool:
    """Whether a step is kept in any case, since the run will stand at `end`."""
    return end - DENSE_STEPS < step <= end and step % DENSE_EVERY == 0


class Timeline:
    """Keeps checkpoints, and gives up those that are missed least.

    Args:
        budget: bytes that the checkpoints may take together; the newest is kept in any case.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: list[Checkpoint] = []
        self.size = 0
        """Bytes that they take now, about."""

    def add(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, if there is none of its step."""
        index = bisect_left(self._kept, checkpoint.step, key=_step)
        if index < len(self._kept) and self._kept[index].step == checkpoint.step:
            return
        self._kept.insert(index, checkpoint)
        self.size += checkpoint.size
        if self.size > self._budget and len(self._kept) > 1:
            self._thin()

    @property
    def earliest(self) -> Checkpoint | None:
        """The first of them; None if there is none."""
        return self._kept[0] if self._kept else None

    def nearest(self, step: int) -> Checkpoint | None:
        """The latest checkpoint of a step not after `step`; None if there is none."""
        index = bisect_right(self._kept, step, key=_step)
        return self._kept[index - 1] if index else None

    def forget_after(self, step: int) -> None:
        """Drop the checkpoints of later steps."""
        while self._kept and self._kept[-1].step > step:
            self.size -= self._kept.pop().size

    def _thin(self) -> None:
        """Drop those whose going leaves the smallest gaps, relative to their age.

        Several at once, so that a full budget does not have each new one looked for.
        """
        steps = [0, *(kept.step for kept in self._kept)]
        gaps = zip(steps, steps[1:], steps[2:], strict=False)
        missed = [
            ((after - before) / (steps[-1] - own), index)
            for index, (before, own, after) in enumerate(gaps)
        ]
        going: set[int] = set()
        left, room = self.size, self._budget - self._budget // SLACK
        for _, index in sorted(missed):
            if left <= room:
                break
            if not {index - 1, index + 1} & going:
                going.add(index)
                left -= self._kept[index].size
        self._kept = [kept for index, kept in enumerate(self._kept) if index not in going]
        self.size = left
        if self.size > self._budget and len(self._kept) > 1:
            self._thin()


def _step(checkpoint: Checkpoint) -> int:
    return checkpoint.step
