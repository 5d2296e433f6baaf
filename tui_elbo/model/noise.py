"""The noise of the gradient: which estimator and how many particles give least for their time.

`tui_elbo.engine.noise` measures; this is what it finds, in numbers and in words. The figure that
matters is noise² × time: averaging n gradients costs n times as much and has 1/n of the variance,
so it says what a gradient of a given precision costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tui_elbo.model.records import Floats
from tui_elbo.model.tuning import Tuning

SECONDS = 10.0
"""How long a measurement takes, by default."""

USUAL, SURE = 2.0, 3.0
"""Standard errors: of an interval that is shown, and of one that advice is given on."""

WORTH = 1.1
"""A setting is advised that costs less by this factor at least."""

UNIT = "nats per unit of the unconstrained parameters"


@dataclass(frozen=True)
class NoiseRow:
    """One estimator with a number of particles."""

    estimator: str
    particles: int
    vectorized: bool = False
    present: bool = False
    """Whether the run uses it."""
    problem: str = ""
    """Why it has no numbers, in words; empty when it has."""
    noise: float = math.nan
    """Standard deviation of the gradient: root of the sum of the variances of all elements."""
    draw_noise: float = math.nan
    """What the draws of the guide contribute; with `batch_noise` the squares add up to `noise`²."""
    batch_noise: float = math.nan
    """What the choice of the data contributes; NaN where there is no choice."""
    seconds: float = math.nan
    """Of a step: the batch, the loss with its gradient, and the update."""
    cost: float = math.nan
    """noise² × time, relative to the row that `NoiseTable.base` names."""
    cost_error: float = math.nan
    """Standard error of its logarithm."""
    bias: float = math.nan
    """Norm of the mean gradient less that of the other settings, without what noise adds to it;
    NaN where there is none to compare with."""
    bias_error: float = math.nan
    """What noise alone makes of that norm."""
    biased: bool = False
    """Whether that is more than noise."""
    gradients: int = 0
    """How many gradients the noise was measured with; 0: it follows from that of one particle."""

    @property
    def name(self) -> str:
        """Such as `Trace_ELBO, 10 particles vectorised`."""
        text = self.estimator
        if self.particles > 1:
            text += f", {self.particles} particles" + (" vectorised" if self.vectorized else "")
        return text

    def interval(self, errors: float = USUAL) -> tuple[float, float]:
        """Bounds of `cost`, so many standard errors away."""
        width = math.exp(min(errors * self.cost_error, 500.0))
        return self.cost / width, self.cost * width


@dataclass(frozen=True, eq=False)
class NoiseTable:
    """What was measured at one state of a run."""

    step: int
    """The state after this step."""
    rows: tuple[NoiseRow, ...] = ()
    base: int = 0
    """The row that costs are relative to: the present one, unless that has another objective."""
    params: tuple[str, ...] = ()
    """The parameters, by name."""
    by_param: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """Shape (rows, params): the standard deviation of the gradient of each; NaN if not known."""
    why_none: str = ""
    """Why nothing could be measured, in words; empty when something was."""
    remarks: tuple[str, ...] = ()
    """What is to be known of the numbers."""
    advises: bool = True
    """Whether another setting may be advised: not where the present objective is another one."""

    def __post_init__(self) -> None:
        if self.by_param.shape not in {(len(self.rows), len(self.params)), (0, 0)}:
            raise ValueError(f"noise of shape {self.by_param.shape}")

    @property
    def present(self) -> NoiseRow | None:
        """The row of the setting in use."""
        return next((row for row in self.rows if row.present), None)

    @property
    def has_batches(self) -> bool:
        """Whether the choice of the data adds noise."""
        return any(math.isfinite(row.batch_noise) for row in self.rows)

    @property
    def best(self) -> NoiseRow | None:
        """The setting to advise: surely cheaper for the same noise, and with no bias seen."""
        present = self.present
        if not self.advises or present is None or not present.noise > 0 or present.biased:
            return None
        better = [row for row in self.rows if _is_better(row)]
        return min(better, key=lambda row: row.cost, default=None)

    @property
    def advice(self) -> str:
        """One line on what would help; never empty."""
        if self.why_none:
            return f"The noise cannot be measured: {self.why_none}."
        present, best = self.present, self.best
        if present is None or present.problem:
            why = "it is not in the table" if present is None else present.problem
            return f"The present setting could not be measured: {why}."
        return f"{best.name}: {_gain(best)}." if best is not None else self._no_advice(present)

    def _no_advice(self, present: NoiseRow) -> str:
        if present.noise == 0:
            return "The gradient of the present setting has no noise: no other setting is needed."
        if not self.advises:
            return f"{present.name} has an objective of its own: no other setting is advised."
        if present.biased:
            return (
                f"{present.name}: its mean gradient differs from that of the other estimators by "
                f"{number(present.bias)} ± {number(present.bias_error, 1)} {UNIT}."
            )
        return "No other setting is clearly better than the present one."

    def tuning(self, row: NoiseRow) -> Tuning | None:
        """What changes the present setting to that of a row; None if nothing does."""
        present = self.present
        if present is None or row.problem or row.present:
            return None
        other = row.vectorized if row.particles > 1 else present.vectorized
        return Tuning(
            particles=row.particles if row.particles != present.particles else None,
            estimator=row.estimator if row.estimator != present.estimator else None,
            vectorize=other if other != present.vectorized else None,
        )

    def record(self) -> dict[str, Any]:
        """The same for JSON."""
        rows = [self._row_record(row, place) for place, row in enumerate(self.rows)]
        best = self.best
        return {
            "step": self.step,
            "settings": rows,
            "relative_to": self.rows[self.base].name if self.rows else None,
            "advice": {
                "text": self.advice,
                "estimator": best.estimator if best else None,
                "particles": best.particles if best else None,
                "vectorized": best.vectorized if best else None,
                "factor": _finite(1 / best.cost) if best and best.cost > 0 else None,
            },
            "remarks": list(self.remarks),
        }

    def _row_record(self, row: NoiseRow, place: int) -> dict[str, Any]:
        low, high = row.interval()
        by_param = self.by_param[place] if len(self.by_param) else []
        return {
            "estimator": row.estimator,
            "particles": row.particles,
            "vectorized": row.vectorized,
            "present": row.present,
            "problem": row.problem or None,
            "noise": _finite(row.noise),
            "draw_noise": _finite(row.draw_noise),
            "batch_noise": _finite(row.batch_noise),
            "seconds": _finite(row.seconds),
            "cost": {"value": _finite(row.cost), "interval": [_finite(low), _finite(high)]},
            "bias": {
                "value": _finite(row.bias),
                "error": _finite(row.bias_error),
                "significant": row.biased,
            },
            "gradients": row.gradients,
            "params": {
                name: _finite(float(value))
                for name, value in zip(self.params, by_param, strict=False)
            },
        }


def unmeasured(step: int, why: str) -> NoiseTable:
    """The table where nothing could be measured."""
    return NoiseTable(step, why_none=why)


def _is_better(row: NoiseRow) -> bool:
    if row.problem or row.present or row.biased or not math.isfinite(row.cost):
        return False
    if row.cost == 0:
        return True
    return row.cost * WORTH <= 1 and row.interval(SURE)[1] < 1


def _gain(row: NoiseRow) -> str:
    if row.cost == 0:
        return "its gradient has no noise at all"
    low, high = row.interval()
    return (
        f"{number(1 / row.cost)} × less time for the same noise "
        f"({number(1 / high)} to {number(1 / low)})"
    )


NAME, COUNT, CELL, MILLISECONDS, COST = 19, 8, 7, 7, 18
"""Widths of the columns."""


def head(table: NoiseTable) -> list[str]:
    """The names of the columns."""
    parts = ["noise", *(["draw", "batch"] if table.has_batches else [])]
    cells = "".join(f"{part:>{CELL}}" for part in parts) + f"{'ms':>{MILLISECONDS}}"
    name = f"  {'estimator':{NAME - 1}}{'particles':>{COUNT + 1}}"
    return [f"{name}{cells}  {'noise² × time':{COST}}  bias"]


def row_line(table: NoiseTable, row: NoiseRow) -> str:
    """A row of the table."""
    particles = f"{row.particles}" + (" vec" if row.vectorized and row.particles > 1 else "")
    text = f"{'*' if row.present else ' '} {row.estimator:{NAME}}{particles:>{COUNT}}"
    if row.problem:
        return f"{text}  {row.problem}"
    values = [row.noise, *([row.draw_noise, row.batch_noise] if table.has_batches else [])]
    text += "".join(f"{number(value):>{CELL}}" for value in values)
    text += f"{number(1000 * row.seconds):>{MILLISECONDS}}"
    return f"{text}  {_cost(table, row):{COST}}  {_bias(row)}".rstrip()


def _cost(table: NoiseTable, row: NoiseRow) -> str:
    if table.rows[table.base] is row:
        return "1"
    if not math.isfinite(row.cost):
        return ""
    if row.cost == 0 or not math.isfinite(row.cost_error):
        return number(row.cost, 2)
    low, high = row.interval()
    return f"{number(row.cost, 2)} ({number(low, 2)}-{number(high, 2)})"


def _bias(row: NoiseRow) -> str:
    if not math.isfinite(row.bias):
        return ""
    mark = " !" if row.biased else ""
    return f"{number(row.bias, 2)}±{number(row.bias_error, 1)}{mark}"


def param_lines(table: NoiseTable, rows: Sequence[NoiseRow], most: int = 20) -> Iterator[str]:
    """The noise of each parameter in these rows, the noisiest in the first one first."""
    places = [place for place, row in enumerate(table.rows) if any(row is one for one in rows)]
    if not places or not table.params:
        return
    order = np.argsort(-np.nan_to_num(table.by_param[places[0]]), kind="stable")[:most]
    width = max(9, *(len(table.params[i]) for i in order))
    yield f"  {'parameter':{width}}" + "".join(f"  {table.rows[p].name}" for p in places)
    for i in order:
        cells = (f"  {number(v):>{len(table.rows[p].name)}}" for p, v in _of(table, places, i))
        yield f"  {table.params[i]:{width}}" + "".join(cells)
    if len(table.params) > most:
        yield f"  and {len(table.params) - most} more"


def _of(table: NoiseTable, places: Sequence[int], index: int) -> Iterator[tuple[int, float]]:
    for place in places:
        yield place, float(table.by_param[place, index])


def number(value: float, digits: int = 3) -> str:
    """So many digits that count."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 0.001:
        return f"{value:.{digits - 1}e}"
    after = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{after}f}" if after > 0 else f"{round(value, after):,.0f}"


def _finite(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return float(value) if math.isfinite(value) else None
