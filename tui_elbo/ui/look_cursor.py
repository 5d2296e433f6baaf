"""The look cursor: which step of the past all panes show. It touches nothing of the run."""

from __future__ import annotations


class LookCursor:
    """The newest step, or one of the past."""

    def __init__(self) -> None:
        self.at: int | None = None
        """The step looked at; None follows the newest."""

    def step(self, last: int) -> int:
        """The step to show, when `last` is the newest: 0 if there is none."""
        return last if self.at is None else min(self.at, last)

    def move(self, by: int, last: int) -> None:
        """Look so many steps further on; past the newest, follow it."""
        self.to(self.step(last) + by, last)

    def to(self, step: int, last: int) -> None:
        """Look at a step; at the newest, follow it."""
        step = max(1, step)
        self.at = step if step < last else None

    def follow(self) -> None:
        """Look at the newest step, and at those to come."""
        self.at = None

    def taken_back(self, last: int) -> None:
        """The run stands at an earlier step now."""
        if self.at is not None:
            self.to(self.at, last)
