"""Which runs of a sweep cannot catch up with the best, and may be dropped.

At doublings of the steps each run is seen at the mean of its newest iterates, which leaves out the
noise of single ones, by draws that all runs share. What a run can still gain is bounded by the
verdict's "at most so much is left", and, where it improves, by its pace, which may go on growing
as it has grown since the doubling before. The pace falls as what is left does; a pace that falls
faster bounds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tui_elbo.model.comparison import Evaluation, difference, why_not_comparable
from tui_elbo.model.verdict import LEAST_STEPS, Verdict

ERRORS = 4.0
"""Standard errors of the difference: there are many runs, and many doublings."""

LEFT_MARGIN = 1.5
"""So many times what is left at most may turn out to be left."""

PACE_MARGIN = 1.5
"""So many times what its pace promises a run may gain."""

STEADY = 0.8
"""Of its pace, as a part of what is left, a run must have kept so much for the pace to bound its
gain: else what it gains now is another thing than what is left."""

MOST_TIMES = 1.5
"""For so many time constants, margin included, it is counted on that the pace falls as what is left
does. A run whose steps do not shrink gets there after finite time."""

DOUBLINGS = 4
"""The first comparison is at a sixteenth of the steps."""


def comparison_steps(steps: int) -> tuple[int, ...]:
    """After which steps runs of so many steps are compared: doublings, none of them the last."""
    found, step = [], max(-(-steps // 2**DOUBLINGS), LEAST_STEPS)
    while step < steps:
        found.append(step)
        step *= 2
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Standing:
    """A run at a comparison, or at its end."""

    at_mean: Evaluation
    """At the mean of its newest iterates; at its last step if it has ended."""
    verdict: Verdict
    remaining: int
    """Steps that it would still take; 0 if it has ended."""
    rate_decays: bool = False
    """Whether its learning rate changes by itself."""
    before: Verdict | None = None
    """At the comparison before; None at the first."""

    @property
    def gain(self) -> float:
        """At most so many nats its iterates can still gain, above the mean of the newest ones.

        Infinite where it is not known.
        """
        if not self.remaining:
            return 0.0
        found = LEFT_MARGIN * self.verdict.left_high
        if self.before is not None:
            found = min(found, pace_gain(self.before, self.verdict, self.remaining))
        return found if self.rate_decays else found - max(self._noise_low, 0.0) / 2

    @property
    def loss(self) -> float:
        """At most so many nats its iterates will lie below the mean of the newest ones, at its end.

        Infinite where it may get worse.
        """
        if not self.remaining:
            return 0.0
        if self.verdict.state not in ("improving", "stationary", "stopped"):
            return math.inf
        return 2 * max(self._noise_high, 0.0)

    @property
    def _noise_low(self) -> float:
        gain = self.verdict.rate_gain
        return 0.0 if gain is None else gain.low

    @property
    def _noise_high(self) -> float:
        gain = self.verdict.rate_gain
        return 0.0 if gain is None else gain.high


def pace_gain(before: Verdict, now: Verdict, remaining: int) -> float:
    """At most so many nats would be gained, above the mean of the newest iterates, if the pace went
    on growing as it has grown.

    The pace is taken for as high now, and as low before, as their errors allow. A run that leaves a
    plateau grows exponentially at first, and more slowly then. Where the pace has kept step with
    what is left, it falls as that falls. Infinite where no pace is known; and where the pace has
    fallen faster: what the run gains is then another thing than what is left, and a plateau may lie
    ahead that it leaves in the end.

    Args:
        before: of the run, at an earlier step.
        now: the same later.
        remaining: steps that it would still take.
    """
    if now.state != "improving" or now.trend is None or before.trend is None:
        return math.inf
    if not now.window or not before.window or not before.trend.low > 0:
        return math.inf
    left, left_before = _left(now), _left(before)
    share = now.trend.value / now.window / left
    if not share >= STEADY * before.trend.value / before.window / left_before:
        return math.inf
    pace = max(now.trend.high / now.window, now.rate or 0.0)
    # Each trend is between two quarters of the steps, and so is the pace of three quarters of them.
    apart = 0.75 * (now.step - before.step)
    growth = math.log(pace * before.window / before.trend.low) / apart
    straight = PACE_MARGIN * pace * _grown(growth, now.window, remaining)
    times = PACE_MARGIN * pace / left
    times *= _grown(growth + math.log(left_before / left) / apart, now.window, remaining)
    near = -now.left_high * math.expm1(-times) if times <= MOST_TIMES else math.inf
    return min(straight, near)


def _left(verdict: Verdict) -> float:
    """Nats that are left, in the middle of the bounds; NaN where that is not known."""
    left = (verdict.left_low + verdict.left_high) / 2
    return left if 0 < left < math.inf else math.nan


def _grown(growth: float, window: int, remaining: int) -> float:
    """The steps that make up for a pace that grows exponentially from now on, and does not fall.

    The mean of the newest iterates lies half a window back, and half a window after the pace.
    """
    half, rate = window / 2, max(growth, 0.0)
    steps = remaining + half
    if not rate:
        return steps
    return math.exp(min(rate * half, 500.0)) * math.expm1(min(rate * steps, 500.0)) / rate


@dataclass(frozen=True)
class Drop:
    """Why a run is dropped."""

    best: str
    short: float
    """Nats by which it would end below the best, at least."""

    def __str__(self) -> str:
        return f"dropped: it would end at least {self.short:.2g} nats below {self.best}"


def dropped(runs: Mapping[str, Standing]) -> dict[str, Drop]:
    """The runs that cannot become the best; whatever is not sure is not among them.

    A run is compared with the one that will lie highest at its end for sure.

    Args:
        runs: all that have not been dropped, by name.
    """
    found: dict[str, Drop] = {}
    for name, run in runs.items():
        for other, best in runs.items():
            drop = _drop(other, best, run) if other != name and run.remaining else None
            if drop is not None and (name not in found or drop.short > found[name].short):
                found[name] = drop
    return found


def _drop(name: str, best: Standing, run: Standing) -> Drop | None:
    if not math.isfinite(best.loss) or not math.isfinite(run.gain):
        return None
    if why_not_comparable(best.at_mean, run.at_mean):
        return None
    gap = difference(best.at_mean, run.at_mean)
    short = gap.value - ERRORS * gap.mcse - best.loss - run.gain
    return Drop(name, short) if short > run.verdict.tolerance else None
