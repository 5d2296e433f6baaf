"""The runs of a folder as they are shown side by side, ended ones and those that go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from tui_elbo.model.reduction import Reduction
from tui_elbo.model.run_table import Row


class Progress(msgspec.Struct, frozen=True):
    """How far a sweep has come."""

    ended: int
    """Runs that have ended."""
    runs: int
    steps: int
    """That have been taken, all in all."""
    most: int
    """Steps of all runs, as far as is known."""
    left: float | None
    """Seconds, about; None where it is not known yet."""
    lost: int
    """How many chunks were lost."""
    rate: float | None = None
    """Steps a second of all runs together; None where it is not known yet."""
    under_way: tuple[str, ...] = ()
    """The runs of which a chunk is being taken, by name."""
    notice: str = ""
    """Why the newest request was not carried out; empty if it was."""


RunProgress = Literal["ended", "running", "waiting", "left", "unreadable"]
"""`waiting`: for a worker; `left`: it has not ended, and no sweep goes on."""


@dataclass(frozen=True, eq=False)
class WatchedRun:
    """A run of the folder."""

    name: str
    progress: RunProgress
    row: Row
    """What is known of it so far."""
    elbo: Reduction
    loss: Reduction
    """Of each step: minus the loss is the ELBO for most estimators, something else for a few."""


@dataclass(frozen=True, eq=False)
class FolderContent:
    """What there is in a folder of runs."""

    title: str
    """The scenario's name; the folder's where the runs are of several."""
    runs: tuple[WatchedRun, ...]
    steps: int
    """Where the longest run goes, as far as is known."""
    live: bool
    """Whether a sweep goes on in it."""
    swept: bool
    """Whether it is a sweep's."""
    since: float = 0.0
    """Seconds since `progress` was written."""
    progress: Progress | None = None
    """Of the sweep that goes on."""
    notice: str = ""
    """Why what was asked of it has not been done; empty if it was."""
