"""What each player changed over a span of steps, summed along the way that the parameters took.

Over one big jump the shares say little of a run in which φ and θ move together: the states in
which only one of them has moved lie far from any that the run came through. So the span is cut at
states that the run has kept, where a cut changes the shares, until it does not any more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tui_elbo.engine.lens.subject import State
from tui_elbo.engine.record.numbers import real
from tui_elbo.model.attribution import (
    BLOCK_TERMS,
    PATH_NATS,
    PathShares,
    Player,
    Term,
    TermSamples,
    mean,
    shapley,
    subsets,
)
from tui_elbo.model.records import Floats

FINE = 0.02
"""A span is cut no further where that changes no share by more than this fraction of the largest,
or by more than half of `PATH_NATS`: the doubts of several spans add up."""

LEAST_CUTS = 2
"""Lead to each piece: that one cut changes nothing may be by chance, on a way that leads back."""

MOST_CUTS = 48
"""Of one span."""

Shares = dict[Player, Floats]


@dataclass(frozen=True, eq=False)
class Place:
    """A state that the run came through, and what the lens sees there."""

    step: int
    state: State
    reading: TermSamples


@dataclass(eq=False)
class _Piece:
    start: Place
    end: Place
    shares: Shares | None
    """None where the draws of a mixed state are not all finite."""
    doubt: Shares
    cuts: int
    """How many have led to it. Without one, the doubt is that of the order in which the players
    move."""
    inside: list[tuple[int, State]]
    """Where it may be cut."""


class Path:
    """The pieces of a span.

    Args:
        start: of the span.
        end: of the span.
        between: states that the run came through, each with its step.
        moved: who has changed over the span.
        player: who answers for a parameter.
        see: what the lens sees at a state.
    """

    def __init__(
        self,
        start: Place,
        end: Place,
        between: Sequence[tuple[int, State]],
        *,
        moved: Sequence[Player],
        player: Callable[[str], Player | None],
        see: Callable[[State], TermSamples],
    ) -> None:
        self._moved, self._player, self._see = moved, player, see
        self._terms: tuple[Term, ...] = end.reading.terms
        self._pieces = [self._piece(start, end, between, cuts=0)]

    def cut(self, most: int = MOST_CUTS, seconds: float = math.inf) -> None:
        """Cut it where that changes the shares.

        Args:
            most: cuts.
            seconds: of this process's own time, after which there is no further cut; one there is.
        """
        end = time.process_time() + seconds
        for _ in range(most):
            worst = self._worst()
            if worst is None:
                return
            self._cut(worst)
            if time.process_time() > end:
                return

    @property
    def shares(self) -> PathShares | None:
        """The sums over the pieces; None where they are not finite."""
        if any(piece.shares is None for piece in self._pieces):
            return None
        return PathShares(
            {p: _sum((one.shares or {})[p] for one in self._pieces) for p in self._moved},
            {p: _sum(one.doubt[p] for one in self._pieces) for p in self._moved},
        )

    def _piece(
        self, start: Place, end: Place, inside: Sequence[tuple[int, State]], *, cuts: int
    ) -> _Piece:
        every = {frozenset[Player](): start.reading, frozenset(self._moved): end.reading}
        for some in subsets(self._moved):
            if 0 < len(some) < len(self._moved):
                every[some] = self._see(self._mixed(some, start.state, end.state))
        shares, doubt = None, {p: np.zeros(len(self._terms)) for p in self._moved}
        # The shares of a single step are what they are, whoever is thought to move first.
        single = end.step == start.step + 1
        if not any(one.unusable for one in every.values()):
            rows = {some: one.rows(self._terms) for some, one in every.items()}
            shares = shapley(rows, self._moved)
            if not single:
                doubt = {p: _by_order(rows, p) for p in self._moved}
        inside = [one for one in inside if start.step < one[0] < end.step]
        return _Piece(start, end, shares, doubt, cuts, list(inside))

    def _mixed(self, moved: frozenset[Player], start: State, end: State) -> State:
        """The values at the end, but for the parameters of those who have not moved."""
        return {
            name: value if self._player(name) in moved else start.get(name, value)
            for name, value in end.items()
            if self._player(name) is not None
        }

    def _worst(self) -> _Piece | None:
        """The piece to be cut next; None if that is not worth while, or not to be had."""
        missing = [piece for piece in self._pieces if piece.shares is None]
        if missing:
            return missing[0] if missing[0].inside else None
        long = [one for one in self._pieces if one.inside and one.cuts < LEAST_CUTS]
        if long:
            return long[0]
        pairs = [(doubt, i) for i, doubt in enumerate(self._doubts()) if self._pieces[i].inside]
        return self._pieces[max(pairs)[1]] if sum(doubt for doubt, _ in pairs) > 1.0 else None

    def _doubts(self) -> list[float]:
        """The doubt of each piece, in units of what does not matter."""
        totals = [
            np.abs(_sum(mean((one.shares or {})[p]) for one in self._pieces)) for p in self._moved
        ]
        bounds = np.maximum(PATH_NATS / 2, FINE * np.max(totals, axis=0))
        parts = [[np.abs(one.doubt[p]) / bounds for p in self._moved] for one in self._pieces]
        with np.errstate(invalid="ignore"):
            return [float(np.max(np.nan_to_num(part)[:, :BLOCK_TERMS])) for part in parts]

    def _cut(self, piece: _Piece) -> None:
        step, state = self._middle(piece)
        reading = self._see(state)
        if reading.unusable:
            piece.inside = [one for one in piece.inside if one[0] != step]
            return
        place = Place(step, state, reading)
        halves = [
            self._piece(piece.start, place, piece.inside, cuts=piece.cuts + 1),
            self._piece(place, piece.end, piece.inside, cuts=piece.cuts + 1),
        ]
        at = self._pieces.index(piece)
        self._pieces[at : at + 1] = halves
        first, last = (half.shares for half in halves)
        if piece.shares is None or first is None or last is None:
            return
        # Where a step stands alone, what is in doubt is the rest.
        rest = [half for half in halves if half.end.step > half.start.step + 1]
        for half in rest:
            half.doubt = {
                p: mean(first[p] + last[p] - piece.shares[p]) / len(rest) for p in self._moved
            }

    def _middle(self, piece: _Piece) -> tuple[int, State]:
        """The state that lies farthest from both ends, each player's way counting alike."""
        from_start, to_end = torch.zeros(len(piece.inside)), torch.zeros(len(piece.inside))
        for player in self._moved:
            names = [name for name in piece.end.state if self._player(name) == player]
            here = torch.tensor([_far(piece.start.state, s, names) for _, s in piece.inside])
            there = torch.tensor([_far(s, piece.end.state, names) for _, s in piece.inside])
            longest = float((here + there).max())
            if longest > 0:
                from_start, to_end = from_start + here / longest, to_end + there / longest
        nearer = torch.minimum(from_start, to_end)
        return piece.inside[int(torch.nan_to_num(nearer).argmax())]


def _by_order(rows: dict[frozenset[Player], Floats], player: Player) -> Floats:
    """Half of the difference that it makes whether a player moves first or last, (terms,)."""
    every = max(rows, key=len)
    alone = frozenset({player})
    first, last = rows[alone] - rows[frozenset()], rows[every] - rows[every - alone]
    return 0.5 * mean(first - last)


def _far(one: State, other: State, names: Iterable[str]) -> float:
    """How far apart two states are: Euclidean, unconstrained."""
    parts = [
        float(torch.linalg.vector_norm(real(other[name] - one[name]).double()))
        for name in names
        if name in one and name in other
    ]
    return math.hypot(*parts)


def _sum(parts: Iterable[Floats]) -> Floats:
    return np.asarray(np.sum(list(parts), axis=0))
