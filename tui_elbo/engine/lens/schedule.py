"""Looks at a run through the lens when a look is due, and tells what it sees.

By hand each step is looked at, while the looks asked for together take no more than a second;
running freely, they take a fiftieth of the time at most. A look that lasts gives way to commands.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tui_elbo.engine.lens import Births, GaveWay
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.lens.gradients import Pulls
from tui_elbo.engine.lens.subject import Followed
from tui_elbo.engine.record.budget import Budget
from tui_elbo.model.attribution import LensPoint
from tui_elbo.model.records import Batch
from tui_elbo.protocol import (
    ComputeGradients,
    ComputeImportanceBound,
    Event,
    GradientsComputed,
    ImportanceBoundComputed,
    LensPointAdded,
)

SHARE = 1 / 50
"""Of the time that steps take. With sums and checkpoints, that leaves nine tenths of the rate."""

BY_HAND = 1.0
"""Seconds that the looks at steps taken by hand may last, for one command."""

QUICK = 0.05
"""Seconds of a look that nobody notices."""

PATIENCE = 0.1
"""Seconds after which a look gives way to a command that waits."""


class Onlooker:
    """Follows one session at a time; none at first, and none that has no lens.

    Args:
        send: takes the events.
        waiting: whether a command waits to be carried out.
        settling_counts: whether the first look, at which it is settled how the lens draws, is
            paid for like any other; else it is a part of loading.
    """

    def __init__(
        self,
        send: Callable[[Event], None],
        waiting: Callable[[], bool],
        *,
        settling_counts: bool = False,
    ) -> None:
        self.due = False
        """Whether a look is due at the step at which the session stands."""
        self.looking = False
        """Whether it was looking when an interrupt came."""
        self._send, self._waiting = send, waiting
        self._attribution: Attribution | None = None
        self._weighed, self._by_hand, self._cost = 0, 0.0, math.inf
        self._settling_counts = settling_counts

    @property
    def owed(self) -> bool:
        """Whether `look` has something to do."""
        return self.due or self._weighed > 0

    def follow(self, session: Followed, draws: int | None, births: Births | None = None) -> None:
        """Follow a session that stands at step 0.

        Args:
            session: the session.
            draws: of the lens; None: its own default; 0: there is none.
            births: as for `Attribution`.
        """
        self.leave()
        self._session, self._last, self._cost = session, -1, math.inf
        self._budget, self._by_hand, self._free = Budget(SHARE), 0.0, False
        if draws != 0:
            self._attribution = Attribution(session, draws, births)

    def leave(self) -> None:
        """Follow it no longer."""
        if self._attribution is not None:
            self._attribution.close()
        self._attribution, self.due, self._weighed = None, False, 0

    def asked(self) -> None:
        """Steps have been asked for by hand."""
        self._by_hand = 0.0

    @property
    def each(self) -> bool:
        """Whether to look at each step, when they are taken by hand."""
        return self._attribution is not None and self._by_hand < BY_HAND

    @property
    def quick(self) -> bool:
        """Whether one more look is not noticed."""
        return self._attribution is not None and self._cost < QUICK

    def learn(self, batches: Sequence[Batch]) -> None:
        """Take note of what was told of steps."""
        if self._attribution is not None:
            self._attribution.learn(batches)

    def stepped(self, batches: Sequence[Batch], seconds: float, *, by_hand: bool) -> None:
        """Steps have been taken.

        Args:
            batches: what was told of them.
            seconds: how long they took.
            by_hand: whether they were asked for one by one.
        """
        if self._attribution is None:
            return
        self.looking = False
        self.learn(batches)
        self._free = not by_hand
        self._budget.took(0.0, seconds)
        self.due = self.each if by_hand else self._budget.at(0)

    def stands(self) -> None:
        """The run stands still now: whoever looks wants to see this step."""
        if self._attribution is not None:
            self.due = self._last != self._session.steps_taken > 0

    def before_last(self) -> bool:
        """Whether to look before the last step of a run: accounts reach up to what was looked at
        when a record was drawn from it.
        """
        self.stands()
        return self.due

    def travelled(self, common: int) -> None:
        """The run stands elsewhere; what was seen holds up to the step `common`."""
        if self._attribution is not None:
            self._last = self._attribution.go_back(common)
            self.stands()

    def failed(self) -> None:
        """Something went wrong: there is nothing new to see."""
        self.due, self._weighed = False, 0

    def look(self) -> None:
        """Take the look that is due, else the weights; what is broken off is still to be done."""
        attribution, began = self._attribution, time.perf_counter()
        if attribution is None:
            return

        def give_way() -> bool:
            return time.perf_counter() - began > PATIENCE and self._waiting()

        self.looking, settling = True, self._last < 0
        try:
            if self.due:
                self._look(attribution, give_way)
            else:
                bound = attribution.weigh(self._weighed, give_way=give_way)
                self._weighed = 0
                self._send(ImportanceBoundComputed(self._session.steps_taken, bound))
            self.looking = False
        except GaveWay:
            self.looking = False
        finally:
            cost = time.perf_counter() - began
            if settling and not self._settling_counts:
                pass  # How the lens draws is settled once; that is part of loading.
            elif self._free:
                self._budget.took(cost, 0.0)
            else:
                self._by_hand += cost

    def _look(self, attribution: Attribution, give_way: Callable[[], bool]) -> None:
        if self._last < 0 and attribution.knows_beginning:
            self._tell(attribution, attribution.begin(give_way))
        began = time.perf_counter()
        self._tell(attribution, attribution.point(give_way))
        self.due, self._cost = False, time.perf_counter() - began

    def answer(self, command: ComputeImportanceBound | ComputeGradients) -> None:
        """Tell what is asked of the present step; nothing before the first."""
        attribution, step = self._attribution, self._session.steps_taken
        if attribution is None or not step:
            return
        if isinstance(command, ComputeImportanceBound):
            self._weighed = command.draws
            return
        start, changes = attribution.changes(command.since)
        pulls = attribution.pulls()
        order = sorted(changes, key=lambda name: -changes[name])
        rows = [_row(changes[name], pulls.get(name)) for name in order]
        reasons, values = tuple(reason for reason, _ in rows), [numbers for _, numbers in rows]
        table = np.array(values).reshape(len(order), 7)
        self._send(GradientsComputed(step, start, tuple(order), reasons, table))

    def _tell(self, attribution: Attribution, point: LensPoint) -> None:
        latents, points = attribution.latents
        posterior = attribution.posterior if point.draws else {}
        self._send(
            LensPointAdded(
                replace(point, latents=len(latents), delta_latents=len(points), posterior=posterior)
            )
        )
        self._last = point.state


def _row(change: float, pulls: Pulls | None) -> tuple[str, list[float]]:
    """Why there are no gradients, and the numbers."""
    if pulls is None:
        return "the lens could not look", [change, *[math.nan] * 6]
    numbers = [change]
    for one in (pulls.log_p, pulls.log_q, pulls.elbo):
        numbers += [math.nan, math.nan] if one is None else [one.norm, one.snr]
    return pulls.reason, numbers
