"""Checkpoints under a budget of bytes: dense near the present, thinned towards the past."""

from __future__ import annotations

from bisect import bisect_right

from tui_elbo.engine.checkpoint import Checkpoint


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
        """Keep a checkpoint of a step later than all that are kept."""
        self._kept.append(checkpoint)
        self.size += checkpoint.size
        while self.size > self._budget and len(self._kept) > 1:
            self._thin()

    def nearest(self, step: int) -> Checkpoint | None:
        """The latest checkpoint of a step not after `step`; None if there is none."""
        index = bisect_right(self._kept, step, key=lambda kept: kept.step)
        return self._kept[index - 1] if index else None

    def forget_after(self, step: int) -> None:
        """Drop the checkpoints of later steps."""
        while self._kept and self._kept[-1].step > step:
            self.size -= self._kept.pop().size

    def _thin(self) -> None:
        """Drop the one whose going leaves the smallest gap, relative to its age."""
        now = self._kept[-1].step

        def missed(index: int) -> float:
            before = self._kept[index - 1].step if index else 0
            return (self._kept[index + 1].step - before) / (now - self._kept[index].step)

        index = min(range(len(self._kept) - 1), key=missed)
        self.size -= self._kept.pop(index).size
