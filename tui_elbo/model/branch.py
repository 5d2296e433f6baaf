"""The future that a run has left behind, as whoever is told of the run knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tui_elbo.model.history import History
from tui_elbo.model.records import Column, Floats
from tui_elbo.protocol import Rewound, Tuned


@dataclass(eq=False)
class Branch:
    """A future that was left behind: its columns, and how it came about."""

    history: History
    """Of all its steps, from the first on."""
    tunings: list[Tuned]
    settings: tuple[str, str]
    """The estimator and the optimiser at its end, in words."""
    branch: int
    """The last step that it has in common with the run."""
    _drawn: dict[Column, tuple[int, Floats]] = field(default_factory=dict)

    def values(self, column: Column) -> Floats:
        """A column from the branch on, index `step - 1`; the same array each time."""
        known = self._drawn.get(column)
        if known is None or known[0] != self.branch:
            values = self.history.values(column).copy()
            values[: max(0, self.branch - 1)] = np.nan
            known = self._drawn[column] = self.branch, values
        return known[1]


def after_rewind(ghost: Branch | None, present: Branch, event: Rewound) -> Branch | None:
    """What is left behind once the run has been taken back.

    Args:
        ghost: what was left behind before.
        present: the run as it was, to be left behind at the step that it is taken back to.
        event: what the engine told.
    """
    if event.kept == present.history.last and event.leaves:
        ghost = Branch(present.history.copy(), present.tunings, present.settings, event.step)
    if ghost is None or event.kept != ghost.history.last:
        return None
    ghost.branch = min(ghost.branch, event.step)
    return ghost


def branch_label(ghost: Branch, settings: Sequence[str]) -> str:
    """A few words for what is other there than in the run, such as `lr .02`."""
    words = [part for text in ghost.settings for part in text.split(", ")]
    here = {part for text in settings for part in text.split(", ")}
    apart = [word.removesuffix(" particles") for word in words if word not in here]
    return ", ".join(apart[:2]).replace(" 0.", " .") or "before"
