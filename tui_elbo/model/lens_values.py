"""What the lens reads at a parameter state, and how a change is shared among those who moved.

All terms are in nats. NaN stands for what is not known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from tui_elbo.model.records import Floats, Role

Player = Literal["phi", "theta", "both"]

PLAYERS: tuple[Player, ...] = ("phi", "theta", "both")

PLAYER_OF: dict[Role, Player] = {"guide": "phi", "model": "theta", "both": "both"}
"""Who answers for a parameter; what is read by neither side is nobody's."""

Corners = Mapping[frozenset[Player], "Reading"]


class Term(NamedTuple):
    """What a row of a reading is."""

    site: str
    """Empty for the sums over sites."""
    field: str
    """`log_p` or `log_q`; without a site also `elbo`, and the parts of log p: `likelihood` (what
    is observed) and `prior` (what is not)."""


OWN = tuple(Term("", field) for field in ("log_p", "log_q", "elbo", "likelihood", "prior"))
"""The rows that every reading begins with."""


@dataclass(frozen=True, eq=False)
class Reading:
    """The terms at one parameter state, at the lens's fixed draws."""

    terms: tuple[Term, ...]
    """Those of `OWN` first."""
    units: Floats
    """Shape (terms, units). A unit is a draw, or the mean over the draws of one minibatch: units
    are independent of each other, and the same unit of two states saw the same noise."""
    draws: int
    """How many draws; at least as many as units; 0 if none could be taken."""
    bad: int = 0
    """Draws whose log p or log q is not finite; they are not left out of the units."""

    @property
    def blind(self) -> bool:
        """Whether nothing can be compared with it."""
        return self.bad > 0 or self.draws == 0

    @property
    def value(self) -> Floats:
        """The estimate of each term, (terms,). Not finite if one of its draws is not."""
        return mean(self.units)

    @property
    def error(self) -> Floats:
        """The Monte Carlo standard error of each, (terms,); NaN for a single unit."""
        return standard_error(self.units)

    def rows(self, terms: Sequence[Term]) -> Floats:
        """These terms, shape (len(terms), units); 0 for a site that no draw has visited."""
        if tuple(terms) == self.terms:
            return self.units
        index = {term: row for row, term in enumerate(self.terms)}
        zero = np.zeros(self.units.shape[1])
        return np.array([self.units[index[t]] if t in index else zero for t in terms])


def nothing() -> Reading:
    """The reading where no draw could be taken."""
    return Reading(OWN, np.full((len(OWN), 1), np.nan), draws=0)


def mean(units: Floats) -> Floats:
    """Over the last axis; NaN where infinities of both signs meet."""
    with np.errstate(invalid="ignore", over="ignore"):
        result: Floats = np.asarray(units.mean(axis=-1))
    return result


def deviation(units: Floats) -> Floats:
    """Standard deviation along the last axis; NaN if there is only one unit."""
    if units.shape[-1] < 2:
        return np.full(units.shape[:-1], np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        result: Floats = units.std(axis=-1, ddof=1)
    return result


def standard_error(units: Floats) -> Floats:
    """Of the mean of independent units along the last axis; NaN if there is only one."""
    return deviation(units) / math.sqrt(units.shape[-1])


def players_of(roles: Iterable[Role]) -> tuple[Player, ...]:
    """Who plays, in the order of `PLAYERS`."""
    present = {PLAYER_OF[role] for role in roles if role in PLAYER_OF}
    return tuple(player for player in PLAYERS if player in present)


def coalitions(players: Sequence[Player]) -> list[frozenset[Player]]:
    """Every set of players, from none to all."""
    sizes = range(len(players) + 1)
    return [frozenset(some) for size in sizes for some in combinations(players, size)]


def shapley(
    corners: Mapping[frozenset[Player], Floats], players: Sequence[Player]
) -> dict[Player, Floats]:
    """Each player's share of the change from nobody moved to all moved.

    A share is the player's effect averaged over the orders in which the players could have moved.

    Args:
        corners: for each set of players, the numbers when just they have moved; all of one shape.
        players: who there is.

    Returns:
        The shares, of that same shape; they add up to the change.

    References:
        Shapley (1953), A Value for n-Person Games.
    """
    shares = {}
    for player in players:
        others = [other for other in players if other != player]
        share = np.zeros_like(corners[frozenset()])
        for some in coalitions(others):
            first, then = math.factorial(len(some)), math.factorial(len(others) - len(some))
            weight = first * then / math.factorial(len(players))
            with np.errstate(invalid="ignore", over="ignore"):
                share += weight * (corners[some | {player}] - corners[some])
        shares[player] = share
    return shares
