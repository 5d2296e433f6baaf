"""What can be said something about: the accounts of a span, and the kind of scenario."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tui_elbo.model.attribution import Point, Share
from tui_elbo.model.lens_values import OWN, Player, Term

ELBO = OWN[2]


@dataclass(frozen=True)
class Scene:
    """What a sentence may speak of."""

    since: int
    """The step of the span's first record; 1 for the whole run."""
    until: int
    """The step of its last."""
    shares: Mapping[Term, Share]
    """The accounts of the span."""
    gained: float
    """What the parameters did to the ELBO from step 1 on: nats."""
    drift: float
    """What the lens saw of the ELBO's change that no parameter of the store explains: nats."""
    players: tuple[Player, ...]
    latents: int
    """How many sites the guide draws."""
    points: int
    """How many of them are points: a Delta in the guide."""
    spread: Mapping[Term, float]
    """Standard deviation of one draw, at the end of the span; NaN where a draw has none."""
    draws: int
    bad: int
    """Draws of the lens that are not finite."""
    note: str = ""
    """What is to be known of how the lens draws."""


def scene(
    start: Point,
    end: Point,
    shares: Mapping[Term, Share],
    *,
    latents: int,
    points: int,
) -> Scene:
    """The scene of the span between two points.

    Args:
        start: the earlier one.
        end: the later one.
        shares: their account.
        latents: how many sites the guide draws.
        points: how many of them are points.
    """
    row = end.terms.index(ELBO)
    change = float(end.value[row] - start.value[start.terms.index(ELBO)])
    explained = sum(shares[ELBO].moved.values()) if ELBO in shares else 0.0
    return Scene(
        since=start.state + 1,
        until=end.state + 1,
        shares=shares,
        gained=float(end.total[:, row].sum()),
        drift=change - explained,
        players=end.players,
        latents=latents,
        points=points,
        spread={term: float(end.spread[i]) for i, term in enumerate(end.terms)},
        draws=end.draws,
        bad=end.bad,
        note=end.note,
    )


def gap_name(players: tuple[Player, ...], points: int) -> str:
    """What log p(x) less the ELBO may be called; empty where the two cannot be compared.

    Args:
        players: who there is.
        points: how many latents have a point for a guide.
    """
    if points:
        return ""
    return "KL(q ‖ posterior)" if set(players) <= {"phi"} else "gap to the best θ"
