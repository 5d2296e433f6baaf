"""`elbo-tui run --lens`: points of the lens along a run, and the lines that they become."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from tui_elbo.accounts import Observed, Point, Share, account, observed
from tui_elbo.readings import OWN, PLAYERS
from tui_elbo.records import Batch, record_of

if TYPE_CHECKING:
    from tui_elbo.engine.attribution import Attribution
    from tui_elbo.engine.session import Session

MAIN = OWN[:3]
"""The terms of a line."""


class Lensed:
    """Takes the point of record 1 and of each so many-th record of a run.

    Args:
        session: standing at step 0.
        attribution: follows it.
        every: between the records that are looked at.
        steps: the last step that the run is to take.
        out: takes a JSON line for each; None for none.
    """

    def __init__(
        self,
        session: Session,
        attribution: Attribution,
        *,
        every: int,
        steps: int,
        out: TextIO | None = None,
    ) -> None:
        self.points: list[Point] = []
        self.seen: dict[int, Observed] = {}
        """What the record says that was drawn from a point's state, by state."""
        self._session, self._attribution = session, attribution
        self._every, self._steps, self._out = every, steps, out

    def most(self) -> int:
        """How many steps the run may take before it has to stand still for the lens."""
        now = self._session.steps_taken
        if now == 0 or (now + 1) % self._every == 0 or self._every == 1:
            return 1
        return self._every - 1 - now % self._every

    def take(self, batches: list[Batch]) -> None:
        """Take in the next steps, and look from where the session stands."""
        self._attribution.learn(batches)
        now = self._session.steps_taken
        if not self.points and now:
            self.points.append(self._attribution.begin())
        for batch in batches:
            state = batch.first - 1
            if state == self.points[-1].state:
                record = record_of(batch.layout, batch.first, batch.values[:, 0])
                self.seen[state] = observed(record)
                self._tell()
        if now and (now + 1) % self._every == 0 and now < self._steps:
            self.points.append(self._attribution.point())

    def _tell(self) -> None:
        if self._out is not None:
            self._out.write(msgspec.json.encode({"lens": line(self.points, self.seen)}).decode())
            self._out.write("\n")
            self._out.flush()


def line(points: list[Point], seen: dict[int, Observed]) -> dict[str, Any]:
    """What is printed of the last of these points.

    Args:
        points: those of the run so far, in order.
        seen: the records drawn from their states.
    """
    point = points[-1]
    before = next(p for p in points if p.state == point.since)
    interval = account(before, point, seen.get(before.state), seen.get(point.state))
    total = account(points[0], point, seen.get(points[0].state), seen.get(point.state))
    told: dict[str, Any] = {"step": point.state + 1, "draws": point.draws}
    if point.bad:
        told["bad_draws"] = point.bad
    if point.note:
        told["note"] = point.note
    for row, term in enumerate(point.terms):
        if term not in MAIN:
            continue
        told[term.field] = {
            "value": _number(point.value[row]),
            "mcse": _number(point.error[row]),
            "interval": _share(interval[term]),
            "total": _share(total[term]),
            "interval_mcse": _errors(interval[term]),
            "total_mcse": _errors(total[term]),
        }
    return told


def _share(share: Share) -> dict[str, float | None]:
    names = [name for name in PLAYERS if name != "both" or name in share.moved]
    told = {str(name): share.moved.get(name, 0.0) for name in names}
    told |= {"draw": share.draw, "observed": share.observed}
    return {name: _number(value) for name, value in told.items()}


def _errors(share: Share) -> dict[str, float | None]:
    names = [name for name in PLAYERS if name != "both" or name in share.moved]
    return {name: _number(share.errors.get(name, 0.0)) for name in names}


def _number(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return float(value) if math.isfinite(value) else None
