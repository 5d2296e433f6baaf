"""Which two lens points a change is attributed between: the newest update, a record, a mark…"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from tui_elbo.client.run_state import Run
from tui_elbo.model.attribution import (
    ONE_BY_ONE,
    SUM_TERMS,
    TOO_FAR_APART,
    LensPoint,
    ObservedTerms,
    Term,
    TermAttribution,
    attribute_change,
)
from tui_elbo.model.bound import bound_lines, evidence_gap_lines
from tui_elbo.model.history import History
from tui_elbo.model.records import Column
from tui_elbo.model.sentences import SpanSummary, summarize_span

ELBO = 2
"""Its row in every point."""

Kind = Literal["start", "mark", "look", "record", "update"]

KINDS: tuple[Kind, ...] = ("start", "mark", "look", "record", "update")
"""In the order in which the key cycles through them."""


@dataclass(frozen=True, eq=False)
class Span:
    """Two lens points, and the observed terms of the records drawn from them."""

    start: LensPoint
    end: LensPoint
    words: str
    """Which span it is, for a title; does not change while the run goes on."""
    last: str
    """Where it ends, in one or two words."""
    before: ObservedTerms
    """The terms of the record drawn from `start`; empty if there is none."""
    after: ObservedTerms

    @cached_property
    def shares(self) -> Mapping[Term, TermAttribution]:
        """The attribution of the terms that belong to no single site."""
        start, end = self.start.without_sites(), self.end.without_sites()
        return attribute_change(start, end, self.before, self.after)

    def by_site(self) -> Mapping[Term, TermAttribution]:
        """The attribution of each site, as far as it has been kept; no observed change."""
        shares = attribute_change(self.start, self.end)
        return {term: share for term, share in shares.items() if term.site}

    @property
    def summary(self) -> SpanSummary:
        """The numbers that a sentence is chosen from."""
        start, end = self.start.without_sites(), self.end.without_sites()
        return summarize_span(
            start, end, self.shares, latents=self.end.latents, delta_latents=self.end.delta_latents
        )


class SpanChoice:
    """Which span is shown, and where the mark is."""

    def __init__(self) -> None:
        self.kind: Kind = "start"
        self.mark: int | None = None
        """The step that is marked; None for none."""

    def next(self, look: int | None) -> Kind:
        """Show the next kind of span that is available.

        Args:
            look: the step looked at; None follows the newest.
        """
        absent = {"mark": self.mark is None, "look": look is None}
        at = KINDS.index(self.kind)
        turned = KINDS[at + 1 :] + KINDS[: at + 1]
        self.kind = next(kind for kind in turned if not absent.get(kind))
        return self.kind

    def toggle(self, step: int) -> bool:
        """Mark a step and show the change since; remove the mark if it is there already."""
        marked = self.mark != step
        self.mark = step if marked else None
        if marked or self.kind == "mark":
            self.kind = "mark" if marked else "start"
        return marked

    def taken_back(self, last: int) -> None:
        """The run stands at an earlier step now."""
        if self.mark is not None and self.mark > last:
            self.mark = None

    def span(self, run: Run, look: int | None) -> Span | None:
        """The two points, as far as the lens has looked; None if it has not.

        Args:
            run: the run.
            look: the step looked at; None follows the newest. What is shown ends there, but for
                the span since the look cursor, which ends at the newest record.
        """
        kind = self.kind
        if (kind == "look" and look is None) or (kind == "mark" and self.mark is None):
            kind = "start"
        shown = run.step if look is None or kind == "look" else look
        if kind != "update":
            begin = {"start": 1, "mark": self.mark or 1, "look": look or 1}.get(kind)
            found = _between_records(run, begin, shown, kind)
            if found is not None:
                return found
        return _update(run, shown)


def _between_records(run: Run, begin: int | None, shown: int, kind: Kind) -> Span | None:
    """From the record `begin` (the one before the last if None) to the last up to `shown`."""
    first, last = sorted((begin or shown, shown))
    end = run.lens_history.latest(last - 1)
    if end is None or _is_blind(end):
        return None
    since = end.since if begin is None else first - 1
    start = run.lens_history.latest_usable(since)
    if start is None and begin is not None:
        start = run.lens_history.first_usable
    if start is None or start.state >= end.state:
        return None
    records = start.state + 1, end.state + 1
    words: dict[Kind, str] = {
        "start": f"since step {start.state}",
        "mark": f"since {records[0]} (mark)",
        "look": f"since {records[0]} (look)",
        "record": "the last record",
    }
    observed = (_observed(run.history, record) for record in records)
    return Span(start, end, words[kind], f"to {records[1]}", *observed)


def _update(run: Run, shown: int) -> Span | None:
    """The newest update up to the step shown; nothing has been drawn after it yet."""
    end = run.lens_history.latest(shown)
    start = None if end is None else run.lens_history.latest_usable(end.since)
    if end is None or _is_blind(end) or start is None or start.state >= end.state:
        return None
    one = end.state == start.state + 1
    last = f"step {end.state}" if one else f"{start.state + 1}-{end.state}"
    return Span(start, end, "the newest update", last, {}, {})


def _is_blind(point: LensPoint) -> bool:
    """Whether nobody has looked there, so that nothing can be said of who moved what."""
    return point.unusable and not point.players


def unseen(run: Run, step: int) -> str:
    """Why the lens sees nothing at a step, in words; empty if it does, or has not looked yet."""
    newest = run.lens_history.latest(step)
    return newest.note if newest is not None and newest.unusable else ""


def _observed(history: History, step: int) -> ObservedTerms:
    """The terms of that step's record; empty if there is no such step."""
    layout = history.layout_at(step)
    if layout is None:
        return {}

    def known(columns: Iterable[Column]) -> list[float]:
        present = (column for column in columns if column in layout.index)
        return [float(history.values(column)[step - 1]) for column in present]

    found = {}
    for term in SUM_TERMS[:3]:
        for value in known([Column("step", "", term.field)]):
            found[term] = value
    if SUM_TERMS[0] in found:
        for term, observed in zip(SUM_TERMS[3:], (True, False), strict=True):
            sites = (site.name for site in layout.sites if site.observed == observed)
            found[term] = sum(known(Column("site", name, "log_p") for name in sites))
    return found


def gap(run: Run, span: Span | None) -> tuple[str, ...]:
    """The importance-weighted bound there, else the gap; and what ails the lens, as lines.

    Args:
        run: the run.
        span: the gap is that at its end.
    """
    if span is None or span.end.unusable:
        return ()
    end, lines = span.end, tuple[str, ...]()
    evidence = run.loaded.reference.get("log_evidence") if run.loaded is not None else None
    if run.weighed is not None and abs(run.weighed.step - end.state) <= 1:
        lines = bound_lines(run.weighed.bound)
    elif evidence is not None:
        value, error = end.value[ELBO], end.error[ELBO]
        players = end.players
        lines = evidence_gap_lines(
            float(evidence), float(value), float(error), players, end.delta_latents
        )
    if any(not share.split for share in span.shares.values()):
        lines = (f"?: {TOO_FAR_APART}", *lines)
    return (*lines, end.note) if end.note and ONE_BY_ONE not in end.note else lines


assert SUM_TERMS[ELBO].field == "elbo"
