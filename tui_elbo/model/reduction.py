"""A long column of numbers reduced to few stretches of steps, step by step as it grows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tui_elbo.model.records import Floats

STRETCHES = 1024
"""At most so many stretches are kept of a column."""


def _zeros() -> Floats:
    return np.zeros(STRETCHES)


@dataclass(eq=False)
class Reduction:
    """The means over stretches of equally many steps, whose number doubles when there are too many.

    What is not finite is in no mean; it is counted.
    """

    width: int = 1
    """Steps of a stretch: a power of two."""
    steps: int = 0
    """How many numbers it has been given."""
    first_broken: int = 0
    """The 1-based step of the first that is not finite; 0 if all are."""
    _sums: Floats = field(default_factory=_zeros)
    _counts: Floats = field(default_factory=_zeros)
    _broken: Floats = field(default_factory=_zeros)

    def extend(self, values: Floats) -> None:
        """Add the numbers of the steps that follow, shape (steps,)."""
        if not len(values):
            return
        while self.steps + len(values) > STRETCHES * self.width:
            self._double()
        finite = np.isfinite(values)
        if not self.first_broken and not finite.all():
            self.first_broken = self.steps + 1 + int(np.argmin(finite))
        place = (self.steps + np.arange(len(values))) // self.width
        for total, weights in (
            # A sum of huge numbers stays finite if each takes its share first.
            (self._sums, np.where(finite, values, 0.0) / self.width),
            (self._counts, finite / self.width),
            (self._broken, ~finite),
        ):
            np.add(total, np.bincount(place, weights, minlength=STRETCHES), out=total)
        self.steps += len(values)

    def copy(self) -> Reduction:
        """One that goes on by itself."""
        parts = (self._sums.copy(), self._counts.copy(), self._broken.copy())
        return Reduction(self.width, self.steps, self.first_broken, *parts)

    def skip(self, steps: int) -> None:
        """There is no such number in so many steps that follow."""
        while self.steps + steps > STRETCHES * self.width:
            self._double()
        self.steps += steps

    @property
    def empty(self) -> bool:
        """Whether there is no number in it at all."""
        return not self._counts.any() and not self._broken.any()

    def _double(self) -> None:
        self.width *= 2
        for sums, share in ((self._sums, 0.5), (self._counts, 0.5), (self._broken, 1.0)):
            merged = share * sums.reshape(-1, 2).sum(1)
            sums[:] = 0.0
            sums[: len(merged)] = merged

    @property
    def means(self) -> Floats:
        """Of each stretch; NaN where no number is finite."""
        used = -(-self.steps // self.width)
        counts = self._counts[:used]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counts > 0, self._sums[:used] / counts, np.nan)

    def over(self, span: int, columns: int) -> tuple[Floats, Floats]:
        """The means over each of `columns` equal parts of `span` steps, and where some is broken.

        Returns:
            The means, NaN where there is nothing: where stretches are wider than columns, as at
            the beginning of a run, the columns between two of them are NaN as well. And how many
            numbers are not finite. Both of shape (columns,).
        """
        used = -(-self.steps // self.width)
        middle = np.minimum(np.arange(used) * self.width + (self.width - 1) / 2, self.steps - 1)
        place = np.clip(((middle + 0.5) * columns / span).astype(np.int64), 0, columns - 1)
        sums, counts, broken = (
            np.bincount(place, part[:used], minlength=columns).astype(np.float64)
            for part in (self._sums, self._counts, self._broken)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counts > 0, sums / counts, np.nan), broken
