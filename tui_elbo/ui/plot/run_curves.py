"""Which numbers of a run go where on the screen, and under which name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tui_elbo.client.run_state import Run
from tui_elbo.model.attribution import SUM_TERMS, Term
from tui_elbo.model.history import mean
from tui_elbo.model.records import Column, Floats, Layout
from tui_elbo.model.verdict import Verdict, VerdictState
from tui_elbo.protocol import StepTimed
from tui_elbo.ui.plot.curve import Bools, Ints
from tui_elbo.ui.style.text import number
from tui_elbo.ui.style.theme import DIM, GOOD, WARN
from tui_elbo.ui.widgets.status import StatusSummary

TERMS = (("elbo", "elbo"), ("log q", "log_q"), ("log p", "log_p"))
"""The status line's names and the columns that they stand for."""

DRAWN = 8
"""So many branches are drawn, the newest."""

NEAR, PARTS = 8, 25
"""The bright line leads straight over so many steps, or over this part of a run."""

HINTS = ("n takes a step, space runs, i tells what to look at", "n steps, space runs")


EVALUATION = "evaluation"
"""The curve of losses that no update followed."""

LOOKS = ("the lens looks", "judging the run")
"""So begins what the engine says of a look, which keeps nobody from stepping."""

MARKS = {
    "unrepeatable": ("not repeatable", "not exact"),
    "source": ("file edited", "edited"),
    "unwatched": ("watched no more", "unwatched"),
    "by_evaluation": ("steps by evaluation", "by eval"),
}
"""The status line's words for what holds of a run, by the kind of the caution."""

SKIMMED = "only its loss was read", "loss only"
"""Those for a step that was skimmed."""

SHORT: dict[VerdictState, str] = {
    "improving": "improving",
    "stationary": "stationary",
    "stopped": "stopped",
    "rate_too_high": "rate high",
    "falling": "falling",
    "cannot_tell": "",
}
"""The verdict in one word, where there is no room for two."""

COLOURS: dict[VerdictState, str] = {
    "improving": DIM,
    "stationary": GOOD,
    "stopped": WARN,
    "rate_too_high": WARN,
    "falling": WARN,
    "cannot_tell": DIM,
}
"""The status line's style, by the verdict."""


@dataclass(frozen=True, eq=False)
class CurveOf:
    """What one of the three curve panes shows."""

    id: str
    title: str
    values: Floats
    references: tuple[tuple[str, float], ...] = ()
    line: Floats | None = None
    """What the lens sees of it; None where there is no lens."""
    absent: Bools | None = None
    """Steps that have none of it; None: all have."""

    def branches(self, run: Run) -> tuple[tuple[Floats, str], ...]:
        """The same of the newest branches, each with a label."""
        if self.id == EVALUATION:
            return ()
        lost = self.title == "-loss"
        column = Column("step", "", "loss" if lost else self.id)
        many = len(run.branches) > 1
        return tuple(
            (
                branch.values(column, -1 if lost else 1),
                (f"{number}: " if many else "") + branch.label(run.settings),
            )
            for number, branch in list(run.branches.items())[-DRAWN:]
        )


def curves(run: Run, step: int) -> list[CurveOf]:
    """The curves, from top to bottom; names and numbers in titles are those of `step`."""
    terms = (("log_p", "log p(x, z)"), ("log_q", "log q(z)"))
    skimmed = run.history.skimmed()
    return [
        *(
            CurveOf(name, title, _column(run, name), line=_seen(run, term), absent=skimmed)
            for (name, title), term in zip(terms, SUM_TERMS[:2], strict=True)
        ),
        *_evaluation(run),
        _elbo(run, step, skimmed),
    ]


def _evaluation(run: Run) -> list[CurveOf]:
    """What the script has evaluated without an update, if anything."""
    column = Column("step", "", "eval_loss")
    if column not in run.history.columns:
        return []
    values, absent = -run.history.values(column), ~run.history.has(column)
    return [CurveOf(EVALUATION, "-loss without update", values, line=values, absent=absent)]


def why(run: Run) -> str:
    """Why the newest step has no log p and log q, in words; empty if it has them."""
    layout = run.history.layout
    return layout.note if layout is not None and not _has(layout, "log_p") else ""


def changes(run: Run) -> tuple[int, ...]:
    """The steps before which settings were changed."""
    return tuple(tuned.step + 1 for tuned in run.tunings if tuned.step)


def changed(run: Run, step: int) -> str:
    """What was changed just before that step, in words; empty for nothing."""
    return ", ".join(tuned.text for tuned in run.tunings if tuned.step + 1 == step)


def _elbo(run: Run, step: int, skimmed: Bools | None) -> CurveOf:
    """The ELBO; where the estimator gives none, what it does give."""
    layout = run.history.layout
    if layout is not None and not _has(layout, "elbo"):
        return CurveOf("elbo", "-loss", -_column(run, "loss"))
    values = _column(run, "elbo")
    title = "ELBO"
    if run.loss_apart and step:
        elbo, loss = (number(_at(run, f, step), 7).strip() for f in ("elbo", "loss"))
        title = f"ELBO {elbo}, loss {loss}"
    return CurveOf("elbo", title, values, _lines(run), _seen(run, SUM_TERMS[2]), skimmed)


def _seen(run: Run, term: Term) -> Floats | None:
    """The term's expectation as the lens sees it; None if it has seen nothing of it."""
    values = run.lens_history.values(term, run.step)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 0:
        return None
    return bridged(values, known, _column(run, term.field), max(NEAR, run.step // PARTS))


def bridged(values: Floats, known: Ints, raw: Floats, room: int) -> Floats:
    """What the lens has seen, and means of the raw estimates where it has long not looked.

    Straight lines lead from number to number, which over many steps would tell of a sparkline that
    nobody has seen.

    Args:
        values: the lens's, index `step - 1`.
        known: where it has looked.
        raw: the estimates of the steps, of the same length, or none.
        room: how many steps a straight line may lead over.
    """
    far = np.flatnonzero(np.diff(known) > room)
    if len(far) == 0 or len(raw) != len(values):
        return values
    line: Floats = values.copy()
    for start, end in zip(known[far], known[far + 1], strict=True):
        edges = np.linspace(start + 1, end, -(-int(end - start) // room) + 1).astype(int)
        for first, last in pairwise(edges.tolist()):
            part = raw[first:last]
            part = part[np.isfinite(part)]
            if len(part):
                line[(first + last) // 2] = mean(part)
    return line


def _has(layout: Layout, field: str) -> bool:
    return Column("step", "", field) in layout.index


def _column(run: Run, field: str) -> Floats:
    layout, column = run.history.layout, Column("step", "", field)
    if layout is None or column not in layout.index:
        return np.empty(0)
    return run.history.values(column)


def _at(run: Run, field: str, step: int) -> float | None:
    """A number of that step; None if it has none."""
    layout = run.history.layout_at(step)
    if layout is None or not _has(layout, field):
        return None
    return float(run.history.values(Column("step", "", field))[step - 1])


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


def _kept(run: Run) -> list[str]:
    """How much is kept to go back with, in words."""
    memory = run.level.memory if run.level is not None else 0
    return [f"{memory / 2**20:.1f} MB kept"] if memory else []


def _counted(run: Run) -> tuple[tuple[str, str], ...]:
    """How many errors and warnings there have been; in short, how many of the worse kind."""
    counts = ((run.errors, "error"), (run.output.warnings, "warning"))
    texts = [f"{count} {what}{'s' * (count > 1)}" for count, what in counts if count]
    short = [f"{count} {what[:4].removesuffix('o')}" for count, what in counts if count]
    return ((", ".join(texts), short[0]),) if texts else ()


def largest_part(timed: StepTimed | None) -> str:
    """Such as `model 41%`; empty if nothing was measured."""
    parts = timed.parts if timed is not None else ()
    total = sum(part.seconds for part in parts)
    if total <= 0:
        return ""
    most = max(parts, key=lambda part: part.seconds)
    return f"{most.name} {most.seconds / total:.0%}"


def _shown_verdict(run: Run) -> Verdict | None:
    """The verdict; no good one beside an error or a warning."""
    verdict = run.verdict
    faulty = any(finding.level != "note" for finding in run.findings)
    return None if faulty and verdict is not None and verdict.good else verdict


def status_summary(
    run: Run, step: int, *, running: bool, count: str, until: str = ""
) -> StatusSummary:
    """What the status line shows.

    Args:
        run: the run.
        step: the step that the panes show.
        running: whether it runs, or is to run.
        count: the count being typed.
        until: what it runs to, in words.
    """
    level, loaded = run.level, run.loaded
    terms: list[tuple[str, float | None]] = []
    layout = run.history.layout_at(step)
    skimmed = layout is not None and layout.skimmed
    if step:
        fields = TERMS if layout is None or _has(layout, "elbo") else (("loss", "loss"),)
        terms = [(name, _at(run, field, step)) for name, field in fields]
    verdict = _shown_verdict(run)
    ready = loaded is not None and not run.phase and not run.dead
    return StatusSummary(
        step=step,
        terms=tuple(terms),
        hints=HINTS if ready and not step else (),
        phase=run.phase,
        looks=run.phase.startswith(LOOKS),
        state=level.state if level else "",
        running=running,
        rate=level.rate if level else 0.0,
        count=count,
        dead=bool(run.dead),
        newest=run.step,
        until=until,
        cost=largest_part(run.timed) if running else "",
        changed=changed(run, step),
        marks=(
            *([SKIMMED] if skimmed else ()),
            *(MARKS[kind] for kind in run.cautions if kind in MARKS),
            *_counted(run),
        ),
        verdict=(verdict.words, SHORT[verdict.state], COLOURS[verdict.state])
        if verdict and step
        else ("", "", ""),
        about=(loaded.name, *filter(None, run.settings), *_kept(run)) if loaded else (),
    )
