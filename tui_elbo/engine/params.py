"""The param store, step by step: roles, values, gradients as the optimiser gets them, updates.

Small parameters are copied at each step and turned into numbers in batches; of large ones only
sums are taken, and only when they are due.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
from pyro.poutine.guide import GuideMessenger
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import constraints, transform_to

from tui_elbo.engine.numbers import norms, table
from tui_elbo.records import MAX_ELEMENTS, SUMMARY, Column, Floats, ParamInfo, Role

_SUMMED = (*SUMMARY, "grad_norm", "update_norm")


@dataclass(eq=False)
class Tracked:
    """A parameter of the store, as the watch needs it."""

    name: str
    tensor: Tensor
    """The unconstrained leaf that the optimiser moves."""
    to_constrained: Callable[[Tensor], Tensor] | None
    """None where constrained and unconstrained are the same."""
    info: ParamInfo
    small: bool


@dataclass(eq=False)
class StepParams:
    """What one step did to the param store."""

    key: Hashable
    """Equal keys mean the same parameters, in the same order, with the same numbers taken."""
    before: list[Tensor]
    """Unconstrained copies of the small parameters before the update."""
    after: list[Tensor]
    """The same after it."""
    grads: list[Tensor]
    """Copies of those small parameters' gradients that exist."""
    restarted: bool
    """Whether some of `before` is not what the step before has left."""
    sums: list[Tensor]
    """0-dim: `mean`, `sd`, `min`, `max`, `grad_norm`, `update_norm` of each large parameter."""


@dataclass(eq=False)
class ParamPlan:
    """How the tensors of one key become columns."""

    small: list[Tracked]
    large: list[Tracked]
    """Only those whose sums have been taken."""
    has_grad: tuple[bool, ...]
    """For each small parameter, then for each large one."""
    infos: tuple[ParamInfo, ...]

    def columns(self, steps: list[StepParams]) -> dict[Column, Floats]:
        """The columns of consecutive steps of this key, each of shape (steps,)."""
        after = table([step.after for step in steps])
        if any(step.restarted for step in steps[1:]):
            before = table([step.before for step in steps])
        else:
            before = np.vstack([table([steps[0].before]), after[:-1]])
        grads = table([step.grads for step in steps])
        sums = table([step.sums for step in steps])
        found: dict[Column, Floats] = {}
        start = grad_start = 0
        for index, (param, has_grad) in enumerate(zip(self.small, self.has_grad, strict=False)):
            name, end = param.name, start + param.tensor.numel()
            values = after[:, start:end]
            if param.to_constrained is not None:
                with torch.no_grad():
                    values = table([[param.to_constrained(step.after[index])] for step in steps])
            for element in range(values.shape[1]):
                found[Column("param", name, f"value[{element}]")] = values[:, element]
            if has_grad:
                grad_end = grad_start + param.tensor.numel()
                found[Column("param", name, "grad_norm")] = norms(grads[:, grad_start:grad_end])
                grad_start = grad_end
            with np.errstate(invalid="ignore"):
                update = after[:, start:end] - before[:, start:end]
            found[Column("param", name, "update_norm")] = norms(update)
            start = end
        for index, param in enumerate(self.large):
            for offset, name in enumerate(_SUMMED):
                row = index * len(_SUMMED) + offset
                if name == "grad_norm" and not self.has_grad[len(self.small) + index]:
                    continue
                found[Column("param", param.name, name)] = sums[:, row]
        return found


class ParamWatch:
    """Watches the param store around the optimiser's call.

    Args:
        guide: parameters that belong to it are φ wherever they are read.
        model_params: names read by the model so far; grows while the run goes on.
        guide_params: the same for the guide.
    """

    def __init__(self, guide: Any, model_params: set[str], guide_params: set[str]) -> None:
        self._guide = guide = pyro.poutine.unwrap(guide)
        self._model_params, self._guide_params = model_params, guide_params
        self._tracked: list[Tracked] = []
        self._small: list[Tracked] = []
        self._large: list[Tracked] = []
        self._seen: list[int] = []
        self._last: dict[str, Tensor] = {}
        self._plans: dict[Hashable, ParamPlan] = {}
        self._versions: dict[tuple[ParamInfo, ...], int] = {}
        self._version = 0
        self.begin(due=True)
        if isinstance(guide, GuideMessenger):
            _note_posterior_params(guide, guide_params)

    def begin(self, *, due: bool) -> None:
        """A step begins; `due` says whether to take the sums of large parameters."""
        self._due, self._restarted = due, False
        self._grads: list[Tensor] = []
        self._has_grad: list[bool] = []
        self._large_before: list[Tensor] = []
        self._large_grads: list[Tensor] = []

    def before_update(self) -> None:
        """Copy what the optimiser is about to use and to change."""
        self._refresh()
        for param in self._small:
            grad = param.tensor.grad
            self._has_grad.append(grad is not None)
            if grad is not None:
                self._grads.append(grad.clone())
            if param.name not in self._last:
                self._restarted = True
                self._last[param.name] = param.tensor.detach().clone()
        for param in self._large if self._due else ():
            grad = param.tensor.grad
            self._has_grad.append(grad is not None)
            self._large_before.append(param.tensor.detach().clone())
            self._large_grads.append(
                torch.tensor(torch.nan) if grad is None else torch.linalg.vector_norm(grad)
            )

    def finish(self) -> StepParams:
        """What the step did, once the optimiser has returned."""
        small, last = self._small, self._last
        after = [param.tensor.detach().clone() for param in small]
        before = [last[param.name] for param in small]
        self._last = {param.name: now for param, now in zip(small, after, strict=True)}
        sums: list[Tensor] = []
        large = self._large if self._due else []
        for param, old, grad in zip(large, self._large_before, self._large_grads, strict=True):
            sums += _sums(param, old, grad)
        key = (self._version, tuple(self._has_grad), bool(large))
        if key not in self._plans:
            infos = tuple(param.info for param in self._tracked)
            self._plans[key] = ParamPlan(small, large, key[1], infos)
        return StepParams(key, before, after, self._grads, self._restarted, sums)

    @property
    def version(self) -> int:
        """Changes whenever the store has other parameters, or the same in other roles."""
        return self._version

    def forget(self) -> None:
        """The parameters have been given other values: what was seen of them does not hold."""
        self._last = {}

    def plan(self, key: Hashable) -> ParamPlan:
        """How the steps of this key become columns."""
        return self._plans[key]

    def _refresh(self) -> None:
        """Look whether the store has other parameters than before, or the same in other roles."""
        stored = pyro.get_param_store().named_parameters()
        # Identities are compared: the leaves are held here, so that none is given out again.
        seen = [id(tensor) for _, tensor in stored]
        seen += [len(self._model_params), len(self._guide_params)]
        if seen == self._seen:
            return
        self._seen = seen
        owned, leaves = _owned(self._guide), dict(stored)
        for param in self._tracked:
            if leaves.get(param.name) is not param.tensor:
                # Replaced, by the estimator say: what it was before is no start of an update.
                self._last.pop(param.name, None)
        self._tracked = [self._track(name, tensor, owned) for name, tensor in stored]
        self._small = [param for param in self._tracked if param.small]
        self._large = [param for param in self._tracked if not param.small]
        infos = tuple(param.info for param in self._tracked)
        self._version = self._versions.setdefault(infos, len(self._versions))

    def _track(self, name: str, tensor: Tensor, owned: set[int]) -> Tracked:
        constraint = pyro.get_param_store()._constraints.get(name, constraints.real)
        plain = _is_real(constraint)
        transform = None if plain else transform_to(constraint)
        with torch.no_grad():
            shape = tuple((tensor if transform is None else transform(tensor)).shape)
        size = max(tensor.numel(), int(np.prod(shape, dtype=np.int64)))
        info = ParamInfo(
            name=name,
            role=self._role(name, id(tensor) in owned),
            shape=shape,
            constraint="real" if plain else _constraint_name(constraint),
        )
        return Tracked(name, tensor, transform, info, small=size <= MAX_ELEMENTS)

    def _role(self, name: str, owned_by_guide: bool) -> Role:
        if owned_by_guide:
            return "guide"
        if name in self._guide_params:
            # A guide that is a messenger runs inside the model, whose trace has all it reads.
            alone = isinstance(self._guide, GuideMessenger) or name not in self._model_params
            return "guide" if alone else "both"
        return "model" if name in self._model_params else "none"


class _Names(Messenger):  # type: ignore[misc]
    """Notes the name of every parameter that is read under it."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def _pyro_post_param(self, msg: Any) -> None:
        self._names.add(msg["name"])


def _note_posterior_params(guide: Any, names: set[str]) -> None:
    """Note what `get_posterior` reads: the messenger's own part of a step inside the model."""
    original = guide.get_posterior

    def get_posterior(*args: Any, **kwargs: Any) -> Any:
        with _Names(names):
            return original(*args, **kwargs)

    guide.get_posterior = get_posterior


def _owned(guide: Any) -> set[int]:
    """The identities of the parameters that belong to the guide's own module."""
    if not isinstance(guide, torch.nn.Module):
        return set()
    return {id(parameter) for parameter in guide.parameters()}


def _is_real(constraint: Any) -> bool:
    while isinstance(constraint, constraints.independent):
        constraint = constraint.base_constraint
    return constraint is constraints.real or isinstance(constraint, type(constraints.real))


def _constraint_name(constraint: Any) -> str:
    text = str(constraint)
    return text.removesuffix("()").rpartition(".")[2] or text


def _sums(param: Tracked, before: Tensor, grad_norm: Tensor) -> list[Tensor]:
    with torch.no_grad():
        now = param.tensor.detach()
        value = now if param.to_constrained is None else param.to_constrained(now)
        sd, mean = torch.std_mean(value)
        low, high = torch.aminmax(value)
        return [mean, sd, low, high, grad_norm, torch.linalg.vector_norm(now - before)]
