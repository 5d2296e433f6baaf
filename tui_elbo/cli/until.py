"""`elbo-tui run --until`: a condition that ends a run, and what is told about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_elbo.model.conditions import Condition
from tui_elbo.model.records import Batch, Column

if TYPE_CHECKING:
    from tui_elbo.engine.session import Session


class Until:
    """Stands for the condition in a run.

    Args:
        condition: ends the run, on the first step that meets it.
        session: what is run.
        tell: takes what is to be said.
    """

    def __init__(
        self, condition: Condition, session: Session, tell: Callable[[str], object]
    ) -> None:
        self._condition, self._session, self._tell = condition, session, tell
        session.until, session.wanted.watched = condition.met, condition.params

    def check(self, batches: list[Batch]) -> None:
        """See, after the first step, that the run has what the condition names.

        Raises:
            ConditionError: if it has not.
        """
        if batches and batches[0].first == 1:
            self._condition.check(*(batch.layout for batch in batches))

    def met(self, batches: list[Batch]) -> bool:
        """Whether the newest step meets it; if so, that is told."""
        if not self._session.met or not batches:
            return False
        batch = batches[-1]
        step = batch.first + batch.steps - 1

        def number(column: Column) -> float:
            return float(batch.values[batch.layout.index[column], -1])

        why = self._condition.describe(batch.layout, step, number)
        because = "" if self._condition.step else f": {why}"
        self._tell(f"--until {self._condition.text}: met at step {step}{because}")
        return True

    def missed(self) -> None:
        """Tell that the run has ended without it."""
        steps = self._session.steps_taken
        self._tell(f"--until {self._condition.text}: not met in {steps} steps")
