"""Reads an SVI's steps, and turns what was read into batches of columns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import Any, TypeAlias, cast

import numpy as np
from msgspec.structs import replace
from pyro.infer import ELBO
from torch import Tensor

from tui_elbo.engine.record.columns import Formulas, Observation, Steps, put_bounded
from tui_elbo.engine.record.modules import BUDGET, LEAST
from tui_elbo.engine.record.numbers import kept_number, numbers_table
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.record.params import ParamRecorder
from tui_elbo.engine.record.roles import Roles
from tui_elbo.engine.record.terms import TermRecorder
from tui_elbo.model.records import Batch, Column, Layout

StopTest: TypeAlias = Callable[[Layout, int, Callable[[Column], float]], bool]
"""Whether a step meets a condition: from its layout, its number, and what gives its numbers."""

Observe: TypeAlias = Callable[[Batch, Sequence[Observation], Steps | None], object]
"""Receives a batch as it is made, with the tables that its columns are made of; without any where
its steps were skimmed."""

LOSS, SECONDS = Column("step", "", "loss"), Column("step", "", "seconds")

NOT_READ = (
    "only the loss of this step was read: the steps are so quick that the rest is read at some of "
    "them while no terminal is there"
)


@dataclass(eq=False, slots=True)
class Skimmed:
    """Consecutive steps of which only the loss and the time are known."""

    first: int
    losses: list[float | Tensor]
    seconds: list[float]


class StepRecorder:
    """Reads each step: its terms off the traces, the parameters around the update.

    Args:
        guide: of the SVI.
        estimator: its estimator.
        options: what is kept of single parameters.
    """

    def __init__(self, guide: Any, estimator: ELBO, options: RecordingOptions) -> None:
        self.terms = TermRecorder(estimator, options.timer)
        roles = Roles(
            guide,
            self.terms.model_params,
            self.terms.guide_params,
            lambda: self.terms.traced,
        )
        self.params = ParamRecorder(roles, options, lambda: max(LEAST, BUDGET - self.terms.columns))

    def begin(self, *, due: bool) -> None:
        """A step is about to be taken.

        Args:
            due: whether to take the sums of large parameters.
        """
        self.terms.begin()
        self.params.begin(due=due)

    def finish(
        self, step: int, result: Any, began: float, ended: float, *, reports_loss: bool
    ) -> Observation:
        """A step has been taken.

        Args:
            step: its number.
            result: what `svi.step` returned.
            began: when it did, by `time.perf_counter`.
            ended: likewise.
            reports_loss: whether the result means anything.
        """
        parts = tuple(map(float, result)) if isinstance(result, tuple) else ()
        loss = math.fsum(parts) if parts else kept_number(result)
        terms, params = self.terms.finish(), self.params.finish()
        watching = time.perf_counter() - ended + self.params.before_seconds
        reported = loss if reports_loss else None
        return Observation(step, reported, parts, ended - began, watching, terms, params)


class Collector:
    """Keeps observations until they are asked for, then turns them into numbers together.

    Args:
        ids: a number for each layout that this collector makes; None: from 0 on.
    """

    def __init__(self, ids: Iterator[int] | None = None) -> None:
        self._pending: list[Observation | Skimmed] = []
        self._skimmed: Skimmed | None = None
        self._count = 0
        self._whole: Layout | None = None
        self._skims: dict[int, Layout] = {}
        self._columns: dict[Hashable, tuple[Layout, Formulas]] = {}
        self._ids = count() if ids is None else ids
        self.observe: Observe | None = None

    def add(self, observation: Observation) -> None:
        """Keep one more step."""
        self._pending.append(observation)
        self._skimmed = None
        self._count += 1

    @property
    def may_skim(self) -> bool:
        """Whether a step has been read whole, which says what others are like."""
        return self._whole is not None or bool(self._pending)

    def skim(self, step: int, loss: float | Tensor, seconds: float) -> None:
        """Keep one more step, of which no more is known.

        Args:
            step: its number.
            loss: what it returned.
            seconds: what it took.
        """
        seen = self._skimmed
        if seen is None:
            self._skimmed = seen = Skimmed(step, [], [])
            self._pending.append(seen)
        seen.losses.append(loss)
        seen.seconds.append(seconds)
        self._count += 1

    @property
    def pending(self) -> int:
        """How many steps are kept."""
        return self._count

    def newest_meets(self, condition: StopTest) -> bool:
        """Whether the step that was added last meets a condition; no columns are made for it."""
        seen = self._pending[-1]
        if isinstance(seen, Skimmed):
            return False
        layout, formulas = self._columns_of(seen)
        return condition(layout, seen.step, Steps([seen], formulas).first)

    def flush(self) -> list[Batch]:
        """All that was kept, as batches of consecutive steps; nothing is kept any more."""
        pending, self._pending, self._skimmed, self._count = self._pending, [], None, 0
        batches = []
        for _, group in groupby(pending, _key):
            seen = list(group)
            if isinstance(seen[0], Skimmed):
                batches.append(self._skimmed_batch(seen[0]))
            else:
                batches.append(self._batch(cast("list[Observation]", seen)))
        return batches

    def _skimmed_batch(self, seen: Skimmed) -> Batch:
        whole = self._whole
        assert whole is not None, "steps are skimmed after one that was read whole"
        layout = self._skims.get(whole.id)
        if layout is None:
            layout = replace(
                whole, id=next(self._ids), columns=(LOSS, SECONDS), note=NOT_READ, skimmed=True
            )
            put_bounded(self._skims, whole.id, layout)
        values = np.stack([numbers_table(seen.losses), np.array(seen.seconds)])
        batch = Batch(layout, seen.first, values)
        if self.observe is not None:
            self.observe(batch, (), None)
        return batch

    def _batch(self, seen: list[Observation]) -> Batch:
        layout, formulas = self._columns_of(seen[0])
        self._whole = layout
        steps = Steps(seen, formulas)
        values = np.stack([steps.column(column) for column in layout.columns])
        batch = Batch(layout, seen[0].step, values)
        if self.observe is not None:
            self.observe(batch, seen, steps)
        return batch

    def _columns_of(self, seen: Observation) -> tuple[Layout, Formulas]:
        """The layout of a step, and what defines its columns."""
        known = self._columns.get(seen.key)
        if known is None:
            formulas = seen.formulas()
            known = self._layout(seen, tuple(formulas)), formulas
            put_bounded(self._columns, seen.key, known)
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


def _key(seen: Observation | Skimmed) -> Hashable:
    """Neighbours of equal keys are one batch."""
    return id(seen) if isinstance(seen, Skimmed) else seen.key
