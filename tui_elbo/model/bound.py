"""The importance-weighted bound of a guide, and the gap between its ELBO and the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tui_elbo.model.attribution import Player
from tui_elbo.model.estimate import with_error

EXACT = 0.01
"""Standard deviation of log p − log q below which the guide is called exact: KL < 0.00005 nats."""


class ImportanceBound(msgspec.Struct, frozen=True):
    """The importance-weighted bound and k̂; in nats, NaN where there is none."""

    draws: int
    elbo: float
    """Mean of log p − log q."""
    elbo_error: float
    spread: float
    """Standard deviation of log p − log q from draw to draw."""
    value: float
    """log of the mean weight: a bound on log p(x), on average below it and above the ELBO."""
    error: float
    """Its standard error; meaningful only while k̂ is below `limit`."""
    khat: float
    """The shape of the weights' upper tail; NaN where all weights are the same."""
    khat_low: float
    khat_high: float
    limit: float
    """For this number of draws, a k̂ at or above it means that the bound cannot be trusted."""
    reason: str = ""
    """Why there are no weights, in words; empty when there are."""

    @property
    def exact(self) -> bool:
        """Whether log p − log q is the same for every draw: then q is the posterior."""
        return self.spread < EXACT

    @property
    def trusted(self) -> bool:
        """Whether the bound can be trusted."""
        return self.exact or self.khat < self.limit


def no_bound(draws: int, reason: str) -> ImportanceBound:
    """A bound without weights, with the reason."""
    nan = math.nan
    return ImportanceBound(draws, nan, nan, nan, nan, nan, nan, nan, nan, nan, reason)


def gap_name(players: tuple[Player, ...], delta_latents: int) -> str:
    """The name of log p(x) - ELBO; empty where the two cannot be compared.

    Args:
        players: those that are present.
        delta_latents: how many latents have a Delta in the guide.
    """
    if delta_latents:
        return ""
    return "KL(q ‖ posterior)" if set(players) <= {"phi"} else "gap to the best θ"


def evidence_gap_lines(
    evidence: float, elbo: float, error: float, players: Sequence[Player], delta_latents: int
) -> tuple[str, str]:
    """The gap between the ELBO and a known log evidence, in two parts.

    Args:
        evidence: log p(x), at the best θ if there is one: nats.
        elbo: E[ELBO] as the lens sees it.
        error: its standard error.
        players: those that are present.
        delta_latents: how many latents have a Delta in the guide.
    """
    if delta_latents:
        text = "the ELBO of a guide that is a point is not comparable to it"
        return f"log p(x) = {evidence:.4f}", text
    found = f"{with_error(evidence - elbo, error)} nats"
    return f"{gap_name(tuple(players), delta_latents)}: {found}", f"from log p(x) = {evidence:.4f}"


def bound_lines(bound: ImportanceBound) -> tuple[str, ...]:
    """The bound and its k̂ in words, the most important line first."""
    if bound.reason:
        return (f"no importance weights: {bound.reason}",)
    if bound.exact:
        text = f"every draw says {bound.elbo:.4f} (sd {bound.spread:.1g})"
        return (f"the guide is exact: {text}",)
    text = f"importance-weighted bound: {with_error(bound.value, bound.error)} nats"
    khat = f"k̂ {bound.khat:.2f} [{bound.khat_low:.2f}, {bound.khat_high:.2f}]"
    khat += f" from {bound.draws} draws"
    if bound.trusted:
        return text, khat
    return text, khat, f"k̂ is past {bound.limit:.2f}: not to be trusted"
