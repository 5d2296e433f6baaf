"""Every rule there is. Static rules: SVI0xx (sites 00x and 01x, plates and data 02x and 03x,
parameters 04x, estimator 05x); rules on a running run: SVI1xx.
"""

from __future__ import annotations

from tui_elbo.engine.checks import (
    broken,
    estimator,
    fit,
    guides,
    movement,
    noisy,
    parameters,
    plates_and_data,
    sites,
)
from tui_elbo.engine.checks.rule import Rule

CATALOGUE: tuple[Rule, ...] = (
    *sites.RULES,
    *plates_and_data.RULES,
    *parameters.RULES,
    *estimator.RULES,
    *broken.RULES,
    *movement.RULES,
    *noisy.RULES,
    *fit.RULES,
    *guides.RULES,
)
"""In the order in which they are tried: within a family, the most important first."""


def rule_named(name: str) -> Rule | None:
    """The rule of this code or name, in capitals or not; None if there is none."""
    wanted = name.strip().lower()
    return next((one for one in CATALOGUE if wanted in (one.code.lower(), one.name)), None)
