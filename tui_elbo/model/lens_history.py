"""What the lens has seen along a run: points in order, each with the posterior at its state."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tui_elbo.model.attribution import Point
from tui_elbo.model.lens_values import OWN, PLAYERS, Player, Term
from tui_elbo.model.records import Floats

MEMORY = 2**26
"""Bytes for what is told of single sites and latents; of older points it is given up first."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """What the lens saw at one parameter state."""

    point: Point
    latents: int = 0
    """How many sites the guide draws."""
    points: int = 0
    """How many of them are points: a Delta in the guide."""
    posterior: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """Mean and standard deviation of each small latent, (elements,) each."""

    @property
    def state(self) -> int:
        """The parameters after so many steps."""
        return self.point.state

    @property
    def blind(self) -> bool:
        """Whether nothing can be compared with it."""
        total = self.point.total
        gap = bool(total.size and np.isnan(total).all())
        return self.point.bad > 0 or self.point.draws == 0 or gap

    @property
    def size(self) -> int:
        """Bytes, about."""
        point = self.point
        numbers = (3 + 4 * len(point.players)) * len(point.terms) + point.blocks.size
        return 8 * (numbers + sum(2 * len(mean) for mean, _ in self.posterior.values()))

    def bare(self) -> Sighting:
        """The same without what is told of single sites and latents."""
        point, own = self.point, len(OWN)
        tables = {
            name: getattr(point, name)[..., :own]
            for name in (
                "value", "error", "spread", "share", "share_error", "total", "total_error"
            )
        }  # fmt: skip
        return replace(self, point=replace(point, terms=OWN, **tables), posterior={})


class Sightings:
    """The sightings of a run, by state.

    Args:
        memory: bytes for what is told of single sites and latents.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._seen: list[Sighting] = []
        self._columns: dict[tuple[str, Term], Floats] = {}
        self._memory, self._size, self._bared = memory, 0, 1

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[Sighting]:
        return iter(self._seen)

    def add(self, seen: Sighting) -> None:
        """Take in the next one; those that it does not build upon no longer hold."""
        since = min(seen.point.since, seen.state - 1)
        later = self._seen[bisect_right(self._seen, since, key=lambda one: one.state) :]
        self.forget_after(since)
        for one in [one for one in later if one.blind and one.state < seen.state] + [seen]:
            self._append(one)

    def _append(self, seen: Sighting) -> None:
        self._seen.append(seen)
        self._size += seen.size
        self._enter(seen)
        while self._size > self._memory and self._bared < len(self._seen) - 1:
            old = self._seen[self._bared]
            self._seen[self._bared] = new = old.bare()
            self._size -= old.size - new.size
            self._bared += 1

    def forget_after(self, state: int) -> None:
        """Drop those of later states: the run has been taken back."""
        while self._seen and self._seen[-1].state > state:
            self._drop()

    def at(self, state: int) -> Sighting | None:
        """The last one that is not blind, of a state not after this one; None if there is none."""
        index = bisect_right(self._seen, state, key=lambda seen: seen.state)
        places = range(index - 1, -1, -1)
        return next((self._seen[i] for i in places if not self._seen[i].blind), None)

    @property
    def first(self) -> Sighting | None:
        """The first one that is not blind; of a run that was joined late, not that of step 0."""
        return next((seen for seen in self._seen if not seen.blind), None)

    def newest(self, state: int) -> Sighting | None:
        """The last one of a state not after this one, blind or not; None if there is none."""
        index = bisect_right(self._seen, state, key=lambda seen: seen.state)
        return self._seen[index - 1] if index else None

    def values(self, term: Term, last: int) -> Floats:
        """A term of `OWN` as the lens sees it, index `state`, of `last` states; else NaN."""
        return self._column("", term, last)

    def totals(self, player: Player, term: Term, last: int) -> Floats:
        """What a player did to a term since the first point, likewise."""
        return self._column(player, term, last)

    @property
    def players(self) -> tuple[Player, ...]:
        """Who there has been."""
        present = self._seen[-1].point.players if self._seen else ()
        return tuple(player for player in PLAYERS if player in present)

    def _drop(self) -> None:
        gone = self._seen.pop()
        self._size -= gone.size
        self._bared = max(1, min(self._bared, len(self._seen)))
        for column in self._columns.values():
            if gone.state < len(column):
                column[gone.state] = np.nan

    def _enter(self, seen: Sighting) -> None:
        """Put its own terms into the columns."""
        point, blind = seen.point, seen.blind
        for row, term in enumerate(OWN):
            self._put("", term, seen.state, np.nan if blind else float(point.value[row]))
            for index, player in enumerate(point.players):
                total = np.nan if blind else float(point.total[index, row])
                self._put(player, term, seen.state, total)

    def _put(self, of: str, term: Term, state: int, value: float) -> None:
        column = self._columns.get((of, term))
        if column is None or len(column) <= state:
            grown = np.full(max(1024, state + state // 2 + 1), np.nan)
            if column is not None:
                grown[: len(column)] = column
            self._columns[of, term] = column = grown
        column[state] = value

    def _column(self, of: str, term: Term, last: int) -> Floats:
        column = self._columns.get((of, term))
        if column is None or len(column) < last:
            padded = np.full(last, np.nan)
            if column is not None:
                padded[: len(column)] = column
            return padded
        return column[:last]
