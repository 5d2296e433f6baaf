"""The three curves of a run as lines of text."""

from __future__ import annotations

from typing import Any

import numpy as np

from tui_elbo.model.history import History
from tui_elbo.model.records import Column, Floats
from tui_elbo.ui.plot.curve import Curve
from tui_elbo.ui.plot.plotting import sketch

TITLES = {"log_p": "log p(x, z)", "log_q": "log q(z)", "elbo": "ELBO"}
WIDTH, HEIGHT = 76, 9


def curves(history: History, reference: dict[str, Any]) -> str:
    """log p, log q and the ELBO over the steps, in nats; what an estimator reports of them.

    Args:
        history: at least one step.
        reference: the scenario's; its log evidence is drawn beside the ELBO.
    """

    def values(field: str) -> Floats:
        return history.values(Column("step", "", field))

    shown = {title: values(field) for field, title in TITLES.items()}
    if np.isnan(shown[TITLES["elbo"]]).all():
        shown = {"-loss": -values("loss")}
    drawn = []
    for title, curve in shown.items():
        evidence = reference.get("log_evidence") if title == TITLES["elbo"] else None
        lines: tuple[tuple[str, float], ...] = ()
        tail = ""
        if isinstance(evidence, int | float):
            lines, tail = (("", float(evidence)),), f", and log p(x) = {evidence:#.6g}"
        if np.isfinite(curve).any():
            drawing = sketch(Curve(curve, 1, history.last, lines), WIDTH, HEIGHT)
            drawn.append(f"{title}{tail} (nats)\n{drawing.text}")
    return "\n\n".join(drawn)
