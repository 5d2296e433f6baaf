"""A scenario's parts in words and plain numbers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pyro.infer import ELBO
from pyro.optim import PyroLRScheduler, PyroOptim
from torch.optim import Optimizer

from tui_elbo.engine.tracebacks import shown


def estimator(loss: ELBO) -> str:
    """Such as `Trace_ELBO, 4 particles vectorised`."""
    text = type(loss).__name__
    if loss.num_particles > 1:
        text += f", {loss.num_particles} particles"
        text += " vectorised" if loss.vectorize_particles else ""
    return text


def optimizer(optim: PyroOptim) -> str:
    """Such as `Adam, lr 0.02`, or `ExponentialLR of Adam, lr 0.02`."""
    text = getattr(optim.pt_optim_constructor, "__name__", "optimizer")
    if isinstance(optim, PyroLRScheduler):
        text = f"{getattr(optim.pt_scheduler_constructor, '__name__', 'scheduler')} of {text}"
    args = optim.pt_optim_args
    lr = args.get("lr", args.get("eta")) if isinstance(args, dict) else None
    return f"{text}, lr {lr:g}" if isinstance(lr, int | float) else text


def torch_optimizer(optim: Optimizer) -> str:
    """Such as `Adam, lr 0.02`; without a rate where its groups of parameters have several."""
    text = type(optim).__name__
    rates = {group.get("lr") for group in optim.param_groups}
    lr = rates.pop() if len(rates) == 1 else None
    return f"{text}, lr {lr:g}" if isinstance(lr, int | float) else text


def rate_decays(optim: Any) -> bool:
    """Whether the learning rate changes by itself from step to step."""
    if isinstance(optim, PyroLRScheduler):
        return True
    args = getattr(optim, "pt_optim_args", None)
    if not isinstance(args, dict):
        return True
    return bool(args.get("lrd", 1.0) != 1.0 or args.get("lr_decay", 0.0) != 0.0)


def callable_name(called: Any) -> str:
    """Such as `guide`, `AutoNormal`, or `VAE.guide` of a method."""
    name = getattr(called, "__qualname__", None) or type(called).__qualname__
    owner = getattr(called, "__self__", None)
    if owner is not None and hasattr(called, "__func__"):
        name = f"{type(owner).__name__}.{called.__name__}"
    return shown(name.rpartition("<locals>.")[2], str)


def plain(value: Any) -> Any:
    """The same in numbers, strings, lists and dicts; what is none of these becomes its `str`."""
    if isinstance(value, dict):
        return {shown(key, str): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())  # a tensor, or of NumPy
    if value is None or isinstance(value, bool | float | str | int):
        return str(value) if type(value) is int and abs(value) >= 2**63 else value
    with suppress(Exception):
        return float(value)
    return shown(value, str)
