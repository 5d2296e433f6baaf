"""Pyro's guides that need nothing but a model, to be used in place of a scenario's own."""

from __future__ import annotations

from dataclasses import replace

from pyro.infer import autoguide

from tui_elbo.engine.scenario import Scenario
from tui_elbo.engine.tracebacks import message, trimmed
from tui_elbo.model.errors import UsageError

STOCK_GUIDES = (
    "AutoNormal",
    "AutoDiagonalNormal",
    "AutoMultivariateNormal",
    "AutoLowRankMultivariateNormal",
    "AutoIAFNormal",
    "AutoDelta",
    "AutoLaplaceApproximation",
)


def with_guide(scenario: Scenario, name: str | None) -> Scenario:
    """The scenario with that guide of the same model.

    Args:
        scenario: as executed.
        name: of a stock guide; None: the scenario's own guide is kept.

    Raises:
        UsageError: if there is no such guide, or it cannot be made of this model.
    """
    if name is None:
        return scenario
    if name not in STOCK_GUIDES:
        hint = f"choose one of {', '.join(STOCK_GUIDES)}"
        raise UsageError(f"{name} is no guide that can be chosen here", hint=hint)
    try:
        guide = getattr(autoguide, name)(scenario.model)
    except Exception as error:
        what = f"{name} cannot be made of this model: {message(error)}"
        raise UsageError(what, traceback=trimmed(error)) from error
    return replace(scenario, guide=guide)
