"""Short runs at other learning rates from one state, and which rate gains most.

`tui_elbo.engine.noise.rate_scan` takes them; this is what it finds, in numbers and in words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tui_elbo.model.noise import SURE, number
from tui_elbo.model.tuning import Tuning

SCAN = "scan"
"""What a person types to have the learning rates scanned."""

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the present rate."""

LEAST_GAIN = 0.01
"""Nats: a rate that gains less is not offered."""


@dataclass(frozen=True)
class RateRow:
    """What runs with one rate have come to."""

    factor: float
    """Of the present rate."""
    lr: float
    gain: float = math.nan
    """The ELBO at their end less that at the end of the runs with the present rate: nats."""
    error: float = math.nan
    """Its standard error: by the luck of the runs and by the lens's draws."""
    problem: str = ""
    """Why there is none, in words; empty when there is."""

    @property
    def clear(self) -> bool:
        """Whether it is better than the present rate by more than its error."""
        return not self.problem and self.gain > max(SURE * self.error, LEAST_GAIN)


@dataclass(frozen=True)
class RateScan:
    """What was found from one state of a run."""

    step: int
    """The state after this step."""
    steps: int = 0
    """How long each run was."""
    runs: int = 0
    """How many runs each rate had, with the same random numbers as the other rates."""
    rows: tuple[RateRow, ...] = ()
    advance: float = math.nan
    """What the runs with the present rate have gained on the state where they began: nats."""
    advance_error: float = math.nan
    why_none: str = ""
    """Why nothing could be found, in words; empty when something was."""

    @property
    def best(self) -> RateRow | None:
        """The rate to offer."""
        clear = [row for row in self.rows if row.clear]
        return max(clear, key=lambda row: row.gain, default=None)

    @property
    def advice(self) -> str:
        """One line on what would help; never empty."""
        if self.why_none:
            return f"The learning rates cannot be scanned: {self.why_none}."
        within = f"in the next {self.steps} steps"
        best = self.best
        if best is None:
            return f"No rate is clearly better than the present one {within}."
        return (
            f"lr {best.lr:g}: {number(best.gain, 2)} ± {number(best.error, 1)} nats more than with "
            f"the present rate {within}."
        )

    def tuning(self, row: RateRow) -> Tuning | None:
        """What changes to the rate of a row; None for the present one and one that failed."""
        return None if row.factor == 1 or row.problem else Tuning(lr=row.lr)

    def record(self) -> dict[str, Any]:
        """The same for JSON."""
        best = self.best
        return {
            "step": self.step,
            "steps": self.steps,
            "runs": self.runs,
            "advance": {"value": _finite(self.advance), "mcse": _finite(self.advance_error)},
            "rates": [
                {
                    "factor": row.factor,
                    "lr": row.lr,
                    "gain": {"value": _finite(row.gain), "mcse": _finite(row.error)},
                    "problem": row.problem or None,
                }
                for row in self.rows
            ],
            "advice": {"text": self.advice, "lr": best.lr if best else None},
        }


def unscanned(step: int, why: str) -> RateScan:
    """Where nothing could be found."""
    return RateScan(step, why_none=why)


def scan_head(scan: RateScan) -> list[str]:
    """What was done, and the names of the columns."""
    return [
        f"from step {scan.step}: {scan.runs} runs of {scan.steps} steps with each rate, at the "
        "same random numbers",
        f"  {'lr':>10}{'rate':>9}   ELBO more than with the present rate, nats",
    ]


def scan_line(row: RateRow) -> str:
    """A row of the table."""
    text = f"{'*' if row.factor == 1 else ' '} {row.lr:>10.4g}{f'× {row.factor:g}':>9}   "
    if row.problem:
        return text + row.problem
    if row.factor == 1:
        return f"{text}0, the present rate"
    return f"{text}{number(row.gain, 3)} ± {number(row.error, 1)}"


def scan_foot(scan: RateScan) -> str:
    """What the present rate has gained in its runs."""
    advance = f"{number(scan.advance, 3)} ± {number(scan.advance_error, 1)}"
    return f"With the present rate these {scan.steps} steps change the ELBO by {advance} nats."


def _finite(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return float(value) if math.isfinite(value) else None
