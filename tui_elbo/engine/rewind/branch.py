"""The future that a run has left behind, kept so that the run can go over to it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from tui_elbo.engine.rewind.checkpoint import Checkpoint
from tui_elbo.engine.rewind.timeline import Timeline
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

    def retraces(self, other: Record) -> bool:
        """Whether it is the beginning of the other, or all of it."""
        settings = tuple(one for one in other.tunings if one[0] < self.end)
        same = self.losses.tobytes() == other.losses[: self.end].tobytes()
        return same and tuple(one for one in self.tunings if one[0] < self.end) == settings


@dataclass(frozen=True, eq=False)
class BranchState:
    """A future that was left behind."""

    place: SavedPosition
    """Its end."""
    record: Record
    """Of all its steps, from the first on."""
    branch: int
    """The last step that it has in common with the run."""
