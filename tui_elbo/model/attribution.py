"""What moved log p, log q and the ELBO: the parameters by role, and the luck of the draw.

The lens evaluates the terms at a parameter state with fixed draws (`TermSamples`). The shares of a
change are Shapley values: each player's (φ, θ, or parameters of both) effect, averaged over the
orders in which they could have moved, over each short piece of the way that the parameters took.
The shares of neighbouring lens points are summed along the run, so those of any span are a
difference of two sums, and spans add up. Record k was drawn from
the parameters after k - 1 steps, so the attribution of the records a < b compares the states a - 1
and b - 1; what the parameters do not explain of the observed change is the draw.

All terms are in nats. NaN stands for what is not known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from tui_elbo.model.estimate import Moments
from tui_elbo.model.records import Floats, Role, StepRecord

Player = Literal["phi", "theta", "both"]

PLAYERS: tuple[Player, ...] = ("phi", "theta", "both")

PLAYER_OF_ROLE: dict[Role, Player] = {"guide": "phi", "model": "theta", "both": "both"}
"""The player that a parameter belongs to; one that neither side reads belongs to none."""


class Term(NamedTuple):
    """What a row of the samples is."""

    site: str
    """Empty for the sums over sites."""
    field: str
    """`log_p` or `log_q`; without a site also `elbo`, and the parts of log p: `likelihood` (what
    is observed) and `prior` (what is not)."""


ONE_BY_ONE = "draws, one by one"
"""In the note of a lens that takes its draws so: it sees as well, with a larger error."""

SUM_TERMS = tuple(Term("", field) for field in ("log_p", "log_q", "elbo", "likelihood", "prior"))
"""The rows that all samples begin with: sums over sites."""


@dataclass(frozen=True, eq=False)
class TermSamples:
    """The terms at one parameter state, for each of the lens's fixed draws."""

    terms: tuple[Term, ...]
    """Those of `SUM_TERMS` first."""
    units: Floats
    """Shape (terms, units). A unit is a draw, or the mean over the draws of one minibatch: units
    are independent of each other, and the same unit of two states saw the same noise."""
    draws: int
    """How many draws; at least as many as units; 0 if none could be taken."""
    nonfinite_draws: int = 0
    """Draws whose log p or log q is not finite; they are not left out of the units."""

    @property
    def unusable(self) -> bool:
        """Whether nothing can be compared with it."""
        return self.nonfinite_draws > 0 or self.draws == 0

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


def no_samples() -> TermSamples:
    """The samples where no draw could be taken."""
    return TermSamples(SUM_TERMS, np.full((len(SUM_TERMS), 1), np.nan), draws=0)


def mean(units: Floats) -> Floats:
    """Over the last axis; NaN where infinities of both signs meet."""
    with np.errstate(invalid="ignore", over="ignore"):
        result: Floats = np.asarray(units.mean(axis=-1))
    return result


def standard_deviation(units: Floats) -> Floats:
    """Standard deviation along the last axis; NaN if there is only one unit."""
    if units.shape[-1] < 2:
        return np.full(units.shape[:-1], np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        result: Floats = units.std(axis=-1, ddof=1)
    return result


def standard_error(units: Floats) -> Floats:
    """Of the mean of independent units along the last axis; NaN if there is only one."""
    return standard_deviation(units) / math.sqrt(units.shape[-1])


def players_of(roles: Iterable[Role]) -> tuple[Player, ...]:
    """The players of these roles, in the order of `PLAYERS`."""
    present = {PLAYER_OF_ROLE[role] for role in roles if role in PLAYER_OF_ROLE}
    return tuple(player for player in PLAYERS if player in present)


def subsets(players: Sequence[Player]) -> list[frozenset[Player]]:
    """Every set of players, from none to all."""
    sizes = range(len(players) + 1)
    return [frozenset(some) for size in sizes for some in combinations(players, size)]


def shapley(
    corners: Mapping[frozenset[Player], Floats], players: Sequence[Player]
) -> dict[Player, Floats]:
    """Each player's share of the change from nobody moved to all moved.

    A share is the player's effect averaged over the orders in which the players could have moved.

    Args:
        corners: for each set of players, the numbers when only they have moved; all of one shape.
        players: those that are present.

    Returns:
        The shares, of that same shape; they add up to the change.

    References:
        Shapley (1953), A Value for n-Person Games.
    """
    shares = {}
    for player in players:
        others = [other for other in players if other != player]
        share = np.zeros_like(corners[frozenset()])
        for some in subsets(others):
            first, then = math.factorial(len(some)), math.factorial(len(others) - len(some))
            weight = first * then / math.factorial(len(players))
            with np.errstate(invalid="ignore", over="ignore"):
                share += weight * (corners[some | {player}] - corners[some])
        shares[player] = share
    return shares


MAX_BLOCKS = 16
"""Totals are also kept in so many blocks of units, which give the standard error of any span."""

BLOCK_TERMS = 3
"""Of so many terms, the first of `SUM_TERMS`: log p, log q and the ELBO."""

TOO_FAR_APART = "the looks are too far apart to tell the parts of φ and θ"
"""Why a change is not shared out, in words."""

PATH_NATS, PATH_SHARE = 0.02, 0.2
"""A change is shared out only where a path of fewer pieces gives the same shares: to within so many
nats, or this fraction of the largest of them."""


@dataclass(frozen=True, eq=False)
class PathShares:
    """What each player changed over a span, summed over the pieces of the path."""

    shares: dict[Player, Floats]
    """Shape (terms, units)."""
    doubt: dict[Player, Floats]
    """Shape (terms,): how far the shares lie from those over fewer pieces, in nats. Of a single
    piece of many steps, from those if this player moved first."""

    @classmethod
    def of_one(cls, player: Player, before: TermSamples, after: TermSamples) -> PathShares | None:
        """Those of a span over which only one player moved: whatever the way, all is its own."""
        if before.unusable or after.unusable:
            return None
        with np.errstate(invalid="ignore", over="ignore"):
            change = after.units - before.rows(after.terms)
        return cls({player: change}, {player: np.zeros(len(after.terms))})


@dataclass(frozen=True, eq=False)
class LensPoint:
    """What the lens evaluated at one parameter state, in plain numbers.

    A point whose draws are not all finite has no shares and no totals; the next one is compared
    with the last that has.
    """

    state: int
    """The parameters after so many steps; record `state + 1` is drawn from them."""
    since: int
    """The state that `share` is the change from; this one at the first point."""
    draws: int
    """How many draws; 0 if none could be taken."""
    nonfinite_draws: int
    note: str
    """A remark on how the draws were taken; empty when there is none."""
    terms: tuple[Term, ...]
    value: Floats
    """Shape (terms,)."""
    error: Floats
    """Monte Carlo standard error of the values, (terms,)."""
    spread: Floats
    """Standard deviation of a unit, (terms,): how far a single draw lies from the mean."""
    players: tuple[Player, ...]
    share: Floats
    """Shape (players, terms): what each player changed since the point before."""
    share_error: Floats
    """Of the paired differences, (players, terms)."""
    total: Floats
    """Shape (players, terms): what each player changed since the first point."""
    total_error: Floats
    blocks: Floats
    """Shape (players, `BLOCK_TERMS`, blocks): `total` by up to `MAX_BLOCKS` blocks of units."""
    doubt: Floats
    """Shape (players, terms): how far `total` lies from the one over a path of fewer pieces."""
    latents: int = 0
    """How many sites the guide draws."""
    delta_latents: int = 0
    """How many of them have a Delta in the guide."""
    posterior: Mapping[str, Moments] = field(default_factory=dict)
    """Of each element of each small latent."""

    @property
    def unusable(self) -> bool:
        """Whether nothing can be compared with it."""
        no_totals = bool(self.total.size and np.isnan(self.total).all())
        return self.nonfinite_draws > 0 or self.draws == 0 or no_totals

    @property
    def size(self) -> int:
        """Bytes, about."""
        numbers = (3 + 5 * len(self.players)) * len(self.terms) + self.blocks.size
        return 8 * (numbers + sum(4 * len(one.mean) for one in self.posterior.values()))

    def without_sites(self) -> LensPoint:
        """The same without the terms of single sites and without the posterior."""
        count = len(SUM_TERMS)
        tables = {
            name: getattr(self, name)[..., :count]
            for name in (
                "value", "error", "spread", "share", "share_error", "total", "total_error", "doubt"
            )
        }  # fmt: skip
        return replace(self, terms=SUM_TERMS, posterior={}, **tables)


class AttributionPath:
    """Sums the shares between neighbouring lens points of a run."""

    def __init__(self) -> None:
        self.base: TermSamples | None = None
        """The last usable samples: what the next are compared with."""
        self.state = 0
        """Its state."""
        self._terms: tuple[Term, ...] = ()
        self._totals: dict[Player, Floats] = {}
        self._doubts: dict[Player, Floats] = {}

    @property
    def size(self) -> int:
        """Bytes, about."""
        units = 0 if self.base is None else self.base.units.nbytes
        return units + sum(total.nbytes for total in self._totals.values())

    def extend(
        self,
        state: int,
        samples: TermSamples,
        players: Sequence[Player],
        *,
        moved: PathShares | None = None,
        note: str = "",
    ) -> LensPoint:
        """Add the next state.

        Args:
            state: its number.
            samples: what the lens evaluated there.
            players: those that are present.
            moved: what those that have changed since `base` have changed; None if that is not
                known, or there is no `base`.
            note: a remark on how the draws were taken.
        """
        known = {player: self._totals.get(player) for player in PLAYERS}
        terms = samples.terms
        shape = (len(terms), samples.units.shape[1])
        present = [p for p in PLAYERS if p in players or known[p] is not None]
        shares = {player: np.zeros(shape) for player in present}
        since, unusable = state, samples.unusable
        if self.base is not None:
            since = self.state
            unusable = unusable or moved is None
        totals, doubts = shares, {p: np.zeros(len(terms)) for p in present}
        if not unusable:
            shares |= {} if moved is None else moved.shares
            totals = {p: self._rows(self._totals, p, terms, shape) + shares[p] for p in present}
            doubts = {p: self._rows(self._doubts, p, terms, shape[:1]) for p in present}
            for p, doubt in ({} if moved is None else moved.doubt).items():
                doubts[p] = doubts[p] + doubt
            self.base, self.state, self._terms = samples, state, terms
            self._totals, self._doubts = totals, doubts
        point = _point(
            state, since, samples, note=note, shares=shares, totals=totals, unusable=unusable
        )
        return replace(point, doubt=np.array([doubts[p] for p in present]).reshape(-1, len(terms)))

    def rebase(self, samples: TermSamples) -> None:
        """Replace the samples of the last state, which the next are compared with.

        For a lens that changed its draws. The totals continue; their standard error is lost.
        """
        self.base = samples
        count = samples.units.shape[1]
        self._totals = {
            p: np.repeat(mean(t)[:, None], count, axis=1) for p, t in self._totals.items()
        }

    def _rows(
        self,
        of: Mapping[Player, Floats],
        player: Player,
        terms: tuple[Term, ...],
        shape: tuple[int, ...],
    ) -> Floats:
        """The numbers of a player for these terms; 0 for those that it has none of."""
        known = of.get(player)
        if known is None:
            return np.zeros(shape)
        rows = TermSamples(self._terms, known.reshape(len(self._terms), -1), 0).rows(terms)
        return rows.reshape(shape)


def _point(
    state: int,
    since: int,
    samples: TermSamples,
    *,
    note: str,
    shares: dict[Player, Floats],
    totals: dict[Player, Floats],
    unusable: bool,
) -> LensPoint:
    def table(rows: dict[Player, Floats]) -> Floats:
        stacked = np.array([rows[p] for p in rows]).reshape(len(rows), *samples.units.shape)
        return np.full_like(stacked, np.nan) if unusable else stacked

    share, total = table(shares), table(totals)
    return LensPoint(
        state=state,
        since=since,
        draws=samples.draws,
        nonfinite_draws=samples.nonfinite_draws,
        note=note,
        terms=samples.terms,
        value=samples.value,
        error=samples.error,
        spread=standard_deviation(samples.units),
        players=tuple(shares),
        share=mean(share),
        share_error=standard_error(share),
        total=mean(total),
        total_error=standard_error(total),
        blocks=_blocks(total[:, :BLOCK_TERMS]),
        doubt=np.zeros(share.shape[:2]),
    )


def _blocks(units: Floats) -> Floats:
    """Means over consecutive blocks of the last axis, all of one length, without overlap.

    Units that do not fill a block are left out: blocks are for errors, not for values.
    """
    length = max(units.shape[-1] // MAX_BLOCKS, 1)
    count = units.shape[-1] // length
    whole = units[..., : length * count]
    return mean(whole.reshape(*units.shape[:-1], count, length)[..., :MAX_BLOCKS, :])


@dataclass(frozen=True)
class TermAttribution:
    """How the observed change of one term came about; adds up to `observed`."""

    shares: dict[Player, float]
    """What each player changed; NaN where the way that the parameters took is not known well enough
    to share out what they changed together."""
    errors: dict[Player, float]
    """Its Monte Carlo standard error; NaN where it is not known."""
    draw: float
    """What the draws of the two records, and their minibatches, changed by chance."""
    observed: float
    """The later record's term less the earlier one's."""
    together: float
    """What all players changed, whatever the way."""

    @property
    def split(self) -> bool:
        """Whether what they changed together is shared out."""
        return not (math.isfinite(self.together) and any(map(math.isnan, self.shares.values())))


ObservedTerms = Mapping[Term, float]


def observed_terms(record: StepRecord | None) -> dict[Term, float]:
    """A record's terms; a term that it lacks is left out."""
    if record is None:
        return {}
    found: dict[Term, float | None] = {
        Term("", "log_p"): record.log_p,
        Term("", "log_q"): record.log_q,
        Term("", "elbo"): record.elbo,
    }
    parts: dict[str, list[float]] = {"likelihood": [0.0], "prior": [0.0]}
    for name, site in record.sites.items():
        found[Term(name, "log_p")], found[Term(name, "log_q")] = site.log_p, site.log_q
        if site.log_p is not None:
            parts["likelihood" if site.observed else "prior"].append(site.log_p)
    if record.log_p is not None:
        found |= {Term("", part): sum(terms) for part, terms in parts.items()}
    return {term: value for term, value in found.items() if value is not None}


def attribute_change(
    start: LensPoint,
    end: LensPoint,
    before: ObservedTerms | None = None,
    after: ObservedTerms | None = None,
) -> dict[Term, TermAttribution]:
    """Attribute the change of each term between two lens points of one run.

    Args:
        start: the earlier one.
        end: the later one.
        before: the terms of the record drawn from `start`; without it, no draw and no observed
            change.
        after: the same of `end`.
    """
    before, after = before or {}, after or {}
    errors = _span_errors(start, end)
    rows = {term: row for row, term in enumerate(start.terms)}
    found = {}
    for row, term in enumerate(end.terms):
        shares: dict[Player, float] = {}
        doubts = [0.0]
        for index, player in enumerate(end.players):
            share, doubt = float(end.total[index, row]), float(end.doubt[index, row])
            if player in start.players and term in rows:
                before_it = start.players.index(player), rows[term]
                share -= float(start.total[before_it])
                doubt -= float(start.doubt[before_it])
            shares[player] = share
            doubts.append(abs(doubt))
        together = sum(shares.values())
        by_player = {player: float(errors[i, row]) for i, player in enumerate(end.players)}
        if max(doubts) > max(PATH_NATS, PATH_SHARE * max(map(abs, shares.values()), default=0.0)):
            shares = dict.fromkeys(shares, math.nan)
        change = after.get(term, np.nan) - before.get(term, np.nan)
        found[term] = TermAttribution(shares, by_player, change - together, change, together)
    return found


def _span_errors(start: LensPoint, end: LensPoint) -> Floats:
    """The standard error of each sum's change over a span, (players, terms)."""
    if start.state == end.since:
        return end.share_error
    if start.state == start.since:
        return end.total_error
    errors = np.full_like(end.total_error, np.nan)
    if start.players == end.players and start.blocks.shape == end.blocks.shape:
        errors[:, :BLOCK_TERMS] = standard_error(end.blocks - start.blocks)
    return errors
