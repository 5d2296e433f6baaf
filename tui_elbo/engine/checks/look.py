"""What static rules see: model and guide run a few times before the first step, in a copy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, TraceTMC_ELBO
from pyro.poutine import Trace
from pyro.poutine.guide import GuideMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from tui_elbo.engine.compat.pyro import is_deterministic
from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.subject import Subject
from tui_elbo.engine.tracebacks import said

ENUMERATING = (TraceEnum_ELBO, TraceTMC_ELBO)

TRIALS = 16
"""Draws of the guide that are looked at."""


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
class Pass:
    """The guide run once, and the model against it; each as far as it came."""

    guide: Trace
    model: Trace
    lines: dict[tuple[str, str], int]
    """Of each site and parameter, by side and name."""
    reads: list[tuple[str, str, Any, Any]]
    """Each `pyro.param` statement met: side, name, initial value, constraint."""
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
        first: Any = self.scenario.batch(1)
        self.args: tuple[Any, ...] = first if isinstance(first, tuple) else ()
        self.setting_up = self.run(SEED)
        """The first pass, which sets a lazy guide up; other passes are compared, not this one."""
        self.main = self.run(SEED)

    @cached_property
    def again(self) -> Pass:
        """A second pass with the same random numbers."""
        return self.run(SEED)

    @cached_property
    def others(self) -> list[Pass]:
        """Passes with other random numbers each."""
        return [self.run(SEED + 1 + trial) for trial in range(TRIALS)]

    def run(self, seed: int, args: tuple[Any, ...] | None = None) -> Pass:
        """Run guide and model once; what they raise is kept, and so is what came before."""
        pyro.set_rng_seed(seed)
        args = self.args if args is None else args
        found = Pass(Trace(), Trace(), {}, [])
        model, guide = self.scenario.model, self.scenario.guide
        with users_code(), torch.enable_grad(), pyro.validation_enabled(False):
            try:
                if isinstance(guide, GuideMessenger):
                    with _Notes(found, "model", self.path):
                        guide(*args)
                    found.model, found.guide = guide.get_traces()
                else:
                    self._traced(guide, args, found, "guide")
                    replayed = poutine.replay(model, trace=found.guide)
                    self._traced(replayed, args, found, "model")
            except Exception as error:
                found.error = error
        return found

    def _traced(
        self, what: Callable[..., Any], args: tuple[Any, ...], found: Pass, side: str
    ) -> None:
        tracer = poutine.trace()
        try:
            with _Notes(found, side, self.path), tracer:
                what(*args)
        finally:
            setattr(found, side, tracer.trace.copy())

    @property
    def enumerates(self) -> bool:
        """Whether the estimator enumerates."""
        return isinstance(self.scenario.loss, ENUMERATING)

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

    def summed_out(self, site: Site) -> bool:
        """Whether the estimator sums over its values, so that the guide may leave it out."""
        return self.enumerates and site.enumerate is not None

    def explain(self, why: str) -> None:
        """Note why something could not be checked."""
        if why not in self.problems:
            self.problems.append(why)

    def failed(self) -> str:
        """Why model or guide could not be run, in words; empty if they could."""
        return "" if self.main.error is None else said(self.main.error)


class _Notes(Messenger):  # type: ignore[misc]
    """Notes on which line each site and parameter is, and what each parameter begins with."""

    def __init__(self, found: Pass, side: str, path: str) -> None:
        super().__init__()
        self._found, self._side, self._path = found, side, path

    def _pyro_sample(self, msg: Any) -> None:
        self._found.lines.setdefault((self._side, msg["name"]), line_in(self._path))

    def _pyro_param(self, msg: Any) -> None:
        name = msg["name"]
        self._found.lines.setdefault((self._side, name), line_in(self._path))
        given = msg["args"]
        if len(given) > 1 and given[1] is not None:
            constraint = msg["kwargs"].get("constraint", given[2] if len(given) > 2 else None)
            self._found.reads.append((self._side, name, given[1], constraint))


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
