"""The verdict on a run: is it done, and what would help.

A probe (`tui_elbo.engine.verdict`) measures at fixed draws how far the mean of the newest iterates
is from the best that a search finds nearby; `decide` turns these numbers into one of six states.
Other modes, far away, are not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tui_elbo.model.estimate import one_digit

TOLERANCE = 0.1
"""Nats that do not matter, unless a person says another number."""

LEAST_TOLERANCE = 0.001
"""Nats: a share of a spread that is almost zero means no less, which sums of floats cannot show."""

CONVERGED = "converged"
"""What a person runs until: the verdict that going on would gain nothing."""

SPACING = 1.5
"""A run that is to stop by its verdict is judged whenever it is so many times as long."""

SAME = 0.1
"""Two steps this fraction apart are called about the same."""

LEAST_STEPS = 128
"""A shorter run, or a shorter time since a change of settings, is not judged."""

COSTLY = 1.0
"""Nats: a rate whose noise costs no more than that is not called too high."""

WIDE = 3.0
"""Stationary: no more than so many tolerances may be left."""

VerdictState: TypeAlias = Literal[
    "improving", "stationary", "stopped", "rate_too_high", "falling", "cannot_tell"
]

WORDS: dict[VerdictState, str] = {
    "improving": "still improving",
    "stationary": "stationary",
    "stopped": "stopped early",
    "rate_too_high": "rate too high",
    "falling": "ELBO falls",
    "cannot_tell": "cannot tell",
}
"""For the status line."""


def next_judgement(begin: int, step: int) -> int:
    """The step at which a run that is to stop by its verdict is judged next.

    Args:
        begin: from which step its window is counted.
        step: that of the last judgement; `begin` where there was none.
    """
    return begin + max(int((step - begin) * SPACING), LEAST_STEPS)


@dataclass(frozen=True)
class Estimate:
    """A number in nats with its standard error."""

    value: float
    mcse: float

    @property
    def low(self) -> float:
        """Two standard errors below."""
        return self.value - 2 * self.mcse

    @property
    def high(self) -> float:
        """Two standard errors above."""
        return self.value + 2 * self.mcse


@dataclass(frozen=True)
class Tolerance:
    """What does not matter if it is left to be gained."""

    value: float = TOLERANCE
    of_spread: bool = False
    """Not in nats, but in standard deviations of log p - log q from draw to draw of the guide."""

    def nats(self, spread: float) -> float:
        """In nats.

        Args:
            spread: `Measurement.spread`.
        """
        return max(self.value * spread, LEAST_TOLERANCE) if self.of_spread else self.value


NATS = Tolerance()
"""Unless a person says another."""


@dataclass(frozen=True)
class Measurement:
    """What the probe has measured at a step. All in nats, of the ELBO, unless it says otherwise."""

    step: int
    begin: int
    """The step from which the window is counted: 0, or that of the last change of settings."""
    trend: Estimate
    """The mean over the last quarter of the window less that over the quarter before."""
    price: Estimate
    """The ELBO at the mean of the last quarter's iterates, less its mean at these iterates."""
    held_out: Estimate
    """What the search has gained, by draws that it has not seen: a lower bound of what is left."""
    in_sample: Estimate
    """The same by the draws that it has used: an upper bound once the search has finished."""
    rising: float
    """What the last quarter of the search's evaluations has gained."""
    gained: float
    """The mean over the last quarter less the ELBO at the beginning of the window."""
    advance: Estimate
    """The ELBO at the mean of the last quarter's iterates less that at the quarter before. Its
    error is that of the draws alone."""
    settled_since: int
    """The first step from which on the ELBO has stayed at its level of now; the present step where
    more than the tolerance is left."""
    draws: int
    """Of each of the two sets."""
    params: int
    """How many numbers the search could change."""
    evaluations: int
    """Of the search."""
    spread: float = 1.0
    """The standard deviation of log p - log q over single draws of the lens, at the mean of the
    last quarter's iterates; of the means of minibatches where it sees those."""
    rate_decays: bool = False
    """Whether the learning rate changes by itself."""
    reached: int | None = None
    """The first step at which the ELBO was at its level of now; later ones may have been below."""
    limit: str = ""
    """Why the search gives a lower bound only, in words; empty where it does not."""


@dataclass(frozen=True)
class Verdict:
    """Where a run stands."""

    state: VerdictState
    step: int
    tolerance: float
    """Nats that do not matter."""
    since: int | None = None
    """Stationary: from this step on at the latest."""
    reached: int | None = None
    """Stationary: and from this step on at the earliest."""
    left_low: float = 0.0
    """At least so many nats can still be gained."""
    left_high: float = math.inf
    """At most so many nearby; infinite where nothing is known."""
    rate_gain: Estimate | None = None
    """What a lower rate, or the mean of the iterates, would gain; None where it is not known."""
    trend: Estimate | None = None
    """The last quarter of the window against the one before."""
    window: int = 0
    """Steps of a quarter of the window."""
    rate: float | None = None
    """Improving: nats a step now."""
    within: int | None = None
    """Improving: within the tolerance after about so many more steps; None if not to be known."""
    reason: str = ""
    """Cannot tell: why, and what would tell."""

    @property
    def words(self) -> str:
        """Two words for it."""
        return WORDS[self.state]

    @property
    def text(self) -> str:
        """It in full."""
        return _TEXTS[self.state](self)

    @property
    def brief(self) -> str:
        """It in a few words and the one number that matters."""
        left, words = _left(self.left_low, self.left_high), self.words.capitalize()
        match self.state:
            case "improving":
                more = f", about {_round(self.within)} steps" if self.within else ""
                return f"{words}: {left}{more}."
            case "stationary":
                noise = _gain_by_rate(self)
                more = f", {with_error(noise)} more by a lower rate" if noise else ""
                return f"{words}: {left}{more}."
            case "stopped":
                return f"{words}: {left}."
            case "cannot_tell":
                return f"Cannot tell yet: {self.reason}."
            case "rate_too_high":
                gain = f": {with_error(self.rate_gain)} nats by its noise" if self.rate_gain else ""
                return f"{words}{gain}."
            case _:
                return ""

    @property
    def good(self) -> bool:
        """Whether it speaks well of the run; beside an error or a warning that is not said.

        What a fault holds may well have come to rest, or be on its way to the wrong place.
        """
        return self.state in ("improving", "stationary")

    @property
    def done(self) -> bool:
        """Whether going on as now would gain nothing."""
        return self.state in ("stationary", "stopped")

    def record(self) -> dict[str, Any]:
        """As `run --json` prints it."""
        gain = self.rate_gain
        return {
            "state": self.state,
            "step": self.step,
            "since": self.since,
            "reached": self.reached,
            "left": [_finite(self.left_low), _finite(self.left_high)],
            "rate_gain": gain and {"value": _finite(gain.value), "mcse": _finite(gain.mcse)},
            "text": self.text,
        }


def cannot_tell(step: int, reason: str) -> Verdict:
    """There is no measurement.

    Args:
        step: of the run.
        reason: why, in words, and what would tell.
    """
    return Verdict("cannot_tell", step, TOLERANCE, reason=reason)


def too_early(step: int, begin: int) -> Verdict:
    """Too few steps have been taken, counted from `begin`."""
    since = f", counted from step {begin}," if begin else ","
    taken = step - begin
    are = "is" if taken == 1 else "are"
    reason = f"it takes {LEAST_STEPS} steps{since} and there {are} {taken}"
    return cannot_tell(step, reason)


def decide(measured: Measurement, tolerance: float = TOLERANCE) -> Verdict:
    """The verdict that the numbers allow.

    The bounds are at two standard errors; where they leave it open, nothing is said.

    Args:
        measured: by the probe.
        tolerance: nats that do not matter.
    """
    trend, price = measured.trend, measured.price
    low = max(measured.held_out.low, 0.0)
    high = max(measured.in_sample.high, measured.held_out.high, 0.0)
    finished = measured.rising <= tolerance / 4 and not measured.limit
    bound = high if finished else math.inf
    state = _state(measured, low, high, bound, tolerance)
    left = (measured.held_out.value + measured.in_sample.value) / 2
    rate, within = None, None
    if state == "improving":
        rate, within = _forecast(measured, left, tolerance)
    return Verdict(
        state,
        measured.step,
        tolerance,
        since=measured.settled_since if state == "stationary" else None,
        reached=measured.reached if state == "stationary" else None,
        left_low=low,
        left_high=bound,
        # Below zero the window still lies on a slope, and the mean of the iterates lags behind.
        rate_gain=price if price.low > -tolerance and price.high > 0 else None,
        trend=trend,
        window=(measured.step - measured.begin) // 4,
        rate=rate,
        within=within,
        reason=_open(measured, low, bound, tolerance) if state == "cannot_tell" else "",
    )


def _state(
    measured: Measurement, low: float, high: float, bound: float, tolerance: float
) -> VerdictState:
    trend, price = measured.trend, measured.price
    left = (measured.held_out.value + measured.in_sample.value) / 2
    too_high = price.low > max(COSTLY, tolerance) and price.value > high
    falls = trend.high < 0 and trend.value < -tolerance
    away, rises = low > tolerance, trend.low > 0
    stands = 2 * trend.high < low / 10 and trend.value < measured.gained / 16
    # Near the tolerance the bounds leave it open, and the trend must be as large as what is left.
    gains = rises and left > tolerance and trend.value > tolerance
    rules: tuple[tuple[bool, VerdictState], ...] = (
        (not math.isfinite(measured.held_out.low), "cannot_tell"),
        (too_high, "rate_too_high"),
        (falls, "falling"),
        (away and stands, "stopped"),
        (away and rises, "improving"),
        (not away and bound <= WIDE * tolerance, "stationary"),
        (not away and gains, "improving"),
    )
    return next((state for holds, state in rules if holds), "cannot_tell")


def _forecast(
    measured: Measurement, left: float, tolerance: float
) -> tuple[float | None, int | None]:
    """Nats a step now, and the steps to the tolerance, by an exponential approach to the best."""
    quarter = (measured.step - measured.begin) / 4
    advance = measured.advance.value
    if left <= 0 or advance <= 0:
        return max(measured.trend.value, 0.0) / quarter, None
    decay = math.log((left + advance) / left) / quarter
    steps = math.log(left / tolerance) / decay if left > tolerance else 0.0
    bounded = not measured.rate_decays and not measured.limit and measured.rising <= tolerance / 4
    return decay * left, math.ceil(steps) if bounded and steps < 1e9 else None


def _open(measured: Measurement, low: float, bound: float, tolerance: float) -> str:
    """Why the numbers leave it open."""
    if not math.isfinite(measured.held_out.low):
        return "draws of the lens are not finite"
    if low > tolerance:
        trend = with_error(measured.trend)
        return (
            f"{_left(low, bound)}, and the last {(measured.step - measured.begin) // 4} steps "
            f"changed the ELBO by {trend}"
        )
    if measured.limit:
        return measured.limit
    if not math.isfinite(bound):
        return (
            f"the search for a better place went on gaining after {measured.evaluations} "
            "evaluations"
        )
    why = f"{measured.draws} draws are too few to say more"
    if measured.draws < 5 * measured.params:
        why = f"{measured.draws} draws are few for {measured.params} parameters"
    return f"{_left(low, bound)}: {why} (--draws)"


def _improving(verdict: Verdict) -> str:
    text = f"Still improving at step {verdict.step}"
    if verdict.rate:
        text += f", by {_number(verdict.rate)} nats a step"
    text += f": {_left(verdict.left_low, verdict.left_high)}"
    if verdict.within:
        text += (
            f"; at this pace within {_number(verdict.tolerance)} of the best nearby after about "
            f"{_round(verdict.within)} more steps"
        )
    return f"{text}."


def _stationary(verdict: Verdict) -> str:
    most = _number(max(verdict.left_high, 0.001))
    text = f"Stationary {_since(verdict)}: at most {most} nats are left nearby"
    gain = _gain_by_rate(verdict)
    if gain is not None:
        text += (
            f"; a lower rate, or the mean of the iterates, would gain {with_error(gain)} besides"
        )
    return f"{text}."


def _since(verdict: Verdict) -> str:
    """From which step on, as closely as the noise of the looks allows."""
    latest, earliest = verdict.since, verdict.reached
    if latest is None or latest >= verdict.step:
        return f"at step {verdict.step}"
    if earliest is None or latest - earliest <= SAME * latest:
        return f"since about step {latest}"
    return f"since a step from {earliest} to {latest}"


def _gain_by_rate(verdict: Verdict) -> Estimate | None:
    """What the noise of the steps costs, where that is clear and matters.

    What is left is counted from the mean of the iterates, which the noise is not part of.
    """
    gain = verdict.rate_gain
    matters = gain is not None and gain.low > 0 and gain.value > verdict.tolerance / 10
    return gain if matters else None


def _stopped(verdict: Verdict) -> str:
    moved = "" if verdict.trend is None else f" changed the ELBO by {with_error(verdict.trend)}"
    return (
        f"Stopped, not converged: the last {verdict.window} steps{moved} nats, yet "
        f"{_left(verdict.left_low, verdict.left_high)}. The steps have become too small."
    )


def _too_high(verdict: Verdict) -> str:
    gain = "" if verdict.rate_gain is None else f" {with_error(verdict.rate_gain)}"
    return (
        f"The learning rate is too high: its noise costs{gain} nats, more than going on would "
        "gain. Lower it, or take the mean of the iterates."
    )


def _falling(verdict: Verdict) -> str:
    trend = "" if verdict.trend is None else f" {with_error(verdict.trend)}"
    return (
        f"The ELBO falls: the last {verdict.window} steps changed it by{trend} nats against those "
        "before. Rewind, and lower the rate."
    )


def _cannot_tell(verdict: Verdict) -> str:
    return f"Cannot tell yet whether it is done: {verdict.reason}."


_TEXTS = {
    "improving": _improving,
    "stationary": _stationary,
    "stopped": _stopped,
    "rate_too_high": _too_high,
    "falling": _falling,
    "cannot_tell": _cannot_tell,
}


def _left(low: float, high: float) -> str:
    if not math.isfinite(high):
        return (
            f"at least {_number(low)} nats are left"
            if low >= 0.0005
            else "how much is left is open"
        )
    if low < 0.0005:
        return f"at most {_number(high)} nats are left"
    if _number(low) == _number(high):
        return f"about {_number(low)} nats are left"
    return f"{_number(low)} to {_number(high)} nats are left"


def with_error(estimate: Estimate) -> str:
    """Two digits, and one of the standard error."""
    return f"{_number(estimate.value)} ± {one_digit(estimate.mcse)}"


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 10 else f"{value:.3g}"


def _round(steps: int) -> str:
    """Two digits are all that a forecast is good for."""
    if steps < 10:
        return str(steps)
    unit = 10 ** (len(str(steps)) - 2)
    return f"{-(-steps // unit) * unit:,}"


def _finite(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return float(value) if math.isfinite(value) else None
