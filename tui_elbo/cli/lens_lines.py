"""`elbo-tui run --lens`: points of the lens along a run, and the lines that they become."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from tui_elbo.cli.attribution_text import accounts, spoken
from tui_elbo.cli.options import whole
from tui_elbo.model.attribution import (
    PLAYERS,
    SUM_TERMS,
    LensPoint,
    ObservedTerms,
    Term,
    TermAttribution,
    attribute_change,
    observed_terms,
)
from tui_elbo.model.errors import UsageError
from tui_elbo.model.records import Batch, record_of

if TYPE_CHECKING:
    from tui_elbo.engine.lens.attribution import Attribution
    from tui_elbo.engine.session import Session

MAIN = SUM_TERMS[:3]
"""The terms of a line."""


def add_lens_options(options: argparse.ArgumentParser) -> None:
    """Add what `follow` reads."""
    options.add_argument(
        "--lens",
        type=whole(1),
        metavar="K",
        help="look at record 1 and each K-th through fixed draws: what moved log p and log q",
    )
    options.add_argument(
        "--draws", type=whole(2), metavar="M", help="of the lens; default: 256, fewer one by one"
    )


def follow(
    session: Session,
    chosen: argparse.Namespace,
    steps: int,
    out: TextIO,
    tell: Callable[[str], object],
) -> Lensed | None:
    """Follow a session as the options say; None if they do not ask for it.

    Raises:
        UsageError: if the options do not go together.
    """
    if chosen.lens is None:
        if chosen.draws is not None:
            raise UsageError("--draws says how often the lens draws, and there is no --lens")
        return None
    if chosen.csv:
        raise UsageError("--lens has lines of its own, for which a table has no place")
    from tui_elbo.engine.lens.attribution import Attribution  # noqa: PLC0415 - imports torch

    attribution = Attribution(session, chosen.draws)
    return Lensed(
        session, attribution, every=chosen.lens, steps=steps, out=out, json=chosen.json, tell=tell
    )


class Lensed:
    """Takes the point of record 1 and of each so many-th record of a run.

    Args:
        session: standing at step 0.
        attribution: follows it.
        every: between the records that are looked at.
        steps: the last step that the run is to take.
        out: takes what is printed.
        json: whether to print a line for each point, when its record is there; else the accounts
            of the whole run are printed at its end.
        tell: is told what is to be known of how the lens draws.
    """

    def __init__(
        self,
        session: Session,
        attribution: Attribution,
        *,
        every: int,
        steps: int,
        out: TextIO,
        json: bool,
        tell: Callable[[str], object] = id,
    ) -> None:
        self.points: list[LensPoint] = []
        self.seen: dict[int, ObservedTerms] = {}
        """What the record says that was drawn from a point's state, by state."""
        self._session, self._attribution = session, attribution
        self._every, self._steps = every, steps
        self._out, self._json, self._tell, self._told = out, json, tell, ""

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
            self._add(self._attribution.begin())
        for batch in batches:
            state = batch.first - 1
            if state == self.points[-1].state:
                record = record_of(batch.layout, batch.first, batch.values[:, 0])
                self.seen[state] = observed_terms(record)
                self._print()
        if now and (now + 1) % self._every == 0 and now < self._steps:
            self._add(self._attribution.point())

    def close(self) -> None:
        """Print what is left, and follow no longer."""
        self._attribution.close()
        known = self.known
        if not self._json and known:
            lines = ["", *accounts(known[0], known[-1], self.seen), ""]
            lines += [spoken(known[0], known[-1], self.seen, self._attribution)]
            self._out.write("\n".join(lines) + "\n")

    @property
    def known(self) -> list[LensPoint]:
        """The points whose records are there."""
        return [point for point in self.points if point.state in self.seen]

    def _add(self, point: LensPoint) -> None:
        self.points.append(point)
        if point.note != self._told:
            self._told = point.note
            self._tell(f"the lens, at step {point.state}: {point.note}")

    def _print(self) -> None:
        if self._json:
            told = {"lens": line(self.points, self.seen)}
            told |= {"mcse": errors(self.points, self.seen)}
            self._out.write(f"{msgspec.json.encode(told).decode()}\n")
            self._out.flush()


def line(points: list[LensPoint], seen: dict[int, ObservedTerms]) -> dict[str, Any]:
    """What is printed of the last of these points.

    Args:
        points: those of the run so far, in order.
        seen: the records drawn from their states.
    """
    point = points[-1]
    interval, total = _accounts(points, seen)
    told: dict[str, Any] = {"step": point.state + 1, "draws": point.draws}
    if point.nonfinite_draws:
        told["bad_draws"] = point.nonfinite_draws
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
        }
    return told


def errors(points: list[LensPoint], seen: dict[int, ObservedTerms]) -> dict[str, Any]:
    """The Monte Carlo standard errors of the shares in `line`, those of paired differences."""
    interval, total = _accounts(points, seen)
    return {
        term.field: {"interval": _errors(interval[term]), "total": _errors(total[term])}
        for term in MAIN
    }


def _accounts(
    points: list[LensPoint], seen: dict[int, ObservedTerms]
) -> tuple[dict[Term, TermAttribution], dict[Term, TermAttribution]]:
    """Since the point before, and since the first."""
    point = points[-1]
    after = seen.get(point.state)
    starts = next(p for p in points if p.state == point.since), points[0]
    interval, total = (attribute_change(p, point, seen.get(p.state), after) for p in starts)
    return interval, total


def _share(share: TermAttribution) -> dict[str, float | None]:
    names = [name for name in PLAYERS if name != "both" or name in share.shares]
    told = {str(name): share.shares.get(name, 0.0) for name in names}
    told |= {"draw": share.draw, "observed": share.observed}
    return {name: _number(value) for name, value in told.items()}


def _errors(share: TermAttribution) -> dict[str, float | None]:
    names = [name for name in PLAYERS if name != "both" or name in share.shares]
    return {name: _number(share.errors.get(name, 0.0)) for name in names}


def _number(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return float(value) if math.isfinite(value) else None
