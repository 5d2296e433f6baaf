"""The loop that a person would write with Pyro alone: the oracle of everything that watches a run.

It executes the scenario's file itself and imports nothing of `tui_elbo`.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyro
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam, PyroLRScheduler

_fresh = itertools.count()


@dataclass(frozen=True, eq=False)
class PlainRun:
    """What a run came to."""

    losses: list[Any]
    """What `svi.step` returned, step by step."""
    params: dict[str, torch.Tensor]
    """Constrained values after the last update, copied."""
    unconstrained: dict[str, torch.Tensor]
    """What the optimiser moves, copied."""
    rng_state: dict[str, Any]
    """`pyro.util.get_rng_state()` after the last step."""
    scenario: ModuleType
    """The module as executed for this run; its networks and auto guides are trained."""


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_own(file: str | None, folder: Path) -> bool:
    if file is None:
        return False
    above = Path(file).resolve().parents
    # An environment may lie below the folder; what is installed there is not the scenario's.
    return folder in above and not any(p.name == "site-packages" for p in above)


def _no_arguments(step: int) -> tuple[()]:
    return ()


@contextmanager
def executed(path: Path | str) -> Iterator[ModuleType]:
    """The file executed afresh, with the modules that it imports from its own folder."""
    path = Path(path).resolve()
    name = f"_plain_scenario_{next(_fresh)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(path.parent))
        for new in set(sys.modules) - before:
            if _is_own(getattr(sys.modules[new], "__file__", None), path.parent):
                del sys.modules[new]
        sys.modules.pop(name, None)


def plain_run(
    path: Path | str,
    steps: int,
    seed: int | None = None,
    threads: int = 1,
    on_step: Callable[[int, Any], None] | None = None,
) -> PlainRun:
    """Train the scenario for so many steps, with nothing watching.

    Args:
        path: the scenario's file.
        steps: how many steps.
        seed: None for the file's `seed`, else 0.
        threads: torch's threads while it runs.
        on_step: called with the 1-based step and its loss after its update (and its scheduler's).
    """
    losses: list[Any] = []
    with _threads(threads), executed(path) as scenario:
        optimizer = getattr(scenario, "optimizer", None) or Adam({"lr": 0.01})
        loss_fn = getattr(scenario, "loss", None) or Trace_ELBO()
        batch = getattr(scenario, "batch", _no_arguments)
        every = getattr(scenario, "scheduler_every", 1)
        pyro.set_rng_seed(getattr(scenario, "seed", 0) if seed is None else seed)
        svi = SVI(scenario.model, scenario.guide, optimizer, loss_fn)
        for step in range(1, steps + 1):
            loss = svi.step(*batch(step))
            if isinstance(optimizer, PyroLRScheduler) and step % every == 0:
                plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
                wants_loss = optimizer.pt_scheduler_constructor is plateau
                optimizer.step(*([loss] if wants_loss else []))
            losses.append(loss)
            if on_step is not None:
                on_step(step, loss)
        store = pyro.get_param_store()
        return PlainRun(
            losses=losses,
            params={name: value.detach().clone() for name, value in store.items()},
            unconstrained={
                name: value.detach().clone() for name, value in store.named_parameters()
            },
            rng_state=pyro.util.get_rng_state(),
            scenario=scenario,
        )
