"""Which rows the table of parameters has, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import prod

import numpy as np

from tui_elbo.model.history import History
from tui_elbo.model.records import MAX_ELEMENTS, Column, Layout, ModuleInfo, ParamInfo, Role

ORDERS = ("as in the store", "largest movement first")

RECENT = 100
"""So many steps back a movement is looked for."""

SUMS_KEPT = 2_000
"""So many steps after they were taken sums are still shown."""


@dataclass(frozen=True)
class Row:
    """A parameter, or several of a module that are summed up."""

    kind: str
    """`param` or `module`: that of its columns."""
    name: str
    role: Role
    shape: tuple[int, ...]
    """Of a module, the number of all its elements."""
    recorded: bool = True
    """Whether it has columns."""
    params: int = 1
    """How many parameters it stands for."""

    @property
    def label(self) -> str:
        """What it is called on the screen."""
        return self.name or "everything"

    @property
    def size(self) -> int:
        """How many elements."""
        return prod(self.shape)

    @property
    def summed(self) -> bool:
        """Whether there are sums of it and not each element."""
        return self.kind == "module" or self.size > MAX_ELEMENTS

    @property
    def fields(self) -> tuple[str, ...]:
        """What its value is recorded as."""
        return ("mean",) if self.summed else tuple(f"value[{i}]" for i in range(self.size))

    def column(self, field: str) -> Column:
        """The column of one of its numbers."""
        return Column("module" if self.kind == "module" else "param", self.name, field)

    def taken(self, layout: Layout, field: str) -> bool:
        """Whether a step of that layout has this number of its own."""
        return self.column(field) in layout.index

    def at(self, history: History, layout: Layout, field: str, step: int) -> float | None:
        """One of its numbers at a step of that layout; None if it has none.

        Sums are not taken at every step of a run; then it is that taken last before.
        """
        column = self.column(field)
        if step < 1 or not self.recorded:
            return None
        if column in layout.index:
            return float(history.values(column)[step - 1])
        if not self.summed:
            return None
        earlier = history.values(column)[max(0, step - SUMS_KEPT) : step]
        known = earlier[np.isfinite(earlier)]
        return float(known[-1]) if len(known) else None


def rows(layout: Layout, filtered: str, watched: Collection[str]) -> list[Row]:
    """The rows of a layout, in the order of the store; those watched first.

    Parameters that are summed up in modules have rows of their own only where a filter asks for
    them.

    Args:
        layout: which parameters there are.
        filtered: what a name must have in it, whatever the capitals.
        watched: names of parameters.
    """
    part = filtered.casefold()
    whole = {column.name for column in layout.columns if column.kind == "param"}
    found = [_of_module(module) for module in layout.modules]
    for info in layout.params:
        recorded = info.name in whole or not layout.modules
        if recorded or part:
            found.append(_of_param(info, recorded=recorded))
    found = [row for row in found if part in row.name.casefold()]
    return sorted(found, key=lambda row: row.name not in watched or row.kind == "module")


def by_movement(
    found: Iterable[Row], history: History, layout: Layout, step: int, watched: Collection[str]
) -> list[Row]:
    """The rows by how far they move in a step, the largest first; those watched before all."""
    return sorted(
        found, key=lambda row: (row.name not in watched, -_movement(row, history, layout, step))
    )


def _movement(row: Row, history: History, layout: Layout, step: int) -> float:
    """Its mean update in unconstrained space over the last steps; −1 if nothing is known of it."""
    if not row.recorded or not (row.summed or row.taken(layout, "update_norm")):
        return -1.0
    recent = history.values(row.column("update_norm"))[max(0, step - RECENT) : step]
    known = recent[np.isfinite(recent)]
    return float(known.mean()) if len(known) else -1.0


def _of_param(info: ParamInfo, *, recorded: bool) -> Row:
    return Row("param", info.name, info.role, info.shape, recorded)


def _of_module(info: ModuleInfo) -> Row:
    return Row("module", info.name, info.role, (info.size,), params=info.params)
