"""Which numbers of a run go where on the screen, and under which name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui_elbo.records import Column, Floats, Layout
from tui_elbo.ui.state import Run
from tui_elbo.ui.status import Standing

TERMS = (("elbo", "elbo"), ("log q", "log_q"), ("log p", "log_p"))
"""The status line's names and the columns that they stand for."""

HINT = "n steps, space runs"


@dataclass(frozen=True, eq=False)
class CurveOf:
    """What one of the three curve panes shows."""

    id: str
    title: str
    values: Floats
    references: tuple[tuple[str, float], ...] = ()
    note: str = ""


def curves(run: Run) -> list[CurveOf]:
    """The three curves, from top to bottom."""
    layout, history = run.history.layout, run.history
    hint = "" if run.step or run.phase or run.loaded is None else HINT
    log_p = history.values(Column("step", "", "log_p"))
    log_q = history.values(Column("step", "", "log_q"))
    missing = layout.note if layout and not _has(layout, "log_p") else ""
    return [
        CurveOf("log_p", "log p(x, z)", log_p, note=missing or hint),
        CurveOf("log_q", "log q(z)", log_q, note=missing),
        _elbo(run, layout),
    ]


def _elbo(run: Run, layout: Layout | None) -> CurveOf:
    """The ELBO; where the estimator gives none, what it does give."""
    history = run.history
    if layout is not None and not _has(layout, "elbo"):
        if not _has(layout, "loss"):
            return CurveOf("elbo", "ELBO", np.empty(0), note=layout.note)
        return CurveOf("elbo", "-loss", -history.values(Column("step", "", "loss")))
    values = history.values(Column("step", "", "elbo"))
    if run.loss_apart and run.step:
        loss = history.values(Column("step", "", "loss"))[-1]
        return CurveOf("elbo", f"ELBO {values[-1]:#.6g}, loss {loss:#.6g}", values, _lines(run))
    return CurveOf("elbo", "ELBO", values, _lines(run))


def _has(layout: Layout, field: str) -> bool:
    return Column("step", "", field) in layout.index


def _lines(run: Run) -> tuple[tuple[str, float], ...]:
    """The scenario's reference values for the ELBO; one that is both is drawn once."""
    reference = run.loaded.reference if run.loaded else {}
    evidence, best = reference.get("log_evidence"), reference.get("elbo")
    lines = []
    if evidence is not None:
        lines.append(("log p(x)", float(evidence)))
    if best is not None and (evidence is None or abs(best - evidence) > 1e-3):
        lines.append(("best", float(best)))
    return tuple(lines)


def standing(run: Run, *, running: bool, count: str) -> Standing:
    """What the status line tells."""
    step, layout = run.step, run.history.layout
    terms: list[tuple[str, float | None]] = []
    if step and layout:
        for name, field in TERMS:
            has = _has(layout, field)
            value = float(run.history.values(Column("step", "", field))[-1]) if has else None
            terms.append((name, value))
        if not _has(layout, "elbo") and _has(layout, "loss"):
            terms[0] = ("loss", float(run.history.values(Column("step", "", "loss"))[-1]))
    loaded, level = run.loaded, run.level
    moving = running and not run.dead
    return Standing(
        step=step,
        terms=tuple(terms),
        phase="" if run.dead else run.phase,
        running=moving,
        rate=level.rate if level and moving else 0.0,
        count=count,
        dead=bool(run.dead),
        about=(loaded.name, loaded.estimator, loaded.optimizer) if loaded else (),
    )
