"""What the run-time rules look at: counts and windows over the columns of a run, kept as it goes.

Only sums are kept over the whole run, and of single elements no more than a window: however long a
run is, this stays small, and taking in a batch is a few operations on whole tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tui_elbo.model.records import Batch, Column, Floats, Layout, ParamInfo

WINDOW = 128
"""So many of the newest steps are kept element by element."""


@dataclass(eq=False)
class ParamTrack:
    """What is known of one parameter over all of its steps."""

    info: ParamInfo
    first: int
    """The first step at which it was in the store."""
    summed: bool
    """It has sums only, taken at some steps."""
    steps: int = 0
    """How many steps (of those at which its norms were taken) there are."""
    without: int = 0
    """At how many of them no gradient reached it."""
    zero: int = 0
    """At how many its gradient was exactly zero."""
    still: int = 0
    """At how many the optimiser changed nothing of it."""
    largest_gradient: float = 0.0
    largest_update: float = 0.0
    """Euclidean, of the unconstrained tensor."""
    update: float = np.nan
    """Mean norm of the newest updates."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.info.name


@dataclass(frozen=True)
class Elements:
    """The elements of the small parameters in a step: where each parameter's are."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Of the unconstrained tensors."""
    has_grad: tuple[bool, ...]

    def places(self) -> Iterator[tuple[str, slice, slice | None]]:
        """Each parameter's elements in a table of values and in one of gradients."""
        start = grad_start = 0
        for name, shape, has_grad in zip(self.names, self.shapes, self.has_grad, strict=True):
            end = start + int(np.prod(shape, dtype=np.int64))
            grads = slice(grad_start, grad_start + end - start) if has_grad else None
            grad_start += end - start if has_grad else 0
            yield name, slice(start, end), grads
            start = end


@dataclass(frozen=True, eq=False)
class ElementRows:
    """The elements of consecutive steps."""

    elements: Elements
    first: int
    after: Floats
    """Shape (steps, elements): the unconstrained values after each update."""
    grads: Floats
    """Shape (steps, elements that have a gradient)."""


@dataclass(eq=False)
class Evidence:
    """What has been seen of a run since `since`."""

    since: int = 0
    """Steps after this one count: 0, or where the run was taken back to."""
    last: int = 0
    """The newest step taken in."""
    layout: Layout | None = None
    tracks: dict[str, ParamTrack] = field(default_factory=dict)
    """By name; those that have columns."""
    first_bad: tuple[int, tuple[Column, ...]] | None = None
    """The first step with a number that is not finite, and the columns of those."""
    first_elbo: float = np.nan
    """The median of the ELBO, else of minus the loss, over the first steps."""
    newest: Mapping[Column, float] = field(default_factory=dict)
    """The numbers of the newest step."""
    shapes: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """For each site the first step that visited it, and its batch shape then."""
    varying: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Sites that are not in every step: the first step that differs, and whether it has them."""
    started: dict[str, Floats] = field(default_factory=dict)
    """The elements of each small parameter after the first step at which they were taken in,
    unconstrained."""
    _recent: list[ElementRows] = field(default_factory=list)
    _elements: Elements | None = None
    _layouts: set[int] = field(default_factory=set)
    _rows: dict[int, _NormRows] = field(default_factory=dict)

    def take(self, batch: Batch, rows: ElementRows | None = None) -> None:
        """Take in the next steps.

        Args:
            batch: their columns.
            rows: the elements of the small parameters at the same steps.
        """
        self.layout = batch.layout
        self._note_norms(batch)
        self._note_bad(batch)
        if self.last == self.since:
            self._note_start(batch)
        self.last = batch.first + batch.steps - 1
        self._note_sites(batch)
        if rows is not None and rows.after.size:
            self._note_elements(rows)

    def skim(self, batch: Batch) -> None:
        """Take in of the next steps only whether they are finite."""
        if not batch.layout.skimmed:
            self.layout = batch.layout
        self._note_bad(batch)
        self.last = batch.first + batch.steps - 1

    def recent(self, name: str) -> tuple[Floats, Floats]:
        """The newest unconstrained values and gradients of a small parameter.

        Returns:
            Shapes (steps, elements), the gradients empty where there are none.
        """
        for found, places, grads in self._elements.places() if self._elements else ():
            if found == name:
                after = np.concatenate([rows.after[:, places] for rows in self._recent])
                if grads is None:
                    return after, np.empty((0, after.shape[1]))
                return after, np.concatenate([rows.grads[:, grads] for rows in self._recent])
        return np.empty((0, 0)), np.empty((0, 0))

    @property
    def whole(self) -> bool:
        """Whether every parameter of the store is kept element by element."""
        if self._elements is None or self.layout is None:
            return False
        return {info.name for info in self.layout.params} <= set(self._elements.names)

    def _note_norms(self, batch: Batch) -> None:
        layout = batch.layout
        rows = self._rows.get(layout.id)
        if rows is None:
            rows = self._rows[layout.id] = _NormRows.of(layout)
        updates, grads = rows.numbers(batch)
        taken = np.isfinite(updates) | ~rows.summed[:, None]
        counts = taken.sum(1)
        with np.errstate(invalid="ignore"):
            still = (updates == 0).sum(1)
            zero = (grads == 0).sum(1)
            without = (taken & np.isnan(grads) & ~rows.has_grad[:, None]).sum(1)
            largest = np.where(np.isfinite(updates), updates, 0.0).max(1, initial=0.0)
            steepest = np.where(np.isfinite(grads), grads, 0.0).max(1, initial=0.0)
        for index, info in enumerate(rows.infos):
            track = self.tracks.get(info.name)
            if track is None:
                summed = bool(rows.summed[index])
                track = self.tracks[info.name] = ParamTrack(info, batch.first, summed)
            track.info = info
            track.steps += int(counts[index])
            track.still += int(still[index])
            track.zero += int(zero[index])
            track.without += int(without[index])
            track.largest_update = max(track.largest_update, float(largest[index]))
            track.largest_gradient = max(track.largest_gradient, float(steepest[index]))
            known = updates[index][np.isfinite(updates[index])]
            if known.size:
                track.update = float(known[-16:].mean())

    def _note_start(self, batch: Batch) -> None:
        for sign, field_ in ((1.0, "elbo"), (-1.0, "loss")):
            row = batch.layout.index.get(Column("step", "", field_))
            if row is not None:
                self.first_elbo = sign * float(np.median(batch.values[row, :5]))
                return

    def _note_sites(self, batch: Batch) -> None:
        if batch.layout.id in self._layouts:
            return
        names = {site.name for site in batch.layout.sites}
        for name in sorted(names ^ self.shapes.keys()) if self._layouts else ():
            self.varying.setdefault(name, (batch.first, name in names))
        self._layouts.add(batch.layout.id)
        for site in batch.layout.sites:
            self.shapes.setdefault(site.name, (batch.first, site.batch_shape))

    def _note_bad(self, batch: Batch) -> None:
        last = batch.values[:, -1].tolist() if batch.steps else []
        self.newest = dict(zip(batch.layout.columns, last, strict=False))
        if self.first_bad is not None:
            return
        bad = ~np.isfinite(batch.values)
        judged = np.array([_is_judged(column) for column in batch.layout.columns], dtype=bool)
        bad &= judged[:, None]
        steps = np.flatnonzero(bad.any(axis=0))
        if steps.size:
            at = int(steps[0])
            columns = tuple(
                column for column, one in zip(batch.layout.columns, bad[:, at], strict=True) if one
            )
            self.first_bad = batch.first + at, columns

    def _note_elements(self, rows: ElementRows) -> None:
        if self._elements is not None and self._elements != rows.elements:
            self._recent = []
        if self._elements != rows.elements:
            for name, places, _ in rows.elements.places():
                self.started.setdefault(name, rows.after[0, places].copy())
        self._elements = rows.elements
        self._recent.append(rows)
        count = sum(len(one.after) for one in self._recent)
        while len(self._recent) > 1 and count - len(self._recent[0].after) >= WINDOW:
            count -= len(self._recent.pop(0).after)


@dataclass(frozen=True, eq=False)
class _NormRows:
    """Where the norms of a layout's parameters are in its batches."""

    infos: tuple[ParamInfo, ...]
    updates: list[int]
    grads: list[int]
    """−1 where nothing has reached the parameter."""
    summed: np.ndarray
    has_grad: np.ndarray

    @classmethod
    def of(cls, layout: Layout) -> _NormRows:
        index = layout.index
        infos = tuple(
            info
            for info in layout.params
            if Column("param", info.name, "value[0]") in index
            or Column("param", info.name, "update_norm") in index
        )
        updates = [index.get(Column("param", info.name, "update_norm"), -1) for info in infos]
        grads = [index.get(Column("param", info.name, "grad_norm"), -1) for info in infos]
        small = [Column("param", info.name, "value[0]") in index for info in infos]
        return cls(
            infos,
            updates,
            grads,
            summed=~np.array(small, dtype=bool),
            has_grad=np.array(grads, dtype=np.int64) >= 0,
        )

    def numbers(self, batch: Batch) -> tuple[Floats, Floats]:
        """The norms of updates and gradients, (params, steps); NaN where there is none."""
        table = np.vstack([batch.values, np.full((1, batch.steps), np.nan)])
        return table[self.updates], table[self.grads]


def _is_judged(column: Column) -> bool:
    """Whether a number that is not finite is a fault."""
    if column.kind == "step":
        return column.field in ("loss", "elbo")
    if column.kind == "site":
        return True
    return column.field.startswith("value[") or column.field == "grad_norm"
