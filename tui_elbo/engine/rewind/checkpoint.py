"""The whole state of a run, copied: all that going on from a step takes.

`ParamStoreDict.get_state`, `PyroOptim.get_state` and `torch.optim.Optimizer.load_state_dict` alias
live tensors, so everything is copied on the way in and on the way out.

Checkpoints are kept under a budget of bytes: dense near the present, thinned towards the past.
"""

from __future__ import annotations

import copy
import gc
import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer import ELBO
from pyro.optim import PyroOptim
from torch import Tensor, nn

from tui_elbo.engine.compat.pyro import store_constraints

_PLAIN = {int, float, bool, str, type(None)}

OWN_BYTES, PARAM_BYTES = 13_500, 3_000
"""What a checkpoint takes beside numbers: random state and objects, and those of a parameter."""


@dataclass(frozen=True, eq=False)
class KeptParam:
    """A parameter that an optimiser moves."""

    leaf: Tensor
    """The live unconstrained tensor itself."""
    value: Tensor
    """A copy of its values."""
    has_grad: bool
    """Whether a gradient has reached it: then one that does not come is zero, and not none."""
    optimizer: Any
    """The live optimiser or scheduler of this parameter; None if it had none yet."""
    optimizer_state: Any
    """A copy of its state."""
    clip: Any
    """What clips its gradients; None if nothing does."""


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
    """Those of the store, in its order."""
    constraints: dict[str, Any]
    """Theirs."""
    others: list[KeptParam]
    """Those that modules keep from the store."""
    modules: list[KeptModule]
    optimizer: PyroOptim
    """The live optimiser itself."""
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

    @property
    def leaves(self) -> list[KeptParam]:
        """Every parameter."""
        return [*self.params.values(), *self.others]


def living_modules() -> list[nn.Module]:
    """Every module that lives in this process, wherever the scenario's code keeps it.

    Closures and `pyro.module` hide modules from the file's own names, so the garbage collector is
    asked; that takes tens of milliseconds, and is done once for a set of parameters.
    """
    # By type: `isinstance` would ask each object for its `__class__`, and some do things then.
    kinds = _Kinds()
    return [thing for thing in gc.get_objects() if kinds[type(thing)]]


class _Kinds(dict[type, bool]):
    """Whether a type is one of modules; asked half a million times for a few thousand types."""

    def __missing__(self, kind: type) -> bool:
        self[kind] = found = issubclass(kind, nn.Module)
        return found


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
    store = pyro.get_param_store()
    params = {name: _kept(leaf, optimizer) for name, leaf in store.named_parameters()}
    stored = {id(one.leaf) for one in params.values()}
    # Of the parameters that are not in the store, only those matter that an optimiser moves.
    local = [leaf for leaf in optimizer.optim_objs if is_modules(leaf) and id(leaf) not in stored]
    others = [_kept(leaf, optimizer) for leaf in local]
    kept = [
        KeptModule(module, module.training, {n: b.clone() for n, b in _own_buffers(module)})
        for module in modules
    ]
    leaves = [*params.values(), *others]
    size = sum(3 * _bytes(one.value) + PARAM_BYTES for one in leaves) + OWN_BYTES
    size += sum(_bytes(buffer) for one in kept for buffer in one.buffers.values())
    return Checkpoint(
        step=step,
        loss=loss,
        params=params,
        constraints=dict(store_constraints()),
        others=others,
        modules=kept,
        optimizer=optimizer,
        estimator=estimator,
        estimator_state=dict(vars(estimator)),
        optimizer_args=copy.copy(optimizer.pt_optim_args),
        random=random_state(),
        size=size,
    )


def is_modules(leaf: Tensor) -> bool:
    """Whether a parameter may belong to a module, which keeps it whatever the store does."""
    return isinstance(leaf, nn.Parameter)


def restore(checkpoint: Checkpoint) -> bool:
    """Put the run back into that state, with the optimiser and the estimator of then.

    Parameters made since are dropped, with their optimisers; those dropped since come back.

    Returns:
        False, with nothing changed, if a module has come by a parameter since: what it has set up
        with it cannot be undone, and the run is to be found again from its beginning.
    """
    store, optimizer = pyro.get_param_store(), checkpoint.optimizer
    leaves = checkpoint.leaves
    known = {id(one.leaf) for one in leaves}
    live = [leaf for _, leaf in store.named_parameters()]
    if any(is_modules(leaf) and id(leaf) not in known for leaf in [*live, *optimizer.optim_objs]):
        return False
    for one in leaves:
        _put_back(one)
    moved = [one for one in leaves if one.optimizer is not None]
    for table, values in (
        (optimizer.optim_objs, {one.leaf: one.optimizer for one in moved}),
        (optimizer.grad_clip, {one.leaf: one.clip for one in moved}),
    ):
        table.clear()
        table.update(values)
    stored = {name: one.leaf for name, one in checkpoint.params.items()}
    if [*map(id, live)] != [*map(id, stored.values())]:
        store.clear()
        store.set_state({"params": stored, "constraints": checkpoint.constraints})
    for kept in checkpoint.modules:
        _put_back_module(kept)
    estimator = vars(checkpoint.estimator)
    estimator.clear()
    estimator.update(checkpoint.estimator_state)
    optimizer.pt_optim_args = copy.copy(checkpoint.optimizer_args)
    set_random_state(checkpoint.random)
    return True


def _kept(leaf: Tensor, optimizer: PyroOptim) -> KeptParam:
    own = optimizer.optim_objs.get(leaf)
    state = None if own is None else [copied(part.state_dict()) for part in _parts(own)]
    clip = optimizer.grad_clip.get(leaf)
    return KeptParam(leaf, leaf.detach().clone(), leaf.grad is not None, own, state, clip)


def _put_back(kept: KeptParam) -> None:
    with torch.no_grad():
        kept.leaf.copy_(kept.value)
    kept.leaf.grad = torch.zeros_like(kept.leaf) if kept.has_grad else None
    if kept.optimizer is not None:
        states = copied(kept.optimizer_state)
        for part, state in zip(_parts(kept.optimizer), states, strict=True):
            part.load_state_dict(state)


def _put_back_module(kept: KeptModule) -> None:
    module, live = kept.module, dict(_own_buffers(kept.module))
    module.training = kept.training
    for name, value in kept.buffers.items():
        own = live.pop(name, None)
        if own is not None and (own.shape, own.dtype) == (value.shape, value.dtype):
            with torch.no_grad():
                own.copy_(value)
        else:
            setattr(module, name, value.clone())
    for name in live:
        delattr(module, name)


def copied(state: Any) -> Any:
    """A copy of a nested state; as `copy.deepcopy`, and several times as fast."""
    kind = type(state)
    if kind in _PLAIN:
        return state
    if kind is dict:
        return {key: copied(value) for key, value in state.items()}
    if kind is list or kind is tuple:
        return kind(map(copied, state))
    if kind is Tensor:
        return state.detach().clone()
    return copy.deepcopy(state)


def _parts(optimizer: Any) -> list[Any]:
    """A scheduler and the optimiser in it, or the optimiser alone."""
    inner = getattr(optimizer, "optimizer", None)
    return [optimizer] if inner is None else [inner, optimizer]


def _own_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return module.named_buffers(recurse=False)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def random_state() -> tuple[Any, ...]:
    """A copy of it, small enough to be kept by the thousand."""
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if in_use else None
    version, words, gauss = random.getstate()
    # As 625 Python integers it would be ten times the size, and most of a small checkpoint.
    packed = (version, array("I", words), gauss)
    return torch.get_rng_state(), np.random.get_state(), packed, cuda


def set_random_state(state: tuple[Any, ...]) -> None:
    """Put a copy back; it may be put back again."""
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    version, words, gauss = state[2]
    random.setstate((version, tuple(words), gauss))
    if state[3] is not None:
        torch.cuda.set_rng_state_all(state[3])


SLACK = 16
"""A full budget is emptied by this part of it."""

DENSE_STEPS, DENSE_EVERY = 50, 3
"""So many steps before a known end have a checkpoint each so many steps, and so have those before
any step that was gone back to."""


def dense(step: int, end: int) -> bool:
    """Whether a step is kept in any case, since the run will stand at `end`."""
    return end - DENSE_STEPS < step <= end and step % DENSE_EVERY == 0


class Timeline:
    """Keeps checkpoints, and gives up those that are missed least.

    Args:
        budget: bytes that the checkpoints may take together; the newest is kept in any case.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: list[Checkpoint] = []
        self.size = 0
        """Bytes that they take now, about."""

    def add(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, if there is none of its step."""
        index = bisect_left(self._kept, checkpoint.step, key=_step)
        if index < len(self._kept) and self._kept[index].step == checkpoint.step:
            return
        self._kept.insert(index, checkpoint)
        self.size += checkpoint.size
        if self.size > self._budget and len(self._kept) > 1:
            self._thin()

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self._kept)

    def copy(self) -> Timeline:
        """Another of the same checkpoints, which goes its own way."""
        other = Timeline(self._budget)
        other._kept, other.size = self._kept[:], self.size
        return other

    def keep_last(self, step: int) -> None:
        """Drop all but the newest checkpoint of a step not after `step`."""
        kept = self.nearest(step)
        self._kept = [] if kept is None else [kept]
        self.size = sum(one.size for one in self._kept)

    @property
    def earliest(self) -> Checkpoint | None:
        """The first of them; None if there is none."""
        return self._kept[0] if self._kept else None

    def nearest(self, step: int) -> Checkpoint | None:
        """The latest checkpoint of a step not after `step`; None if there is none."""
        index = bisect_right(self._kept, step, key=_step)
        return self._kept[index - 1] if index else None

    def forget_after(self, step: int) -> None:
        """Drop the checkpoints of later steps."""
        while self._kept and self._kept[-1].step > step:
            self.size -= self._kept.pop().size

    def _thin(self) -> None:
        """Drop those whose going leaves the smallest gaps, relative to their age.

        Several at once, so that a full budget does not have each new one looked for.
        """
        steps = [0, *(kept.step for kept in self._kept)]
        gaps = zip(steps, steps[1:], steps[2:], strict=False)
        missed = [
            ((after - before) / (steps[-1] - own), index)
            for index, (before, own, after) in enumerate(gaps)
        ]
        going: set[int] = set()
        left, room = self.size, self._budget - self._budget // SLACK
        for _, index in sorted(missed):
            if left <= room:
                break
            if not {index - 1, index + 1} & going:
                going.add(index)
                left -= self._kept[index].size
        self._kept = [kept for index, kept in enumerate(self._kept) if index not in going]
        self.size = left
        if self.size > self._budget and len(self._kept) > 1:
            self._thin()


def _step(checkpoint: Checkpoint) -> int:
    return checkpoint.step
