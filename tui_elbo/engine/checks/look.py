"""What static rules see: model and guide run a few times before the first step, in a copy."""

from __future__ import annotations

import math
import random
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.infer import ELBO, ReweightedWakeSleep, TraceEnum_ELBO, TraceTMC_ELBO
from pyro.poutine import Trace
from pyro.poutine.guide import GuideMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from tui_elbo.engine.compat.pyro import is_deterministic
from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.fork import cuda_in_use
from tui_elbo.engine.lens.subject import Subject
from tui_elbo.engine.record.estimators import traits_of
from tui_elbo.engine.tracebacks import error_text

ENUMERATING = (TraceEnum_ELBO, TraceTMC_ELBO, ReweightedWakeSleep)

TRIALS, LEAST_TRIALS = 12, 2
"""Draws of the guide that are looked at, after the first."""

SECONDS = 0.5
"""After which no more than the least of them are taken."""

ESTIMATES = 2
"""Calls of the estimator."""

_WRAPPERS = ("Independent", "ExpandedDistribution", "MaskedDistribution")


@dataclass(eq=False)
class Site:
    """A sample site of one run."""

    name: str
    node: Any
    """Of the trace."""
    line: int
    """Of the scenario's file; 0 where it is drawn by a library."""

    @property
    def fn(self) -> Any:
        """Its distribution."""
        return self.node["fn"]

    @property
    def value(self) -> Tensor:
        """What was drawn or observed."""
        return torch.as_tensor(self.node["value"])

    @property
    def observed(self) -> bool:
        """Whether it has data."""
        return bool(self.node["is_observed"])

    @property
    def enumerate(self) -> str | None:
        """How it is marked for enumeration; None where it is not."""
        found: str | None = self.node["infer"].get("enumerate")
        return found

    @property
    def auxiliary(self) -> bool:
        """Whether it belongs to another site of the guide."""
        return bool(self.node["infer"].get("is_auxiliary"))


@dataclass(eq=False)
class Read:
    """A `pyro.param` statement that gives an initial value."""

    side: str
    name: str
    line: int
    value: Tensor
    """The initial value that it gives, constrained."""


@dataclass(eq=False)
class Pass:
    """The guide run once, and the model against it; each as far as it came."""

    guide: Trace = field(default_factory=Trace)
    model: Trace = field(default_factory=Trace)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of each site and parameter, by side and name."""
    reads: list[Read] = field(default_factory=list)
    chosen: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Of each plate of the model whose indices the model gives: these, and those in use."""
    modules: list[nn.Module] = field(default_factory=list)
    """What was called."""
    error: Exception | None = None
    """What was raised."""

    def sites(self, side: str) -> dict[str, Site]:
        """The sample sites of `model` or `guide`, without choices of subsamples."""
        trace = self.model if side == "model" else self.guide
        return {
            name: Site(name, node, self.lines.get((side, name), 0))
            for name, node in trace.nodes.items()
            if node["type"] == "sample" and not (site_is_subsample(node) or is_deterministic(node))
        }

    def params(self) -> set[str]:
        """The names of all parameters that were read."""
        traces = (self.model, self.guide)
        return {n for t in traces for n, node in t.nodes.items() if node["type"] == "param"}


@dataclass(eq=False)
class Estimate:
    """One call of the estimator, as a step makes it."""

    loss: float
    gradients: dict[str, Tensor | None]
    """Of the loss, by parameter, unconstrained; None where nothing reached it."""
    read: set[str]
    """The parameters that the optimiser would be given."""
    error: Exception | None = None


@dataclass(eq=False)
class Look:
    """A scenario that stands before its first step, in a process whose state does not matter.

    Args:
        scenario: as executed.
        optimizer: what steps it; None where that is not known.
        path: the scenario's file; empty where there is none.
    """

    scenario: Subject
    optimizer: Any
    path: str
    before: dict[str, Tensor] = field(default_factory=dict)
    """The constrained value of each parameter that was in the store before the first look."""
    problems: list[str] = field(default_factory=list)
    """Why something could not be checked, in words."""

    def __post_init__(self) -> None:
        store = pyro.get_param_store()
        self.before = {name: store[name].detach().clone() for name in list(store)}
        self.args = self.batch(1)
        self.run(SEED - 1)  # sets a lazy guide up; it is compared with nothing
        self.main = self.run(SEED)
        """The pass whose sites rules speak of."""

    def batch(self, step: int) -> tuple[Any, ...]:
        """The arguments of a step."""
        found: Any = self.scenario.batch(step)
        return found if isinstance(found, tuple) else ()

    @cached_property
    def passes(self) -> list[Pass]:
        """Passes with other random numbers each, after the main one; fewer if they take long."""
        began, found = time.process_time(), [self.main]
        while len(found) <= TRIALS:
            if len(found) > LEAST_TRIALS and time.process_time() - began > SECONDS:
                break
            found.append(self.run(SEED + len(found)))
        return found

    @cached_property
    def estimates(self) -> list[Estimate]:
        """Calls of the estimator with the data of the first steps; none of a compiled one."""
        loss = self.scenario.loss
        if not isinstance(loss, ELBO) or traits_of(loss).no_terms.find("compiled") >= 0:
            return []
        return [self._estimate(SEED + trial, self.batch(1 + trial)) for trial in range(ESTIMATES)]

    def run(
        self, seed: int, args: tuple[Any, ...] | None = None, fixed: Trace | None = None
    ) -> Pass:
        """Run guide and model once; what they raise is kept, and so is what came before.

        Args:
            seed: of the random numbers.
            args: of both; None: those of step 1.
            fixed: what the model's sites are set to; None: what the guide draws.
        """
        _seed(seed)
        return run_once(self.scenario, self.path, self.args if args is None else args, fixed)

    def run_model(self, seed: int, fixed: Trace) -> Pass:
        """Run the model alone, its sites set to those of a trace."""
        _seed(seed)
        found = Pass()
        with users_code(), pyro.validation_enabled(False), torch.no_grad():
            try:
                noted = _noted(self.scenario.model, found, "model", self.path)
                _trace("model", poutine.replay(noted, trace=fixed), self.args, found)
            except Exception as error:
                found.error = error
        return found

    def run_guide(self, seed: int, fixed: Trace) -> Pass:
        """Run the guide alone, its sites set to those of a trace."""
        _seed(seed)
        found = Pass()
        with users_code(), pyro.validation_enabled(False), torch.no_grad():
            try:
                noted = _noted(self.scenario.guide, found, "guide", self.path)
                _trace("guide", poutine.replay(noted, trace=fixed), self.args, found)
            except Exception as error:
                found.error = error
        return found

    def _estimate(self, seed: int, args: tuple[Any, ...]) -> Estimate:
        _seed(seed)
        leaves = dict(pyro.get_param_store().named_parameters())
        for leaf in leaves.values():
            leaf.grad = None
        with users_code(), warnings.catch_warnings(), poutine.trace(param_only=True) as seen:
            warnings.simplefilter("ignore")
            try:
                loss: Any = self.scenario.loss.loss_and_grads(
                    self.scenario.model, self.scenario.guide, *args
                )
                value = sum(map(float, loss)) if isinstance(loss, tuple) else float(loss)
            except Exception as error:
                return Estimate(math.nan, {}, set(), error)
        gradients = {
            name: None if leaf.grad is None else leaf.grad.detach().clone()
            for name, leaf in pyro.get_param_store().named_parameters()
        }
        return Estimate(value, gradients, set(seen.trace.nodes))

    @property
    def enumerates(self) -> bool:
        """Whether the estimator enumerates."""
        return isinstance(self.scenario.loss, ENUMERATING)

    @property
    def by_messenger(self) -> bool:
        """Whether the guide is a messenger, which runs the model itself."""
        return isinstance(self.scenario.guide, GuideMessenger)

    @cached_property
    def model_sites(self) -> dict[str, Site]:
        """Of the main pass."""
        return self.main.sites("model")

    @cached_property
    def guide_sites(self) -> dict[str, Site]:
        """Of the main pass, auxiliary ones included."""
        return self.main.sites("guide")

    @cached_property
    def latents(self) -> dict[str, Site]:
        """The model's sites without data."""
        return {name: site for name, site in self.model_sites.items() if not site.observed}

    @cached_property
    def observed(self) -> dict[str, Site]:
        """The model's sites with data, factors included."""
        return {name: site for name, site in self.model_sites.items() if site.observed}

    def summed_out(self, site: Site) -> bool:
        """Whether the estimator sums over its values, so that the guide may leave it out."""
        return self.enumerates and site.enumerate is not None

    def counts_nothing(self, name: str) -> bool:
        """Whether the terms of a latent are 0 in model and guide: it only hands a value on."""
        sites = [side[name] for side in (self.model_sites, self.guide_sites) if name in side]
        with suppress(Exception):
            return len(sites) == 2 and not any(log_prob(site).any() for site in sites)
        return False

    def explain(self, why: str) -> None:
        """Note why something could not be checked."""
        if why not in self.problems:
            self.problems.append(why)

    def failed(self) -> str:
        """Why model or guide could not be run, in words; empty if they could."""
        return "" if self.main.error is None else error_text(self.main.error)


def run_once(
    scenario: Subject, path: str, args: tuple[Any, ...], fixed: Trace | None = None
) -> Pass:
    """Run guide and model once, from the random numbers where they stand.

    Args:
        scenario: as executed.
        path: its file.
        args: of both.
        fixed: what the model's sites are set to; None: what the guide draws.
    """
    found = Pass()
    model, guide = scenario.model, scenario.guide
    handle = register_module_forward_pre_hook(lambda one, _: found.modules.append(one))
    with users_code(), torch.enable_grad(), pyro.validation_enabled(False):
        try:
            if isinstance(guide, GuideMessenger):
                with _Notes(found, "model", path):
                    guide(*args)
                found.model, found.guide = guide.get_traces()
            else:
                _trace("guide", _noted(guide, found, "guide", path), args, found)
                noted = _noted(model, found, "model", path)
                replayed = poutine.replay(noted, trace=found.guide if fixed is None else fixed)
                _trace("model", replayed, args, found)
        except Exception as error:
            found.error = error
        finally:
            handle.remove()
    return found


def _trace(side: str, what: Callable[..., Any], args: tuple[Any, ...], found: Pass) -> None:
    tracer = poutine.trace()
    try:
        with tracer:
            what(*args)
    finally:
        setattr(found, side, tracer.trace.copy())


def _seed(seed: int) -> None:
    """As `pyro.set_rng_seed`, which also asks CUDA and takes longer than a small model."""
    if cuda_in_use():
        pyro.set_rng_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


class _Notes(Messenger):  # type: ignore[misc]
    """Notes on which line each site and parameter is, and what each parameter begins with."""

    def __init__(self, found: Pass, side: str, path: str) -> None:
        super().__init__()
        self._found, self._side, self._path = found, side, path
        self._given: dict[str, Tensor] = {}

    def _pyro_sample(self, msg: Any) -> None:
        self._found.lines.setdefault((self._side, msg["name"]), line_in(self._path))
        if site_is_subsample(msg) and isinstance(msg["value"], Tensor):
            self._given[msg["name"]] = msg["value"]

    def _pyro_post_sample(self, msg: Any) -> None:
        given = self._given.get(msg["name"])
        if given is not None and self._side == "model":
            self._found.chosen[msg["name"]] = given, torch.as_tensor(msg["value"])

    def _pyro_param(self, msg: Any) -> None:
        name, line = msg["name"], line_in(self._path)
        self._found.lines.setdefault((self._side, name), line)
        given = msg["args"][1] if len(msg["args"]) > 1 else msg["kwargs"].get("init_tensor")
        if callable(given) and not isinstance(given, Tensor):
            with torch.random.fork_rng(devices=[]):
                given = given()
        if isinstance(given, Tensor) and not isinstance(given, nn.Parameter):
            value = given.detach().clone()
            self._found.reads.append(Read(self._side, name, line, value))


def _noted(what: Callable[..., Any], found: Pass, side: str, path: str) -> Callable[..., Any]:
    """It, with notes taken before any handler around it acts."""

    def call(*args: Any) -> Any:
        with _Notes(found, side, path):
            return what(*args)

    return call


def line_in(path: str) -> int:
    """The line of the innermost frame in a file; 0 if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if path and frame.f_code.co_filename == path:
            return frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return 0


def path_of(scenario: Any) -> str:
    """The file of a scenario, or that of the model where it is a script's; empty if none."""
    source = getattr(scenario, "source", None)
    if source is not None:
        return str(source.path)
    code = getattr(poutine.unwrap(scenario.model), "__code__", None)
    return "" if code is None else str(Path(code.co_filename))


def base_of(fn: Any) -> Any:
    """The distribution within what Pyro wraps around it."""
    while type(fn).__name__ in _WRAPPERS:
        fn = fn.base_dist
    return fn


def log_prob(site: Site) -> Tensor:
    """Of what was drawn or observed, masked and not scaled, shape of the site's batch.

    Raises:
        ValueError: and others, as the distribution does.
    """
    found: Tensor = site.fn.log_prob(site.node["value"], *site.node["args"])
    mask = site.node["mask"]
    if mask is None or mask is True:
        return found
    return torch.where(torch.as_tensor(mask), found, torch.zeros(()))
