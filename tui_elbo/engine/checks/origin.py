"""Where a number that is not finite began: the step that made it is run again, in a copy of the
process, and looked through site by site.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

import msgspec
import pyro
import torch
from pyro import poutine
from pyro.poutine import Trace
from torch import Tensor

from tui_elbo.engine.checks.look import Pass, Site, base_of, log_prob, path_of, run_once
from tui_elbo.engine.checks.parameters import is_free, reached_leaves
from tui_elbo.engine.checks.sites import beyond
from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.fork import ForkedCall, LookError, why_no_fork
from tui_elbo.engine.scenario import Scenario
from tui_elbo.engine.session import Session
from tui_elbo.protocol.codec import decode

PATIENCE = 10.0
"""Seconds for the steps to be run again."""

MOST_PARTICLES = 20
"""So many particles of the step are looked through."""


class Origin(msgspec.Struct, frozen=True):
    """The first number of a step that is not finite, or not allowed."""

    step: int
    side: Literal["guide", "model"]
    site: str
    """Whose it is."""
    what: Literal["argument", "value", "term", "gradient"]
    """Whether it is an argument of the site's distribution, the value drawn or observed there, its
    log probability alone, or that one's gradient alone."""
    argument: str = ""
    number: float = float("nan")
    """Of the argument or value; NaN also where no single number is at fault."""
    term: float = float("nan")
    """The log probability of the site: nats."""
    params: tuple[str, ...] = ()
    """The parameters from which the argument is computed, or whose gradient it is."""
    latents: tuple[str, ...] = ()
    """The latents from whose draws the argument is computed."""
    held: str = ""
    """The parameter without a constraint of which the number is an element."""
    observed: bool = False
    line: int = 0
    """Of the site, in the scenario's file; 0 where it is not known."""


def origin_of(session: Session, step: int) -> Origin | None:
    """Where the first bad number of a step came from; None if the step does not show it again.

    Args:
        session: at that step, or at the one before it if it raised.
        step: which.
    """
    if why_no_fork():
        return None
    end = time.monotonic() + PATIENCE
    try:
        raised = session.steps_taken < step
        call = ForkedCall(lambda _: _origin(session, step, raised=raised))
        answer = call.wait(PATIENCE, lambda: time.monotonic() > end)
    except LookError:
        return None
    found: Origin | None = decode(answer, Origin | None)
    return found


def _origin(session: Session, step: int, *, raised: bool) -> Origin | None:
    session.state_at(step - 1)
    scenario = session.scenario
    particles = getattr(session.estimator, "num_particles", 1)
    args: Any = scenario.batch(step)
    for _ in range(min(particles, MOST_PARTICLES)):
        seen = run_once(scenario, path_of(scenario), args)
        found = _first_bad(seen, step, raised=raised)
        if found is None and not raised:
            found = _bad_gradient(seen, step)
        if found is not None and found.what == "argument" and found.side == "model":
            return _with_sources(found, scenario, args, seen.guide)
        if found is not None:
            return found
    return None


def _with_sources(found: Origin, scenario: Scenario, args: Any, drawn: Trace) -> Origin:
    """With what the model itself computes the argument from: draws apart from parameters."""
    fixed = drawn.copy()
    leaves = dict[int, str]()
    for name, node in drawn.nodes.items():
        value = node.get("value")
        if node["type"] == "sample" and isinstance(value, Tensor) and value.is_floating_point():
            leaf = value.detach().clone().requires_grad_()
            fixed.nodes[name] = {**node, "value": leaf}
            leaves[id(leaf)] = name
    tracer = poutine.trace()
    with users_code(), pyro.validation_enabled(False), suppress(Exception), tracer:
        poutine.replay(scenario.model, trace=fixed)(*args)
    node = tracer.trace.nodes.get(found.site)
    value = None if node is None else dict(_arguments(node["fn"])).get(found.argument)
    if value is None:
        return found
    reached = reached_leaves([value])
    latents = tuple(leaves[id(leaf)] for leaf in reached if id(leaf) in leaves)
    return msgspec.structs.replace(found, params=_names(reached), latents=latents)


def _in_order(seen: Pass) -> Iterator[tuple[Literal["guide", "model"], Site]]:
    sides: tuple[Literal["guide", "model"], ...] = ("guide", "model")
    for side in sides:
        for site in seen.sites(side).values():
            yield side, site


def _first_bad(seen: Pass, step: int, *, raised: bool) -> Origin | None:
    for side, site in _in_order(seen):
        term = _term(site)
        finite = term is None or bool(torch.isfinite(term).all())
        number = float("nan") if term is None else float(term.detach().sum())
        about = Origin(step, side, site.name, "term", term=number, line=site.line)
        about = msgspec.structs.replace(about, observed=site.observed)
        for name, value in _arguments(site.fn) if raised or not finite else ():
            bad = _bad_number(site.fn, name, value, edge=not finite)
            if bad is None:
                continue
            held = _holder(value, bad)
            params = _names(reached_leaves([value]))
            return msgspec.structs.replace(
                about, what="argument", argument=name, number=bad, params=params, held=held
            )
        if not finite and term is not None:
            return msgspec.structs.replace(about, what="value", number=_value_at(site, term))
    return None


def _bad_gradient(seen: Pass, step: int) -> Origin | None:
    named = dict(pyro.get_param_store().named_parameters())
    leaves = [leaf for leaf in named.values() if leaf.requires_grad]
    for side, site in _in_order(seen):
        term = _term(site)
        if term is None or not term.requires_grad or not leaves:
            continue
        with suppress(RuntimeError):
            grads = torch.autograd.grad(term.sum(), leaves, retain_graph=True, allow_unused=True)
            bad = [
                leaf
                for leaf, grad in zip(leaves, grads, strict=True)
                if grad is not None and not bool(torch.isfinite(grad).all())
            ]
            if bad:
                return Origin(step, side, site.name, "gradient", params=_names(bad), line=site.line)
    return None


def _term(site: Site) -> Tensor | None:
    try:
        return log_prob(site)
    except Exception:
        return None


def _arguments(fn: Any) -> Iterator[tuple[str, Tensor]]:
    base = base_of(fn)
    if type(base).__name__ in {"Delta", "Unit"}:
        return
    known = getattr(type(base), "arg_constraints", {})
    for name in known if isinstance(known, dict) else ():
        value = vars(base).get(name)
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
            yield name, value
    for inner in ("base_dist", "_component_distribution", "_mixture_distribution"):
        part = getattr(base, inner, None)
        if part is not None and part is not base:
            yield from _arguments(part)


def _bad_number(fn: Any, name: str, value: Tensor, *, edge: bool) -> float | None:
    """A number of an argument that is not finite or not allowed; None if there is none."""
    flat = value.detach().reshape(-1)
    wrong = flat[~torch.isfinite(flat)]
    # A logit, or a log of a weight, may be infinite.
    if wrong.numel() and (name not in {"logits", "log_weights"} or bool(torch.isnan(wrong).any())):
        return float(wrong[0])
    found = _constraint_of(fn, name)
    if found is None:
        return None
    worst = beyond(found, value.detach())
    if worst is None and edge and "GreaterThan(" in str(found) and bool((flat == 0).any()):
        return 0.0
    return worst


def _constraint_of(fn: Any, name: str) -> Any:
    base = base_of(fn)
    known = getattr(type(base), "arg_constraints", {})
    if isinstance(known, dict) and name in known:
        return known[name]
    for inner in ("base_dist", "_component_distribution", "_mixture_distribution"):
        part = getattr(base, inner, None)
        if part is not None and part is not base:
            return _constraint_of(part, name)
    return None


def _holder(value: Tensor, number: float) -> str:
    """The unconstrained parameter on the way to a tensor that holds this very number."""
    ids = {id(leaf) for leaf in reached_leaves([value])}
    for name, leaf in pyro.get_param_store().named_parameters():
        same = leaf.detach() == number
        if id(leaf) in ids and is_free(name) and bool(same.any()):
            return str(name)
    return ""


def _names(leaves: list[Tensor]) -> tuple[str, ...]:
    ids = {id(leaf) for leaf in leaves}
    return tuple(n for n, leaf in pyro.get_param_store().named_parameters() if id(leaf) in ids)


def _value_at(site: Site, term: Tensor) -> float:
    """The element of a site's value at which its log probability is not finite."""
    value = site.value.detach()
    bad = ~torch.isfinite(term.detach())
    with suppress(RuntimeError):
        if value.shape == bad.shape or not site.fn.event_shape:
            return float(value.expand(bad.shape)[bad].reshape(-1)[0])
    odd = value.reshape(-1)[~torch.isfinite(value.reshape(-1))]
    return float(odd[0]) if odd.numel() else float("nan")
