"""Draws from the guide at the present state, for whoever wants to look at them elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pyro import poutine

from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.isolation import isolated
from tui_elbo.engine.lens.subject import Followed
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.protocol import PosteriorDrawn, SiteDraws

MOST_BYTES = 48 * 2**20
"""Of all draws together: one message has no more room."""


def draw_posterior(
    session: Followed, count: int, report: Callable[[int, int], None] = lambda _done, _of: None
) -> PosteriorDrawn:
    """DrawPosterior so many times. Training does not notice.

    Args:
        session: what is drawn from.
        count: how many times; fewer where so many would be too large.
        report: called with how many draws are done of how many.
    """
    if not session.steps_taken:
        return PosteriorDrawn(0, 0, (), "the guide has no parameters before the first step")
    values: dict[str, list[Any]] = {}
    try:
        with isolated(), torch.no_grad():
            size = _draw(session, values)
            count = max(1, min(count, MOST_BYTES // max(1, size)))
            for done in range(1, count):
                report(done, count)
                _draw(session, values)
        sites = tuple(_site(name, found) for name, found in values.items() if len(found) == count)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return PosteriorDrawn(session.steps_taken, 0, (), error_text(error))
    note = "" if sites else "the guide draws nothing that has one shape"
    return PosteriorDrawn(session.steps_taken, count, sites, note)


def _draw(session: Followed, values: dict[str, list[Any]]) -> int:
    """Add one draw of each latent site; returns the bytes that they take."""
    scenario = session.scenario
    full = scenario.full_batch
    with users_code():
        args = scenario.batch(session.steps_taken) if full is None else full()
        trace = poutine.trace(scenario.guide).get_trace(*args)
    size = 0
    for name, node in trace.nodes.items():
        latent = node["type"] == "sample" and not node["is_observed"]
        if latent and not node["infer"].get("is_auxiliary") and type(node["fn"]).__name__[0] != "_":
            value = node["value"].detach().cpu().numpy().astype(np.float64)
            values.setdefault(name, []).append(value)
            size += value.nbytes
    return size


def _site(name: str, found: list[Any]) -> SiteDraws:
    return SiteDraws(name, np.stack(found))
