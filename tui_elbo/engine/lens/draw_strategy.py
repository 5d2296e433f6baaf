"""How a scenario is drawn from: plainly, or with its discrete sites summed out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyro.poutine.messenger import Messenger

from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.draws import Traces, run, run_many
from tui_elbo.engine.lens.enumerated import summed_many, summed_one


@dataclass(frozen=True)
class Way:
    """Draws from one scenario, under the random state that there is."""

    model: Any
    guide: Any
    nesting: int
    """How many dimensions its plates take."""
    enumerated: bool
    """Whether its estimator enumerates a site of it."""

    def one(self, args: tuple[Any, ...], *outer: Messenger) -> Traces:
        """A single draw.

        Args:
            args: of model and guide.
            outer: what is around each of the two.
        """
        with users_code():
            if self.enumerated:
                return summed_one(self.model, self.guide, args, self.nesting, *outer)
            return run(self.model, self.guide, args, *outer)

    def many(self, args: tuple[Any, ...], draws: int, seed: int) -> Traces:
        """So many draws in a plate, seeded."""
        way = summed_many if self.enumerated else run_many
        with users_code():
            return way(self.model, self.guide, args, draws=draws, nesting=self.nesting, seed=seed)
