"""The columns of a run as a table: `elbo-tui run --csv`, and `x` in the explorer.

Sites and parameters may come and go from step to step, and a header comes first; so the steps are
kept, at eight bytes a number, and the table is written when the run ends, however it ends. `--json`
writes each step as it is made.
"""

from __future__ import annotations

import csv
import math
from typing import TextIO

import numpy as np

from tui_elbo.model.records import FIELDS, KINDS, Batch, Column, Floats, Layout
from tui_elbo.model.text import safe

OWN = tuple(name for name, field in FIELDS["step"].items() if not field.optional)
"""The step's own columns that every table has, after `step`."""


class CsvTable:
    """Keeps steps, and at the end prints them as CSV, one a row.

    The header has `step`, the step's own numbers, `sites.NAME.log_p`, `params.NAME.value[0]`… and,
    where there are too many parameters, `modules.NAME.mean`…, each that any printed step has.
    Floats read back to the same float; what a step lacks, and what is not finite, is empty.

    Args:
        out: where to.
        every: each so many-th step is printed, and the last.
    """

    def __init__(self, out: TextIO, every: int) -> None:
        self._out, self._every = out, every
        self._kept: list[tuple[Layout, list[int], Floats]] = []
        self._newest: Batch | None = None

    def take(self, batches: list[Batch], last: bool) -> None:  # noqa: ARG002
        """Keep those of the steps that are to be printed."""
        for batch in batches:
            picked = [i for i in range(batch.steps) if (batch.first + i) % self._every == 0]
            self._keep(batch, picked)
            self._newest = batch

    def close(self) -> None:
        """Print the table."""
        if self._newest is not None:
            end = self._newest.steps - 1
            if (self._newest.first + end) % self._every:
                self._keep(self._newest, [end])
        columns = self._columns()
        writer = csv.writer(self._out, lineterminator="\n")
        writer.writerow(["step", *(safe(str(column)) for column in columns)])
        for layout, steps, values in self._kept:
            rows = [layout.index.get(column) for column in columns]
            for step, numbers in zip(steps, values.T.tolist(), strict=True):
                writer.writerow([step, *(_cell(numbers, row) for row in rows)])
        self._out.flush()

    def _keep(self, batch: Batch, picked: list[int]) -> None:
        if picked:
            steps = [batch.first + i for i in picked]
            self._kept.append((batch.layout, steps, np.array(batch.values[:, picked])))

    def _columns(self) -> list[Column]:
        """Every column, in the order of first appearance, a site's and a parameter's together."""
        found = dict.fromkeys(Column("step", "", field) for field in OWN)
        for layout, _, _ in self._kept:
            found |= dict.fromkeys(layout.columns)
        place: dict[tuple[str, str], int] = {}
        for column in found:
            place.setdefault((column.kind, column.name), len(place))
        return sorted(found, key=lambda c: (KINDS.index(c.kind), place[c.kind, c.name]))


def _cell(numbers: list[float], row: int | None) -> str:
    if row is None or not math.isfinite(numbers[row]):
        return ""
    return repr(numbers[row])
