"""Which numbers of a run go where on the screen, and under which name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui_elbo.records import Column, Floats, Layout
from tui_elbo.ui.state import Run
from tui_elbo.ui.status import Standing
from tui_elbo.ui.text import number

TERMS = (("elbo", "elbo"), ("log q", "log_q"), ("log p", "log_p"))
"""The status line's names and the columns that they stand for."""

HINTS = ("n takes a step, space runs, i tells what to look at", "n steps, space runs")


@dataclass(frozen=True, eq=False)
class CurveOf:
    """What one of the three curve panes shows."""

    id: str
    title: str
    values: Floats
    references: tuple[tuple[str, float], ...] = ()


def curves(run: Run) -> list[CurveOf]:
    """The three curves, from top to bottom."""
    return [
        CurveOf("log_p", "log p(x, z)", _column(run, "log_p")),
        CurveOf("log_q", "log q(z)", _column(run, "log_q")),
        _elbo(run),
    ]


def why(run: Run) -> str:
    """Why the newest step has no log p and log q, in words; empty if it has them."""
    layout = run.history.layout
    return layout.note if layout is not None and not _has(layout, "log_p") else ""


def _elbo(run: Run) -> CurveOf:
    """The ELBO; where the estimator gives none, what it does give."""
    layout = run.history.layout
    if layout is not None and not _has(layout, "elbo"):
        return CurveOf("elbo", "-loss", -_column(run, "loss"))
    values = _column(run, "elbo")
    title = "ELBO"
    if run.loss_apart and len(values):
        elbo, loss = (number(float(v[-1]), 7).strip() for v in (values, _column(run, "loss")))
        title = f"ELBO {elbo}, loss {loss}"
    return CurveOf("elbo", title, values, _lines(run))


def _has(layout: Layout, field: str) -> bool:
    return Column("step", "", field) in layout.index


def _column(run: Run, field: str) -> Floats:
    layout, column = run.history.layout, Column("step", "", field)
    if layout is None or column not in layout.index:
        return np.empty(0)
    return run.history.values(column)


def _lines(run: Run) -> tuple[tuple[str, float], ...]:
    """The scenario's reference values for the ELBO; one that is both is drawn once."""
    reference = run.loaded.reference if run.loaded else {}
    evidence, best = reference.get("log_evidence"), reference.get("elbo")
    lines = []
    if best is not None and (evidence is None or abs(best - evidence) > 1e-3):
        lines.append(("best", float(best)))
    if evidence is not None:
        lines.append(("log p(x)", float(evidence)))
    return tuple(lines)


def standing(run: Run, *, running: bool, count: str) -> Standing:
    """What the status line tells."""
    step, level, loaded = run.step, run.level, run.loaded
    terms: list[tuple[str, float | None]] = []
    if step:
        named = {name: _column(run, field) for name, field in TERMS}
        if len(named["elbo"]) == 0:
            named = {"loss": _column(run, "loss")}
        terms = [(name, float(v[-1]) if len(v) else None) for name, v in named.items()]
    ready = loaded is not None and not run.phase and not run.dead
    return Standing(
        step=step,
        terms=tuple(terms),
        hints=HINTS if ready and not step else (),
        phase=run.phase,
        state=level.state if level else "",
        running=running,
        rate=level.rate if level else 0.0,
        count=count,
        dead=bool(run.dead),
        about=(loaded.name, loaded.estimator, loaded.optimizer) if loaded else (),
    )
