"""The whole state of a run, copied: all that going on from a step takes.

`ParamStoreDict.get_state`, `PyroOptim.get_state` and `torch.optim.Optimizer.load_state_dict` alias
live tensors, so everything is copied on the way in and on the way out.
"""

from __future__ import annotations

import copy
import gc
import random
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer import ELBO
from pyro.optim import PyroOptim
from torch import Tensor, nn

OWN_BYTES, PARAM_BYTES = 13_500, 3_000
"""What a checkpoint takes beside numbers: random state and objects, and those of a parameter."""


@dataclass(frozen=True, eq=False)
class KeptParam:
    """A parameter of the store."""

    leaf: Tensor
    """The live unconstrained tensor itself, to know it again."""
    value: Tensor
    """A copy of its values."""
    optimizer: Any
    """The live optimiser or scheduler of this parameter; None if it had none yet."""
    optimizer_state: Any
    """A deep copy of its state."""


@dataclass(frozen=True, eq=False)
class KeptModule:
    """What a module keeps beside its parameters."""

    module: nn.Module
    training: bool
    buffers: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state in which a run stands after a step."""

    step: int
    loss: float
    """The loss of that step; NaN if there is none."""
    params: dict[str, KeptParam]
    modules: list[KeptModule]
    estimator: ELBO
    """The live estimator itself."""
    estimator_state: dict[str, Any]
    """Its particles, and what it has set up lazily, such as a guessed `max_plate_nesting`."""
    optimizer_args: Any
    """What the optimisers of parameters yet to come are made with."""
    random: tuple[Any, ...]
    """Of torch, NumPy, random and each CUDA device in use."""
    size: int
    """Bytes, about."""


def living_modules() -> list[nn.Module]:
    """Every module that lives in this process, wherever the scenario's code keeps it.

    Closures and `pyro.module` hide modules from the file's own names, so the garbage collector is
    asked; that takes tens of milliseconds, and is done once for a set of parameters.
    """
    # By type: `isinstance` would ask each object for its `__class__`, and some do things then.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), nn.Module)]


def capture(
    step: int, loss: float, optimizer: PyroOptim, estimator: ELBO, modules: list[nn.Module]
) -> Checkpoint:
    """Copy the state of the run.

    Args:
        step: the newest step that has been taken.
        loss: its loss.
        optimizer: of the run.
        estimator: of the run.
        modules: those whose buffers and modes belong to the state.
    """
    params = {
        name: _kept(leaf, optimizer.optim_objs.get(leaf))
        for name, leaf in pyro.get_param_store().named_parameters()
    }
    kept = [
        KeptModule(module, module.training, {n: b.clone() for n, b in _own_buffers(module)})
        for module in modules
    ]
    size = sum(3 * _bytes(one.value) + PARAM_BYTES for one in params.values()) + OWN_BYTES
    size += sum(_bytes(buffer) for one in kept for buffer in one.buffers.values())
    return Checkpoint(
        step,
        loss,
        params,
        kept,
        estimator,
        dict(vars(estimator)),
        copy.copy(optimizer.pt_optim_args),
        _random_state(),
        size,
    )


def restore(checkpoint: Checkpoint, optimizer: PyroOptim) -> bool:
    """Put the run back into that state; its estimator is `checkpoint.estimator`.

    Returns:
        False, with nothing changed, if the store holds parameters that were not there then, or
        others of the same names: the run is then to be found again from its beginning.
    """
    store = pyro.get_param_store()
    live = dict(store.named_parameters())
    replaced = {name for name, kept in checkpoint.params.items() if live.get(name) is not kept.leaf}
    if live.keys() != checkpoint.params.keys() or any(
        checkpoint.params[name].optimizer is not None for name in replaced
    ):
        return False
    for name, kept in checkpoint.params.items():
        if name not in replaced:
            _put_back(kept, optimizer)
    _replace(checkpoint, replaced)
    for one in checkpoint.modules:
        one.module.training = one.training
        for name, buffer in _own_buffers(one.module):
            with torch.no_grad():
                buffer.copy_(one.buffers[name])
    estimator = vars(checkpoint.estimator)
    estimator.clear()
    estimator.update(checkpoint.estimator_state)
    optimizer.pt_optim_args = copy.copy(checkpoint.optimizer_args)
    _set_random_state(checkpoint.random)
    return True


def _kept(leaf: Tensor, optimizer: Any) -> KeptParam:
    state = None if optimizer is None else copy.deepcopy(_state_of(optimizer))
    return KeptParam(leaf, leaf.detach().clone(), optimizer, state)


def _put_back(kept: KeptParam, optimizer: PyroOptim) -> None:
    with torch.no_grad():
        kept.leaf.copy_(kept.value)
    kept.leaf.grad = None
    if kept.optimizer is None:
        optimizer.optim_objs.pop(kept.leaf, None)
        return
    states = copy.deepcopy(kept.optimizer_state)
    for part, state in zip(_parts(kept.optimizer), states, strict=True):
        part.load_state_dict(state)


def _replace(checkpoint: Checkpoint, names: set[str]) -> None:
    """Give the store new leaves where the model replaces its tensor at each step."""
    store = pyro.get_param_store()
    for name in names:
        kept = checkpoint.params[name]
        leaf = kept.value.clone().requires_grad_(kept.leaf.requires_grad)
        constraint = store._constraints[name]
        store.set_state({"params": {name: leaf}, "constraints": {name: constraint}})


def _parts(optimizer: Any) -> list[Any]:
    """A scheduler and the optimiser in it, or the optimiser alone."""
    inner = getattr(optimizer, "optimizer", None)
    return [optimizer] if inner is None else [inner, optimizer]


def _state_of(optimizer: Any) -> list[dict[str, Any]]:
    return [part.state_dict() for part in _parts(optimizer)]


def _own_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return module.named_buffers(recurse=False)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _random_state() -> tuple[Any, ...]:
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if in_use else None
    version, words, gauss = random.getstate()
    # As 625 Python integers it would be ten times the size, and most of a small checkpoint.
    packed = (version, array("I", words), gauss)
    return torch.get_rng_state(), np.random.get_state(), packed, cuda


def _set_random_state(state: tuple[Any, ...]) -> None:
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    version, words, gauss = state[2]
    random.setstate((version, tuple(words), gauss))
    if state[3] is not None:
        torch.cuda.set_rng_state_all(state[3])
