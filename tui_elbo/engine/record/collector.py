"""From what was read off each step to batches of columns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import numpy as np

from tui_elbo.engine.record.cache import remember
from tui_elbo.engine.record.numbers import kept_table
from tui_elbo.engine.record.params import StepParams
from tui_elbo.engine.record.peek import Peek
from tui_elbo.engine.record.terms import StepTerms
from tui_elbo.model.records import Batch, Column, Floats, Layout

Meets: TypeAlias = Callable[[Layout, int, Callable[[Column], float]], bool]
"""Whether a step meets a condition: from its layout, its number, and what gives its numbers."""


@dataclass(eq=False)
class Observation:
    """One step as it was seen: numbers that are not columns yet."""

    step: int
    loss: float | None
    """None where the estimator reports none."""
    parts: tuple[float, ...]
    """Of a loss that is a sum; empty otherwise."""
    seconds: float
    watching: float
    """Seconds that it took to read the step, after it."""
    terms: StepTerms
    params: StepParams

    @property
    def key(self) -> Hashable:
        """Steps of equal keys have the same columns."""
        return (self.terms.plan, self.params.plan, len(self.parts), self.loss is None)


class Collector:
    """Keeps observations until they are asked for, then turns them into numbers together.

    Args:
        ids: a number for each layout that this collector makes.
    """

    def __init__(self, ids: Iterator[int]) -> None:
        self._pending: list[Observation] = []
        self._layouts: dict[Hashable, Layout] = {}
        self._ids = ids
        self._asked: tuple[Hashable, Layout] | None = None

    def add(self, observation: Observation) -> None:
        """Keep one more step."""
        self._pending.append(observation)

    def newest_meets(self, condition: Meets) -> bool:
        """Whether the step that was added last meets a condition; no columns are made for it."""
        seen = self._pending[-1]
        if self._asked is None or self._asked[0] != seen.key:
            layout = self._layouts.get(seen.key) or self._batch(seen.key, [seen]).layout
            self._asked = (seen.key, layout)
        return condition(self._asked[1], seen.step, Peek(seen))

    def flush(self) -> list[Batch]:
        """All that was kept, as batches of consecutive steps; nothing is kept any more."""
        pending, self._pending = self._pending, []
        return [
            self._batch(key, list(group)) for key, group in groupby(pending, lambda seen: seen.key)
        ]

    def _batch(self, key: Hashable, seen: list[Observation]) -> Batch:
        columns = self._columns(seen)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layout(seen[0], tuple(columns))
            remember(self._layouts, key, layout)
        return Batch(layout, seen[0].step, np.stack(list(columns.values())))

    def _layout(self, seen: Observation, columns: tuple[Column, ...]) -> Layout:
        terms, params = seen.terms.plan, seen.params.plan
        return Layout(
            id=next(self._ids),
            sites=terms.sites,
            params=params.infos,
            columns=columns,
            note=terms.note,
            modules=params.modules,
        )

    def _columns(self, seen: list[Observation]) -> dict[Column, Floats]:
        loss = np.array([np.nan if one.loss is None else one.loss for one in seen])
        own = {} if seen[0].loss is None else {"loss": loss}
        own["seconds"] = np.array([one.seconds for one in seen])
        for index in range(len(seen[0].parts)):
            own[f"loss[{index}]"] = np.array([one.parts[index] for one in seen])
        columns = {Column("step", "", name): values for name, values in own.items()}
        rows = kept_table([one.terms.row for one in seen])
        columns |= seen[0].terms.plan.columns(rows, loss)
        return columns | seen[0].params.plan.columns([one.params for one in seen])
