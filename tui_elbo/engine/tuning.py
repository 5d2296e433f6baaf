"""Changing a run's settings from its next step on: learning rate, particles, estimator."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import pyro.optim
import torch
from pyro.infer import ELBO
from pyro.optim import PyroLRScheduler, PyroOptim

from tui_elbo.engine.describe import estimator, optimizer
from tui_elbo.engine.lens.fork import ForkedCall, LookError
from tui_elbo.engine.record.estimators import estimators
from tui_elbo.engine.stepper import Stepper
from tui_elbo.engine.tracebacks import message, trimmed
from tui_elbo.engine.verdict.averaging import stand_at_mean
from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol.codec import decode

LEARNING_RATE = 0.01
"""Of a chosen optimiser, where that of before is decided by a function."""

REHEARSAL_SECONDS = 60.0
"""A step that takes longer than this cannot be tried."""

_INFINITE = float("inf")


@cache
def optimizers() -> dict[str, Callable[..., PyroOptim]]:
    """Pyro's optimisers that need nothing but a learning rate, by name."""
    found = {}
    for name in sorted(vars(pyro.optim)):
        make = getattr(pyro.optim, name)
        rate = "eta" if name == "AdagradRMSProp" else "lr"
        if not callable(make) or isinstance(make, type) or not name[0].isupper():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if _works(make, rate):
                found[name] = make
    return found


def _works(make: Callable[..., PyroOptim], rate: str) -> bool:
    """Whether an optimiser made so takes a step with a parameter such as SVI has."""
    try:
        one = torch.zeros((), requires_grad=True)
        one.grad = torch.zeros(())
        made = make({rate: 0.1})
        made.pt_optim_constructor([one], **made.pt_optim_args).step()
    except Exception:
        return False
    return not isinstance(made, PyroLRScheduler)


def _rate_of(args: dict[str, Any]) -> str:
    """What an optimiser calls its learning rate."""
    return "eta" if "eta" in args and "lr" not in args else "lr"


def _optimizer(name: str, old: PyroOptim) -> PyroOptim:
    kinds = optimizers()
    if name not in kinds:
        hint = f"choose one of {', '.join(kinds)}"
        raise UsageError(f"{name} is no optimizer that can be chosen here", hint=hint)
    args = old.pt_optim_args if isinstance(old.pt_optim_args, dict) else {}
    rate = args.get(_rate_of(args), LEARNING_RATE)
    made = kinds[name]({"eta" if name == "AdagradRMSProp" else "lr": rate})
    made.pt_clip_args = old.pt_clip_args
    return made


def apply(stepper: Stepper, tuning: Tuning) -> None:
    """Make the changes.

    Raises:
        UsageError: if one of them cannot be made; some of the others may have been made.
    """
    if tuning.mean is not None:
        stand_at_mean(tuning.mean)
        stepper.params.forget()
    if tuning.optimizer is not None:
        stepper.optimizer = _optimizer(tuning.optimizer, stepper.optimizer)
    if tuning.lr is not None:
        set_learning_rate(stepper.optimizer, tuning.lr)
    if tuning.particles is not None or tuning.vectorize is not None:
        now = stepper.estimator.num_particles
        particles = now if tuning.particles is None else tuning.particles
        set_particles(stepper.estimator, particles, vectorize=tuning.vectorize)
    if tuning.estimator is not None:
        stepper.use(_estimator(tuning.estimator, stepper.estimator))


def rehearsed(stepper: Stepper, tuning: Tuning) -> tuple[str, str]:
    """See that a step can be taken with the changes, in a forked copy of the process.

    Returns:
        The estimator and the optimiser with them, in words.

    Raises:
        UsageError: with the reason, if they do not fit.
    """

    def work(_: object) -> dict[str, str]:
        try:
            words = retune(stepper, tuning)
        except UsageError as error:
            return {"what": error.what, "hint": error.hint, "traceback": error.traceback}
        return dict(zip(("estimator", "optimizer"), words, strict=True))

    try:
        found: dict[str, str] = decode(ForkedCall(work).wait(REHEARSAL_SECONDS), dict[str, str])
    except LookError as error:
        raise UsageError(f"{tuning} could not be tried: {error}") from error
    if "what" in found:
        raise UsageError(found["what"], hint=found["hint"], traceback=found["traceback"])
    return found["estimator"], found["optimizer"]


def retune(stepper: Stepper, tuning: Tuning) -> tuple[str, str]:
    """Make the changes, and see that a step can be taken with them.

    Returns:
        The estimator and the optimiser with them, in words.

    Raises:
        UsageError: with the reason, if they do not fit; the caller finds the state again.
    """
    try:
        apply(stepper, tuning)
        words = estimator(stepper.estimator), optimizer(stepper.optimizer)
        stepper.rehearse()
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:
        what = f"{tuning} does not fit this scenario: {message(error)}"
        raise UsageError(what, traceback=trimmed(error)) from error
    return words


def learning_rate(optimizer: PyroOptim) -> float:
    """The learning rate in use, of all parameters.

    Raises:
        UsageError: if parameters have different ones, or none.
    """
    args = optimizer.pt_optim_args
    things = optimizer.optim_objs.values()
    groups = [group for one in things for group in getattr(one, "optimizer", one).param_groups]
    found = {group.get("lr", group.get("eta")) for group in groups}
    if not found and isinstance(args, dict):
        found = {args.get(_rate_of(args))}
    if len(found) > 1:
        raise UsageError("the parameters have different learning rates")
    rate = next(iter(found), None)
    if not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise UsageError("the optimizer has no learning rate that is a positive number")
    return float(rate)


def set_learning_rate(optimizer: PyroOptim, lr: float) -> None:
    """Give every parameter's optimiser this learning rate, those yet to come too.

    Raises:
        UsageError: if it is no learning rate, or a function decides on it for each parameter.
    """
    if not math.isfinite(lr) or lr <= 0:
        raise UsageError(f"a learning rate is a positive number, and this is {lr:g}")
    args = optimizer.pt_optim_args
    if not isinstance(args, dict):
        what = "the scenario's optimizer sets the learning rate of each parameter by a function"
        raise UsageError(what, hint="change it in the file, then R reloads it")
    name = _rate_of(args)
    optimizer.pt_optim_args = args | {name: lr}
    for thing in optimizer.optim_objs.values():
        if hasattr(thing, "base_lrs"):
            thing.base_lrs = [lr for _ in thing.base_lrs]
        for group in getattr(thing, "optimizer", thing).param_groups:
            group[name] = lr


def set_particles(estimator: ELBO, particles: int, *, vectorize: bool | None = None) -> None:
    """Estimate with so many particles.

    Args:
        estimator: is changed.
        particles: how many.
        vectorize: whether all at once; None leaves that as it is.

    Raises:
        UsageError: if there are less than one.
    """
    if particles < 1:
        raise UsageError(f"an estimate takes at least one particle, and this is {particles}")
    before = estimator.vectorize_particles and estimator.num_particles > 1
    estimator.num_particles = particles
    if vectorize is not None:
        estimator.vectorize_particles = vectorize
    after = estimator.vectorize_particles and particles > 1
    if estimator.max_plate_nesting != _INFINITE:
        # The dimension of the particles is one more than those of the plates.
        estimator.max_plate_nesting += after - before


def _estimator(name: str, old: ELBO) -> ELBO:
    kinds = estimators()
    if name not in kinds:
        hint = f"choose one of {', '.join(kinds)}"
        raise UsageError(f"{name} is no estimator that can be chosen here", hint=hint)
    return kinds[name](num_particles=old.num_particles, vectorize_particles=old.vectorize_particles)
