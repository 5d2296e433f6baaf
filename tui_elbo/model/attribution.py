"""What moved log p, log q and the ELBO: the parameters by role, and the luck of the draw.

The shares of neighbouring lens points are summed along the run: those of any span are then a
difference of two sums, and spans add up. Record k was drawn from the parameters after k - 1 steps,
so an account of the records a < b compares the states a - 1 and b - 1; what the parameters do not
explain of the observed change is the draw.

All terms are in nats. NaN stands for what is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tui_elbo.model.lens_values import (
    PLAYERS,
    Corners,
    Player,
    Reading,
    Term,
    deviation,
    mean,
    shapley,
    standard_error,
)
from tui_elbo.model.records import Floats, StepRecord

BLOCKS = 16
"""Sums are kept in so many blocks of units as well, from which the error of any span is told."""

IN_BLOCKS = 3
"""Of so many terms, the first of `OWN`: log p, log q and the ELBO."""


@dataclass(frozen=True, eq=False)
class Point:
    """What the lens has to tell of one parameter state, in plain numbers.

    A point whose draws are not all finite has no shares and no sums; the next one is compared with
    the last that has.
    """

    state: int
    """The parameters after so many steps; record `state + 1` is drawn from them."""
    since: int
    """The state that `share` is the change from; this one at the first point."""
    draws: int
    bad: int
    """Draws that are not finite."""
    note: str
    """What is to be known of how it was taken; empty when nothing is."""
    terms: tuple[Term, ...]
    value: Floats
    """Shape (terms,)."""
    error: Floats
    """Monte Carlo standard error of the values, (terms,)."""
    spread: Floats
    """Standard deviation of a unit, (terms,): how far the luck of one draw goes."""
    players: tuple[Player, ...]
    share: Floats
    """Shape (players, terms): what each did since the point before."""
    share_error: Floats
    """Of the paired differences, (players, terms)."""
    total: Floats
    """Shape (players, terms): what each did since the first point, summed along all points."""
    total_error: Floats
    blocks: Floats
    """Shape (players, `IN_BLOCKS`, blocks): `total` by up to `BLOCKS` blocks of units."""


class Path:
    """Sums the shares between neighbouring readings of a run."""

    def __init__(self) -> None:
        self.base: Reading | None = None
        """The last reading without a gap: what the next is compared with."""
        self.state = 0
        """Its state."""
        self._terms: tuple[Term, ...] = ()
        self._totals: dict[Player, Floats] = {}

    @property
    def size(self) -> int:
        """Bytes, about."""
        units = 0 if self.base is None else self.base.units.nbytes
        return units + sum(total.nbytes for total in self._totals.values())

    def extend(
        self,
        state: int,
        reading: Reading,
        players: Sequence[Player],
        *,
        moved: Sequence[Player] = (),
        corners: Corners | None = None,
        note: str = "",
    ) -> Point:
        """Go on to a state.

        Args:
            state: its number.
            reading: what the lens saw there.
            players: who there is.
            moved: who has changed since `base`.
            corners: the readings of the mixed states, by who has moved already: each set of them
                but none and all.
            note: what is to be known of how it was taken.
        """
        known = {player: self._totals.get(player) for player in PLAYERS}
        terms = reading.terms
        shape = (len(terms), reading.units.shape[1])
        present = [p for p in PLAYERS if p in players or known[p] is not None]
        shares = {player: np.zeros(shape) for player in present}
        since, gap = state, reading.blind
        if self.base is not None:
            since = self.state
            every = {frozenset[Player](): self.base, **(corners or {}), frozenset(moved): reading}
            gap = gap or any(one.blind for one in every.values())
            if not gap:
                shares |= shapley({some: one.rows(terms) for some, one in every.items()}, moved)
        totals = shares
        if not gap:
            totals = {p: self._rows(p, terms, shape) + shares[p] for p in present}
            self.base, self.state, self._terms, self._totals = reading, state, terms, totals
        return _point(state, since, reading, note=note, shares=shares, totals=totals, gap=gap)

    def rebase(self, reading: Reading) -> None:
        """Take another reading of the last state for what the next is compared with.

        For a lens that has had to change its draws. The sums go on; their error as it was is lost.
        """
        self.base = reading
        count = reading.units.shape[1]
        self._totals = {
            p: np.repeat(mean(t)[:, None], count, axis=1) for p, t in self._totals.items()
        }

    def _rows(self, player: Player, terms: tuple[Term, ...], shape: tuple[int, int]) -> Floats:
        totals = self._totals.get(player)
        if totals is None:
            return np.zeros(shape)
        return Reading(self._terms, totals, 0).rows(terms)


def _point(
    state: int,
    since: int,
    reading: Reading,
    *,
    note: str,
    shares: dict[Player, Floats],
    totals: dict[Player, Floats],
    gap: bool,
) -> Point:
    def table(rows: dict[Player, Floats]) -> Floats:
        stacked = np.array([rows[p] for p in rows]).reshape(len(rows), *reading.units.shape)
        return np.full_like(stacked, np.nan) if gap else stacked

    share, total = table(shares), table(totals)
    return Point(
        state=state,
        since=since,
        draws=reading.draws,
        bad=reading.bad,
        note=note,
        terms=reading.terms,
        value=reading.value,
        error=reading.error,
        spread=deviation(reading.units),
        players=tuple(shares),
        share=mean(share),
        share_error=standard_error(share),
        total=mean(total),
        total_error=standard_error(total),
        blocks=_blocks(total[:, :IN_BLOCKS]),
    )


def _blocks(units: Floats) -> Floats:
    """Means over consecutive stretches of the last axis, all of one length, and of no unit twice.

    Units that do not fill a block are left out: blocks tell errors, not values.
    """
    length = max(units.shape[-1] // BLOCKS, 1)
    count = units.shape[-1] // length
    whole = units[..., : length * count]
    return mean(whole.reshape(*units.shape[:-1], count, length)[..., :BLOCKS, :])


@dataclass(frozen=True)
class Share:
    """How the observed change of one term came about; adds up to `observed`."""

    moved: dict[Player, float]
    """What each of those who there are did."""
    errors: dict[Player, float]
    """The Monte Carlo standard error of it; NaN where it is not known."""
    draw: float
    """What the luck of the two records' draws did, and of their minibatches."""
    observed: float
    """The later record's term less the earlier one's."""


Observed = Mapping[Term, float]


def observed(record: StepRecord | None) -> dict[Term, float]:
    """A record's terms; what it lacks is not in it."""
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


def account(
    start: Point, end: Point, before: Observed | None = None, after: Observed | None = None
) -> dict[Term, Share]:
    """What happened between two points of one run.

    Args:
        start: the earlier one.
        end: the later one.
        before: what the record drawn from `start` says; without it, no draw and no observed change.
        after: the same of `end`.
    """
    before, after = before or {}, after or {}
    errors = _span_errors(start, end)
    rows = {term: row for row, term in enumerate(start.terms)}
    found = {}
    for row, term in enumerate(end.terms):
        moved: dict[Player, float] = {}
        for index, player in enumerate(end.players):
            then = 0.0
            if player in start.players and term in rows:
                then = float(start.total[start.players.index(player), rows[term]])
            moved[player] = float(end.total[index, row]) - then
        seen = after.get(term, np.nan) - before.get(term, np.nan)
        told = {player: float(errors[i, row]) for i, player in enumerate(end.players)}
        found[term] = Share(moved, told, seen - sum(moved.values()), seen)
    return found


def _span_errors(start: Point, end: Point) -> Floats:
    """The standard error of each sum's change over a span, (players, terms)."""
    if start.state == end.since:
        return end.share_error
    if start.state == start.since:
        return end.total_error
    errors = np.full_like(end.total_error, np.nan)
    if start.players == end.players and start.blocks.shape == end.blocks.shape:
        errors[:, :IN_BLOCKS] = standard_error(end.blocks - start.blocks)
    return errors
