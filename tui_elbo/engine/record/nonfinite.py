"""Which site or parameter stopped being finite first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui_elbo.model.records import Batch, Column, field_of


@dataclass(frozen=True)
class NonFinite:
    """A step whose loss is not finite. The step is taken and recorded."""

    step: int
    loss: float
    suspect: str
    """The first bad site or parameter, in words; empty when none is known to be."""

    def __str__(self) -> str:
        tail = f": {self.suspect}" if self.suspect else ""
        return f"the loss is {self.loss} at step {self.step}{tail}"


class NonFiniteFinder:
    """Looks through the batches of a run for the first number that is not finite.

    A parameter that is bad from an earlier step comes before the sites that it spoils, the
    guide's sites before the model's, and both before the gradients of the same step.
    """

    def __init__(self) -> None:
        self.first = ""
        """In words, such as `log q of site "z" is nan`; empty while everything is finite."""
        self.step: int | None = None
        """The step of it."""

    def look(self, batch: Batch) -> None:
        """Take in the next steps."""
        if self.first:
            return
        bad = ~np.isfinite(batch.values)
        for row, column in enumerate(batch.layout.columns):
            if column.kind == "step" and column.field != "elbo":
                bad[row] = False
        steps = np.flatnonzero(bad.any(axis=0))
        if steps.size == 0:
            return
        at = int(steps[0])
        columns = [c for c, is_bad in zip(batch.layout.columns, bad[:, at], strict=True) if is_bad]
        column = min(columns, key=_rank)
        self.step = batch.first + at
        value = float(batch.values[batch.layout.index[column], at])
        self.first = f"{_words(column)} is {value} at step {self.step}"


def _rank(column: Column) -> int:
    order = [("site", "log_q"), ("site", "log_p"), ("param", "grad_norm"), ("param", "value[0]")]
    key = (column.kind, column.field)
    return order.index(key) if key in order else len(order) + (column.kind == "step")


def _words(column: Column) -> str:
    text = field_of(column).text
    return f'{text} "{column.name}"' if column.kind != "step" else text
