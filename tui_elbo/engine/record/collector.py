"""From what was read off each step to batches of columns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from itertools import groupby
from typing import TypeAlias

import numpy as np

from tui_elbo.engine.record.cache import remember
from tui_elbo.engine.record.columns import Formulas, Observation, Steps
from tui_elbo.model.records import Batch, Column, Layout

Meets: TypeAlias = Callable[[Layout, int, Callable[[Column], float]], bool]
"""Whether a step meets a condition: from its layout, its number, and what gives its numbers."""


class Collector:
    """Keeps observations until they are asked for, then turns them into numbers together.

    Args:
        ids: a number for each layout that this collector makes.
    """

    def __init__(self, ids: Iterator[int]) -> None:
        self._pending: list[Observation] = []
        self._columns: dict[Hashable, tuple[Layout, Formulas]] = {}
        self._ids = ids

    def add(self, observation: Observation) -> None:
        """Keep one more step."""
        self._pending.append(observation)

    def newest_meets(self, condition: Meets) -> bool:
        """Whether the step that was added last meets a condition; no columns are made for it."""
        seen = self._pending[-1]
        layout, formulas = self._columns_of(seen)
        return condition(layout, seen.step, Steps([seen], formulas).first)

    def flush(self) -> list[Batch]:
        """All that was kept, as batches of consecutive steps; nothing is kept any more."""
        pending, self._pending = self._pending, []
        return [self._batch(list(group)) for _, group in groupby(pending, lambda seen: seen.key)]

    def _batch(self, seen: list[Observation]) -> Batch:
        layout, formulas = self._columns_of(seen[0])
        steps = Steps(seen, formulas)
        return Batch(layout, seen[0].step, np.stack([steps.column(c) for c in layout.columns]))

    def _columns_of(self, seen: Observation) -> tuple[Layout, Formulas]:
        """The layout of a step, and what defines its columns."""
        known = self._columns.get(seen.key)
        if known is None:
            formulas = seen.formulas()
            known = self._layout(seen, tuple(formulas)), formulas
            remember(self._columns, seen.key, known)
        return known

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
