"""Looks at a run through the lens when a look is due, and tells what it sees.

By hand each step is looked at, while the looks asked for together take no more than a second;
running freely, they take a tenth of the time at most. A look that lasts gives way to commands.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from tui_elbo import protocol
from tui_elbo.accounts import Point
from tui_elbo.engine.attribution import Attribution
from tui_elbo.engine.due import Budget
from tui_elbo.engine.gradients import Pulls
from tui_elbo.engine.lens import GaveWay
from tui_elbo.engine.session import Session
from tui_elbo.protocol import Event, Weighed
from tui_elbo.records import Batch
from tui_elbo.sightings import Sighting

SHARE = 1 / 9
"""Of the time that steps take: a tenth of the whole."""

BY_HAND = 1.0
"""Seconds that the looks at steps taken by hand may last, for one command."""

PATIENCE = 0.1
"""Seconds after which a look gives way to a command that waits."""


class Onlooker:
    """Follows one session.

    Args:
        session: standing at step 0.
        draws: of the lens; None: its own default.
        send: takes the events.
        waiting: whether a command waits to be carried out.
    """

    def __init__(
        self,
        session: Session,
        draws: int | None,
        *,
        send: Callable[[Event], None],
        waiting: Callable[[], bool],
    ) -> None:
        self.owed = False
        """Whether a look is due at the step at which the session stands."""
        self._session, self._send, self._waiting = session, send, waiting
        self._attribution = Attribution(session, draws)
        self._budget, self._by_hand = Budget(SHARE), 0.0
        self._last = -1

    def close(self) -> None:
        """Follow no longer."""
        self._attribution.close()
        self.owed = False

    def asked(self) -> None:
        """Steps have been asked for by hand."""
        self._by_hand = 0.0

    @property
    def each(self) -> bool:
        """Whether to look at each step, when they are taken by hand."""
        return self._by_hand < BY_HAND

    def stepped(self, batches: Sequence[Batch], seconds: float, *, by_hand: bool) -> None:
        """Steps have been taken.

        Args:
            batches: what was told of them.
            seconds: how long they took.
            by_hand: whether they were asked for one by one.
        """
        self._attribution.learn(batches)
        self._budget.took(0.0, seconds)
        self.owed = self.each if by_hand else self._budget.at(0)

    def stands(self) -> None:
        """The run stands still now: whoever looks wants to see this step."""
        self.owed = self._last != self._session.steps_taken > 0

    def went_back(self) -> None:
        """The run has been taken back."""
        self._last = self._attribution.go_back(self._session.steps_taken)
        self.stands()

    def failed(self) -> None:
        """A step has failed: there is nothing new to see."""
        self.owed = False

    def look(self) -> None:
        """Take the look that is due; it is still due if a command did not wait."""
        began = time.perf_counter()

        def give_way() -> bool:
            return time.perf_counter() - began > PATIENCE and self._waiting()

        self.owed = False
        try:
            if self._last < 0:
                self._tell(self._attribution.begin(give_way))
            self._tell(self._attribution.point(give_way))
        except GaveWay:
            self.owed = True
        finally:
            cost = time.perf_counter() - began
            self._budget.took(cost, 0.0)
            self._by_hand += cost

    def weigh(self, draws: int) -> None:
        """Take importance weights at the present step."""
        if self._session.steps_taken:
            bound = self._attribution.weigh(draws)
            self._send(Weighed(self._session.steps_taken, bound))

    def pull(self, since: int) -> None:
        """Tell what pulls at each parameter."""
        if not self._session.steps_taken:
            return
        start, changes = self._attribution.changes(since)
        pulls = self._attribution.pulls()
        order = sorted(changes, key=lambda name: -changes[name])
        rows = [(name, *_row(changes[name], pulls.get(name))) for name in order]
        self._send(protocol.pulled(self._session.steps_taken, start, rows))

    def _tell(self, point: Point) -> None:
        latents, points = self._attribution.latents
        posterior = self._attribution.posterior if point.draws else {}
        self._send(protocol.looked(Sighting(point, len(latents), len(points), posterior)))
        self._last = point.state


def _row(change: float, pulls: Pulls | None) -> tuple[str, list[float]]:
    """Why there are no gradients, and the numbers."""
    if pulls is None:
        return "the lens could not look", [change, *[math.nan] * 6]
    numbers = [change]
    for one in (pulls.log_p, pulls.log_q, pulls.elbo):
        numbers += [math.nan, math.nan] if one is None else [one.norm, one.snr]
    return pulls.reason, numbers
