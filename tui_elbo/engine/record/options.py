"""What is recorded of single parameters, and when what costs more than a small step can bear."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from tui_elbo.engine.record.timing import StepTimer

AHEAD = 0.02
"""Seconds that reading may take beyond its share at the beginning of a run, where most happens."""

HICCUP = 4.0
"""A reading that takes longer than so many times the shortest was held up by something else."""

LEAST_TURN = 32
"""Steps that are read whole in a turn."""

TURNS = 512
"""A turn is at least this part of the run so far."""


@dataclass(eq=False)
class RecordingOptions:
    """Read by the watch at each step; may be changed between two steps."""

    watched: frozenset[str] = frozenset()
    """Parameters that are recorded whole, however many there are."""
    inspected: str = ""
    """The parameter whose gradient is kept; empty for none."""
    timer: StepTimer = field(default_factory=StepTimer)
    """Times single steps."""


class Due(Protocol):
    """Decides at which steps the sums of large parameters are taken."""

    def at(self, step: int) -> bool:
        """Whether to take them at this step."""

    def took(self, cost: float, step: float) -> None:
        """Called after each step: seconds spent on watching it if it was due, and on itself."""


class Always:
    """At every step: when stepping by hand."""

    def at(self, step: int) -> bool:  # noqa: ARG002
        """Yes."""
        return True

    def took(self, cost: float, step: float) -> None:
        """Does not matter."""


class Every:
    """At every k-th step, and at the first: when each k-th record is printed."""

    def __init__(self, k: int, last: int | None = None) -> None:
        self._k, self._last = k, last

    def at(self, step: int) -> bool:
        """Whether this step's record is printed."""
        return step % self._k == 0 or step == self._last

    def took(self, cost: float, step: float) -> None:
        """Does not matter."""


class Turns:
    """Which steps are read whole, where reading may take only a share of the running time.

    Steps are read in turns of consecutive ones, which grow with the run: a long run has no more of
    them than can be told apart on a screen.

    Args:
        share: of the running time.
    """

    def __init__(self, share: float) -> None:
        self._share, self._credit, self._left = share, AHEAD, 0
        self._shortest = math.inf

    def whole(self, step: int) -> bool:
        """Whether this step is read whole."""
        if not self._left and self._credit >= 0.0:
            self._left = max(LEAST_TURN, step // TURNS)
        if not self._left:
            return False
        self._left -= 1
        return True

    def read(self, cost: float, step: float) -> None:
        """A step has been read whole: what it took, and what reading it has cost."""
        self._shortest = min(self._shortest, cost)
        self.took(min(cost, HICCUP * self._shortest), step)

    def took(self, cost: float, step: float) -> None:
        """Earn a share of a step's time, spend what has been done for it."""
        most = max(self._credit, 0.0)
        self._credit = min(self._credit + self._share * step - cost, most)

    def begin(self) -> None:
        """Read the next steps whole, whatever it costs."""
        self._left = max(self._left, LEAST_TURN)


class Budget:
    """As often as a share of the running time allows: when running freely."""

    def __init__(self, share: float = 0.03) -> None:
        self._share, self._credit = share, 0.0

    def at(self, step: int) -> bool:  # noqa: ARG002
        """Whether enough time has been earned."""
        return self._credit >= 0.0

    def took(self, cost: float, step: float) -> None:
        """Earn a share of the step's time, spend what the watching cost."""
        self._credit = min(self._credit + self._share * step - cost, 0.0)
