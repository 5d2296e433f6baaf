"""The parameters of the store: who reads each, and what it is."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
from pyro.poutine.guide import GuideMessenger
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import constraints, transform_to

from tui_elbo.engine.compat.pyro import store_constraints
from tui_elbo.engine.tracebacks import shown
from tui_elbo.model.records import MAX_ELEMENTS, ParamInfo, Role


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

    def constrained(self) -> Tensor:
        """Its present value, as `pyro.param` returns it; to be called without gradients."""
        now = self.tensor.detach()
        return now if self.to_constrained is None else self.to_constrained(now)


class Roles:
    """Tells who reads a parameter.

    Args:
        guide: parameters that belong to it are φ wherever they are read.
        model_params: names read by the model so far; grows while the run goes on.
        guide_params: the same for the guide.
        traced: whether a trace of model and guide has been seen so far; until then nothing is
            known but what belongs to the guide's own module.
    """

    def __init__(
        self,
        guide: Any,
        model_params: set[str],
        guide_params: set[str],
        traced: Callable[[], bool],
    ) -> None:
        self.read_elsewhere: Callable[[], frozenset[str]] = frozenset
        """Names that other trainings of the process read."""
        self._traced = traced
        guide = pyro.poutine.unwrap(guide)
        # Held weakly: a script may drop its guide.
        module = isinstance(guide, torch.nn.Module)
        self._module = weakref.ref(guide) if module else lambda: None
        self._messenger = isinstance(guide, GuideMessenger)
        self._model_params, self._guide_params = model_params, guide_params
        if isinstance(guide, GuideMessenger):
            _note_posterior_params(guide, guide_params)

    @property
    def known(self) -> tuple[int, int, bool]:
        """Changes whenever more is known than before."""
        return len(self._model_params), len(self._guide_params), self._traced()

    @property
    def names(self) -> set[str]:
        """What model and guide have read."""
        return self._model_params | self._guide_params

    def are_elsewhere(self, names: Iterable[str]) -> set[str]:
        """Those of the names that other trainings read, and this one does not."""
        found = self.read_elsewhere()
        return set(found.intersection(names)) - self.names if found else set()

    def owned(self) -> set[int]:
        """The identities of the parameters that belong to the guide's own module."""
        module = self._module()
        return set() if module is None else {id(leaf) for leaf in module.parameters()}

    def of(self, name: str, *, owned: bool) -> Role:
        """The role of a parameter that does or does not belong to the guide."""
        if owned:
            return "guide"
        if name in self._guide_params:
            # A guide that is a messenger runs inside the model, whose trace has all it reads.
            alone = self._messenger or name not in self._model_params
            return "guide" if alone else "both"
        if name in self._model_params:
            return "model"
        return "none" if self._traced() else "unknown"


def tracked(name: str, tensor: Tensor, role: Role, constraint: Any = None) -> Tracked:
    """A parameter as it is now; without a constraint given, that of the store."""
    if constraint is None:
        constraint = store_constraints().get(name, constraints.real)
    plain = _is_real(constraint)
    transform = None if plain else transform_to(constraint)
    with torch.no_grad():
        shape = tuple((tensor if transform is None else transform(tensor)).shape)
    size = max(tensor.numel(), int(np.prod(shape, dtype=np.int64)))
    said = "real" if plain else _constraint_name(constraint)
    info = ParamInfo(name=name, role=role, shape=shape, constraint=said)
    small = size <= MAX_ELEMENTS and not tensor.is_complex()
    return Tracked(name, tensor, transform, info, small=small)


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


def _is_real(constraint: Any) -> bool:
    while isinstance(constraint, constraints.independent):
        constraint = constraint.base_constraint
    return constraint is constraints.real or isinstance(constraint, type(constraints.real))


def _constraint_name(constraint: Any) -> str:
    name, bracket, rest = shown(constraint, str).removesuffix("()").partition("(")
    return name.rpartition(".")[2] + bracket + rest
