"""What importance weights say of a guide, and how far its ELBO is from the evidence, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tui_elbo.model.lens_values import Player
from tui_elbo.model.span_summary import gap_name

EXACT = 0.01
"""Standard deviation of log p − log q below which the guide is called exact: KL < 0.00005 nats."""


class Bound(msgspec.Struct, frozen=True):
    """What importance weights say, in nats; what they cannot say is NaN."""

    draws: int
    elbo: float
    """Mean of log p − log q."""
    elbo_error: float
    spread: float
    """Standard deviation of log p − log q from draw to draw."""
    value: float
    """log of the mean weight: a bound on log p(x), on average below it and above the ELBO."""
    error: float
    """Its standard error, as far as k̂ allows to believe in one."""
    khat: float
    """The shape of the weights' upper tail; NaN where all weights are the same."""
    khat_low: float
    khat_high: float
    limit: float
    """The k̂ from which on the bound is not to be trusted, for so many draws."""
    reason: str = ""
    """Why there are no weights, in words; empty when there are."""

    @property
    def exact(self) -> bool:
        """Whether log p − log q is the same for every draw: then q is the posterior."""
        return self.spread < EXACT

    @property
    def trusted(self) -> bool:
        """Whether the bound may be believed."""
        return self.exact or self.khat < self.limit


def no_bound(draws: int, reason: str) -> Bound:
    """Where there are no weights."""
    nan = math.nan
    return Bound(draws, nan, nan, nan, nan, nan, nan, nan, nan, nan, reason)


def gap_texts(
    evidence: float, elbo: float, error: float, players: Sequence[Player], points: int
) -> tuple[str, str]:
    """How far the ELBO is from a log evidence that is known, named as it may be; in two parts.

    Args:
        evidence: log p(x), at the best θ if there is one: nats.
        elbo: E[ELBO] as the lens sees it.
        error: its standard error.
        players: who there is.
        points: how many latents have a point for a guide.
    """
    if points:
        text = "the ELBO of a guide that is a point is not comparable to it"
        return f"log p(x) = {evidence:.4f}", text
    found = f"{round(evidence - elbo, 4) + 0.0:.4f} ± {rough(error)} nats"
    return f"{gap_name(tuple(players), points)}: {found}", f"from log p(x) = {evidence:.4f}"


def bound_texts(bound: Bound) -> tuple[str, ...]:
    """What the weights say, in sentences of which the first tells the most."""
    if bound.reason:
        return (f"no importance weights: {bound.reason}",)
    if bound.exact:
        told = f"every draw says {bound.elbo:.4f} (sd {bound.spread:.1g})"
        return (f"the guide is exact: {told}",)
    text = f"importance-weighted bound: {bound.value:.4f} ± {rough(bound.error)} nats"
    khat = f"k̂ {bound.khat:.2f} [{bound.khat_low:.2f}, {bound.khat_high:.2f}]"
    khat += f" from {bound.draws} draws"
    if bound.trusted:
        return text, khat
    return text, khat, f"k̂ is past {bound.limit:.2f}: not to be trusted"


def rough(value: float) -> str:
    """A standard error in one digit."""
    return f"{value:.1g}" if math.isfinite(value) else "–"
