"""The columns of a run, and windows of them reduced to a width; no spike is ever lost.

Only one place appends to a history; everything on the screen reads from it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tui_elbo.model.records import Batch, Column, Floats, Layout, StepRecord, record_of


class History:
    """Every number of every step so far, by column. Steps are 1-based."""

    def __init__(self) -> None:
        self.last = 0
        """The newest step; 0 when there is none."""
        self.layout: Layout | None = None
        """That of the newest step that was read whole, if there is one; else of the newest."""
        self._columns: dict[Column, Floats] = {}
        self._starts: list[int] = []
        self._layouts: list[Layout] = []

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column that any step has had."""
        return tuple(self._columns)

    def append(self, batch: Batch) -> None:
        """Take in the steps that come next.

        Raises:
            ValueError: if the batch does not begin where the history ends.
        """
        if batch.first != self.last + 1:
            raise ValueError(f"steps from {batch.first} on after step {self.last}")
        end = self.last + batch.steps
        for row, column in enumerate(batch.layout.columns):
            self._room(column, end)[self.last : end] = batch.values[row]
        if not self._layouts or self._layouts[-1] is not batch.layout:
            self._starts.append(batch.first)
            self._layouts.append(batch.layout)
            if self.layout is None or not batch.layout.skimmed:
                self.layout = batch.layout
        self.last = end

    def forget_after(self, step: int) -> None:
        """Drop the steps after this one: the run has been taken back to it."""
        if step >= self.last:
            return
        for stored in self._columns.values():
            stored[step : self.last] = np.nan
        kept = bisect_right(self._starts, step)
        del self._starts[kept:], self._layouts[kept:]
        whole = (layout for layout in reversed(self._layouts) if not layout.skimmed)
        self.layout = next(whole, self._layouts[-1] if self._layouts else None)
        self.last = step

    def copy(self) -> History:
        """A history of the same steps that goes its own way."""
        other = History()
        other.last, other.layout = self.last, self.layout
        other._columns = {
            name: stored[: self.last].copy() for name, stored in self._columns.items()
        }
        other._starts, other._layouts = self._starts[:], self._layouts[:]
        return other

    def batches(self) -> list[Batch]:
        """All of it, as batches of consecutive steps of one layout."""
        return [
            Batch(
                layout,
                first,
                np.array([self.values(column)[first - 1 : last] for column in layout.columns]),
            )
            for first, last, layout in self.stretches()
        ]

    def values(self, column: Column) -> Floats:
        """The column's numbers, index `step - 1`; NaN where a step lacks it. Not to be written."""
        stored = self._columns.get(column)
        if stored is None or len(stored) < self.last:
            return np.array(self._room(column, self.last)[: self.last])
        return stored[: self.last]

    def has(self, column: Column) -> npt.NDArray[np.bool_]:
        """Whether each step has such a column, index `step - 1`."""
        stretches = list(self.stretches())
        held = [column in layout.index for _, _, layout in stretches]
        return np.repeat(
            np.array(held, dtype=bool), [last - first + 1 for first, last, _ in stretches]
        )

    def skimmed(self) -> npt.NDArray[np.bool_] | None:
        """Whether only the loss of each step was read, index `step - 1`; None: of no step."""
        if not any(layout.skimmed for layout in self._layouts):
            return None
        stretches = list(self.stretches())
        held = [layout.skimmed for _, _, layout in stretches]
        return np.repeat(held, [last - first + 1 for first, last, _ in stretches])

    def layout_at(self, step: int) -> Layout | None:
        """The layout of that step; None if there is no such step."""
        if not 1 <= step <= self.last:
            return None
        return self._layouts[bisect_right(self._starts, step) - 1]

    def stretches(self) -> Iterator[tuple[int, int, Layout]]:
        """Each stretch of steps of one layout: its first and last step, and the layout."""
        ends = [start - 1 for start in self._starts[1:]] + [self.last]
        return zip(self._starts, ends, self._layouts, strict=False)

    def record(self, step: int) -> StepRecord | None:
        """Everything about that step; None if there is no such step."""
        layout = self.layout_at(step)
        if layout is None:
            return None
        numbers = np.array([self._columns[column][step - 1] for column in layout.columns])
        return record_of(layout, step, numbers)

    def _room(self, column: Column, size: int) -> Floats:
        stored = self._columns.get(column)
        if stored is None or len(stored) < size:
            grown = np.full(max(1024, size + size // 2), np.nan)
            if stored is not None:
                grown[: len(stored)] = stored
            self._columns[column] = stored = grown
        return stored


@dataclass(frozen=True, eq=False)
class Window:
    """A stretch of a column, reduced to so many buckets of consecutive steps.

    Every array has one entry a bucket. A bucket without a finite number has NaN in `low`, `high`
    and `mean`.
    """

    step: Floats
    """The bucket's first step."""
    low: Floats
    high: Floats
    mean: Floats
    finite: Floats
    """How many of the bucket's numbers are finite."""
    broken: Floats
    """How many of the bucket's numbers are not finite."""


def window(values: Floats, first: int, last: int, width: int, span: int | None = None) -> Window:
    """Reduce the steps `first` to `last` (1-based, both in) to at most `width` buckets.

    Each bucket keeps the minimum and the maximum of its finite numbers, so a spike of one step is
    never lost. With no more steps than buckets, each step is a bucket.

    Args:
        values: the column, index `step - 1`.
        first: the first step of the window.
        last: the last step; the column may end before it.
        width: how many buckets.
        span: how many steps the buckets together stand for, those to come included; as many as
            there are if None or fewer. While it holds, a bucket keeps its place and its steps.
    """
    part = values[first - 1 : last]
    span = max(span or 0, len(part))
    count = min(width, span)
    if count <= 0 or len(part) == 0:
        empty = np.empty(0)
        return Window(empty, empty, empty, empty, empty, empty)
    edges = (np.arange(count) * span) // count
    edges = edges[edges < len(part)]
    step = np.asarray(edges + first, dtype=np.float64)
    sizes = np.diff(np.append(edges, len(part))).astype(np.float64)
    low, high = np.minimum.reduceat(part, edges), np.maximum.reduceat(part, edges)
    # Both are NaN where any number is.
    if np.isfinite(low).all() and np.isfinite(high).all():
        return Window(step, low, high, _means(part, edges, sizes), sizes, np.zeros(len(edges)))
    return _gapped(part, edges, step, sizes)


def _gapped(part: Floats, edges: npt.NDArray[np.int64], step: Floats, sizes: Floats) -> Window:
    """The window of numbers some of which are not finite."""
    good = np.isfinite(part)
    finite = np.add.reduceat(good, edges, dtype=np.float64)
    some = finite > 0
    low = np.minimum.reduceat(np.where(good, part, np.inf), edges)
    high = np.maximum.reduceat(np.where(good, part, -np.inf), edges)
    mean = _means(np.where(good, part, 0.0), edges, finite)
    return Window(
        step=step,
        low=np.where(some, low, np.nan),
        high=np.where(some, high, np.nan),
        mean=np.where(some, mean, np.nan),
        finite=finite,
        broken=sizes - finite,
    )


def mean(values: Floats) -> float:
    """The mean of at least one number; large ones do not overflow their sum."""
    with np.errstate(over="ignore", invalid="ignore"):
        plain = float(np.mean(values))
        return plain if np.isfinite(plain) else float(np.sum(values / len(values)))


def _means(part: Floats, edges: npt.NDArray[np.int64], counts: Floats) -> Floats:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        means: Floats = np.add.reduceat(part, edges) / counts
        if np.isfinite(means[counts > 0]).all():
            return means
        # Divided term by term, numbers near the largest float do not overflow their sum.
        shares = np.repeat(counts, np.diff(np.append(edges, len(part))))
        careful: Floats = np.add.reduceat(part / shares, edges)
        return careful
