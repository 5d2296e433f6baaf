"""How far the ELBO is from the evidence, as far as the terminal has been told."""

from __future__ import annotations

from tui_elbo.client.run_state import Run
from tui_elbo.client.spans import Span
from tui_elbo.model.attribution import SUM_TERMS
from tui_elbo.model.bound import bound_lines, evidence_gap_lines

ELBO = 2
"""Its row in every point."""


def gap(run: Run, span: Span | None) -> tuple[str, ...]:
    """What importance weights have said there, else the gap; and how the lens draws: in lines.

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
    return (*lines, end.note) if end.note else lines


assert SUM_TERMS[ELBO].field == "elbo"
