"""A run at the step where it stands, seen so that it can be compared with others.

The draws are the same for every run: those of the lens, from its fixed seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.poutine.util import prune_subsample_sites

from tui_elbo.engine.lens import DRAWS, Lens, isolated
from tui_elbo.engine.lens.attribution import PATIENCE, Attribution
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.fork import LookError
from tui_elbo.engine.lens.importance_weights import importance_bound, prepare
from tui_elbo.engine.lens.moments import posterior
from tui_elbo.engine.session import Session
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.engine.verdict.averaging import newest_mean, stand_at_mean
from tui_elbo.model.comparison import Evaluation, ModelFingerprint, SiteFingerprint, unevaluated
from tui_elbo.model.errors import UsageError
from tui_elbo.model.modes import Posterior
from tui_elbo.model.records import Layout
from tui_elbo.model.tuning import Mean
from tui_elbo.protocol.codec import decode


def evaluate(
    session: Session, layout: Layout | None, draws: int = DRAWS, *, at_mean: bool = False
) -> Evaluation:
    """See the run where it stands, in a copy of the process.

    Args:
        session: that has taken a step.
        layout: of its newest step; None if it has taken none.
        draws: of the lens, where they can be taken all at once.
        at_mean: at the mean of its newest iterates, and its ELBO alone.
    """
    if layout is None or not session.sound:
        return unevaluated("the run stands at no step that could be looked at")
    try:
        mean = newest_mean(session.iterates, session.steps_taken) if at_mean else None
    except UsageError as error:
        return unevaluated(error.what)
    theta = [info.name for info in layout.params if info.role in {"model", "both"}]
    prepare()
    attribution = Attribution(session, draws)
    try:
        data = attribution.call(lambda _: _seen(session, theta, draws, mean)).wait(PATIENCE)
    except LookError as error:
        return unevaluated(f"the lens cannot look: {error}")
    finally:
        attribution.close()
    found: Evaluation = decode(data, Evaluation)
    return found


def _seen(session: Session, theta: Iterable[str], draws: int, mean: Mean | None) -> Evaluation:
    scenario = session.scenario
    if mean is not None:
        stand_at_mean(mean)
    lens = Lens(scenario, draws)
    reading = lens.see().reading
    if reading.nonfinite_draws:
        problem = f"{reading.nonfinite_draws} of {reading.draws} draws are not finite"
        return unevaluated(problem)
    units = reading.units[2]
    if np.isnan(units).all():
        return unevaluated(lens.kind.unseen or "the lens sees no ELBO")
    guide = f"{session.guide or session.source_digest} {lens.note}"
    found = Evaluation(_fingerprint(lens, theta), guide, units, math.nan, lens.kind.points)
    if mean is not None:
        return found
    bound = importance_bound(scenario)
    khat = math.nan if bound.reason else bound.khat
    return msgspec.structs.replace(found, khat=khat, posterior=_posterior(lens))


def _posterior(lens: Lens) -> Posterior | None:
    try:
        return posterior(lens)
    except Exception:
        return None


def _fingerprint(lens: Lens, theta: Iterable[str]) -> ModelFingerprint:
    """What the model is, from one run of it with a fixed seed."""
    values = dict(pyro.get_param_store().named_parameters())
    digests = {name: _digest(values[name]) for name in sorted(theta) if name in values}
    try:
        with isolated(), torch.no_grad():
            pyro.set_rng_seed(SEED)
            args = lens.data.batches[0]
            trace = prune_subsample_sites(poutine.trace(lens.scenario.model).get_trace(*args))
            trace.compute_log_prob()
    except Exception as error:
        problem = f"the model cannot be run without its guide: {error_text(error)}"
        return ModelFingerprint({}, digests, problem)
    sites = {
        name: _site(node)
        for name, node in trace.nodes.items()
        if node["type"] == "sample" and not node["infer"].get("is_auxiliary")
    }
    return ModelFingerprint(sites, digests)


def _site(node: Any) -> SiteFingerprint:
    value = torch.as_tensor(node["value"])
    observed = bool(node["is_observed"])
    return SiteFingerprint(
        observed=observed,
        dist=type(_base(node["fn"])).__name__,
        shape=tuple(value.shape),
        plates=tuple(frame.name for frame in node["cond_indep_stack"]),
        data=_digest(value) if observed else "",
        log_prob=float(torch.as_tensor(node["log_prob_sum"])),
    )


def _base(distribution: Any) -> Any:
    """Without the dimensions that are declared as events."""
    while type(distribution).__name__ in {"Independent", "ExpandedDistribution"}:
        distribution = distribution.base_dist
    return distribution


def _digest(value: torch.Tensor) -> str:
    plain = value.detach().cpu().contiguous()
    flat = plain.reshape(-1).view(torch.uint8) if plain.numel() else torch.empty(0)
    return hashlib.sha256(flat.numpy().tobytes()).hexdigest()[:16]
