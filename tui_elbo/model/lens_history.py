"""The lens points of a run, in order, each with the posterior at its state."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from tui_elbo.model.attribution import PLAYERS, SUM_TERMS, LensPoint, Player, Term
from tui_elbo.model.records import Floats

MAX_BYTES = 2**26
"""Bytes for the terms of single sites and the posteriors; older points lose theirs first."""


class LensHistory:
    """The lens points of a run, by state.

    Args:
        memory: bytes for the terms of single sites and the posteriors.
    """

    def __init__(self, memory: int = MAX_BYTES) -> None:
        self._points: list[LensPoint] = []
        self._columns: dict[tuple[str, Term], Floats] = {}
        self._memory, self._size, self._stripped = memory, 0, 1

    def __len__(self) -> int:
        return len(self._points)

    def __iter__(self) -> Iterator[LensPoint]:
        return iter(self._points)

    def add(self, point: LensPoint) -> None:
        """Append a point; later ones that it was not compared with are dropped."""
        since = min(point.since, point.state - 1)
        later = self._points[bisect_right(self._points, since, key=lambda one: one.state) :]
        self.forget_after(since)
        for one in [one for one in later if one.unusable and one.state < point.state] + [point]:
            self._append(one)

    def _append(self, point: LensPoint) -> None:
        self._points.append(point)
        self._size += point.size
        self._enter(point)
        while self._size > self._memory and self._stripped < len(self._points) - 1:
            old = self._points[self._stripped]
            self._points[self._stripped] = new = old.without_sites()
            self._size -= old.size - new.size
            self._stripped += 1

    def forget_after(self, state: int) -> None:
        """Drop those of later states: the run has been taken back."""
        while self._points and self._points[-1].state > state:
            self._drop()

    def latest_usable(self, state: int) -> LensPoint | None:
        """The last usable one up to this state; None if there is none."""
        index = bisect_right(self._points, state, key=lambda point: point.state)
        places = range(index - 1, -1, -1)
        return next((self._points[i] for i in places if not self._points[i].unusable), None)

    @property
    def first_usable(self) -> LensPoint | None:
        """The first usable one; for a script attached to late that is not step 0."""
        return next((point for point in self._points if not point.unusable), None)

    def latest(self, state: int) -> LensPoint | None:
        """The last one up to this state, usable or not; None if there is none."""
        index = bisect_right(self._points, state, key=lambda point: point.state)
        return self._points[index - 1] if index else None

    def values(self, term: Term, last: int) -> Floats:
        """A term of `SUM_TERMS` by the lens, index `state`, for `last` states; else NaN."""
        return self._column("", term, last)

    def totals(self, player: Player, term: Term, last: int) -> Floats:
        """What a player changed of a term since the first point, likewise."""
        return self._column(player, term, last)

    @property
    def players(self) -> tuple[Player, ...]:
        """The players of the newest point."""
        present = self._points[-1].players if self._points else ()
        return tuple(player for player in PLAYERS if player in present)

    def _drop(self) -> None:
        gone = self._points.pop()
        self._size -= gone.size
        self._stripped = max(1, min(self._stripped, len(self._points)))
        for column in self._columns.values():
            if gone.state < len(column):
                column[gone.state] = np.nan

    def _enter(self, point: LensPoint) -> None:
        """Put the sums over sites into the columns."""
        unusable = point.unusable
        for row, term in enumerate(SUM_TERMS):
            self._put("", term, point.state, np.nan if unusable else float(point.value[row]))
            for index, player in enumerate(point.players):
                total = np.nan if unusable else float(point.total[index, row])
                self._put(player, term, point.state, total)

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
