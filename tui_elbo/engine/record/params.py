"""The param store, step by step: roles, values, gradients as the optimiser gets them, updates.

Small parameters are read at each step and turned into columns in batches; of large ones, and of
modules, only sums are taken, and only when they are due.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import pyro
import torch
from msgspec.structs import replace
from pyro.poutine import Trace
from torch import Tensor
from torch.distributions import constraints

from tui_elbo.engine.compat.torch import foreach_norm
from tui_elbo.engine.record.columns import Formula, Formulas, Steps, put_bounded
from tui_elbo.engine.record.modules import SUMMED, divided
from tui_elbo.engine.record.numbers import Kept, dense, joined, kept, norms, real
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.record.roles import Roles, Tracked, tracked
from tui_elbo.model.records import (
    MAX_ELEMENTS,
    Column,
    Floats,
    ModuleInfo,
    ParamInfo,
    ParamRecord,
)


@dataclass(eq=False, slots=True)
class StepParams:
    """What one step did to the param store."""

    plan: ParamPlan
    """The same for all steps with the same parameters, in the same order, of which the same numbers
    were taken."""
    before: list[Kept]
    """The unconstrained small parameters before the update; the same list as the `after` of the
    step before, unless that is not what they were."""
    after: list[Kept]
    """The same after it."""
    grads: list[Kept]
    """Those small parameters' gradients that exist."""
    sums: list[Kept]
    """The columns of `SUMMED` of each group whose sums were taken."""


@dataclass(eq=False)
class ParamPlan:
    """How the numbers of such steps become columns."""

    small: list[Tracked]
    """Those recorded element by element."""
    groups: list[Group]
    """Only those whose sums have been taken."""
    has_grad: tuple[bool, ...]
    """For each small parameter, then for each group."""
    infos: tuple[ParamInfo, ...]
    modules: tuple[ModuleInfo, ...]

    def formulas(self) -> Formulas:
        """The columns of such steps."""
        found: Formulas = {}
        start = grad_start = 0
        for param, has_grad in zip(self.small, self.has_grad, strict=False):
            name, end = param.name, start + param.tensor.numel()
            for element in range(prod(param.info.shape)):
                column = Column("param", name, f"value[{element}]")
                found[column] = _value(param, start, end, element)
            if has_grad:
                grad_end = grad_start + param.tensor.numel()
                found[Column("param", name, "grad_norm")] = _grad_norm(grad_start, grad_end)
                grad_start = grad_end
            found[Column("param", name, "update_norm")] = _update_norm(start, end)
            start = end
        for index, group in enumerate(self.groups):
            for offset, field in enumerate(SUMMED):
                if field != "grad_norm" or self.has_grad[len(self.small) + index]:
                    found[group.column(field)] = _sum(index * len(SUMMED) + offset)
        return found


def _value(param: Tracked, start: int, end: int, element: int) -> Formula:
    return lambda steps: steps.constrained(param, start, end)[:, element]


def _grad_norm(start: int, end: int) -> Formula:
    return lambda steps: norms(steps.grads[:, start:end])


def _update_norm(start: int, end: int) -> Formula:
    def update_norm(steps: Steps) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            update = steps.after[:, start:end] - steps.before[:, start:end]
        return norms(update)

    return update_norm


def _sum(place: int) -> Formula:
    return lambda steps: steps.sums[:, place]


def _record(param: Tracked) -> ParamRecord:
    """A parameter as it is now, of which no step is known."""
    info, value = param.info, param.constrained()
    record = ParamRecord(info.role, info.shape, grad_norm=None, update_norm=None)
    if value.is_complex() or not value.numel():
        return record
    numbers = dense(value).double().cpu()
    if numbers.numel() <= MAX_ELEMENTS:
        return replace(record, value=numbers.tolist())
    mean, sd = float(numbers.mean()), float(numbers.std(unbiased=False))
    low, high = float(numbers.min()), float(numbers.max())
    return replace(record, mean=mean, sd=sd, min=low, max=high)


@dataclass(frozen=True, eq=False)
class LocalParam:
    """A parameter that its module keeps for itself (`module_local_params`)."""

    leaf: Tensor
    """Unconstrained."""
    constraint: Any


@dataclass(frozen=True, eq=False)
class Gradient:
    """What reached one parameter in a step."""

    name: str
    elements: Kept | None
    """As the optimiser received it; None if nothing reached it."""


class ParamRecorder:
    """Watches the param store around the optimiser's call.

    Args:
        roles: tells who reads each parameter.
        options: what is kept of single parameters.
        room: how many columns there are for parameters; asked when the store has changed.
    """

    def __init__(self, roles: Roles, options: RecordingOptions, room: Callable[[], int]) -> None:
        self.roles, self._options, self._room = roles, options, room
        self.local: dict[str, LocalParam] = {}
        """Parameters that are in no store but in modules, by name."""
        self.own: dict[str, Tensor] = {}
        """The leaves of these; the same dictionary always."""
        self.gradient: Gradient | None = None
        """Of the parameter that is inspected, in the newest step; None if it is not known."""
        self.stored: list[tuple[str, Tensor]] = []
        """The unconstrained parameters by name; another list once the store has changed."""
        self._tracked: list[Tracked] = []
        self._small: list[Tracked] = []
        self._groups: list[Group] = []
        self._modules: tuple[ModuleInfo, ...] = ()
        self._leaves: list[Tensor] = []
        self._seen: list[Any] = []
        self._held: list[Tensor] = []
        self._last: list[Kept] | None = None
        self._plans: dict[Hashable, ParamPlan] = {}
        self._versions: dict[Hashable, int] = {}
        self._version = self._newest = 0
        self.before_seconds = 0.0
        """What the sums have cost that were taken within the step, before the update."""
        self.begin(due=True)

    def begin(self, *, due: bool) -> None:
        """A step begins; `due` says whether to take the sums of large parameters and modules."""
        self._due = due
        self._grads: list[Kept] = []
        self._has_grad: tuple[bool, ...] = ()
        self._before: list[Before] = []
        self.before_seconds = 0.0

    def before_update(self) -> None:
        """Read what the optimiser is about to use and to change."""
        self.read_values()
        self.read_gradients()

    def read_values(self) -> None:
        """Read what an update is going to change; of its gradients, nothing is known yet."""
        self._refresh()
        if self._last is None:
            self._last = [kept(leaf) for leaf in self._leaves]
        if self._due and self._groups:
            began = time.perf_counter()
            self._before = [Before(group.values(), None) for group in self._groups]
            self.before_seconds = time.perf_counter() - began
        self._grads = []
        self._has_grad = (False,) * (len(self._leaves) + len(self._before))
        self.gradient = None

    def read_gradients(self) -> None:
        """Read the gradients that an update is about to use."""
        grads = [leaf.grad for leaf in self._leaves]
        self._grads = [kept(grad) for grad in grads if grad is not None]
        self._has_grad = tuple([grad is not None for grad in grads])
        if self._before:
            began = time.perf_counter()
            for group, before in zip(self._groups, self._before, strict=True):
                before.grad_norm = group.grad_norm()
            self._has_grad += tuple(before.grad_norm is not None for before in self._before)
            self.before_seconds += time.perf_counter() - began
        self.gradient = self._inspect(self._options.inspected) if self._options.inspected else None

    def finish(self) -> StepParams:
        """What the step did, once the optimiser has returned."""
        after = [kept(leaf) for leaf in self._leaves]
        before, self._last = self._last or [], after
        sums: list[Kept] = []
        for group, old in zip(self._groups, self._before, strict=False):
            sums += group.sums(old)
        key = (self._version, self._has_grad, bool(sums))
        plan = self._plans.get(key)
        if plan is None:
            groups = self._groups if sums else []
            infos = tuple(param.info for param in self._tracked)
            plan = ParamPlan(self._small, groups, key[1], infos, self._modules)
            put_bounded(self._plans, key, plan)
        return StepParams(plan, before, after, self._grads, sums)

    @property
    def version(self) -> int:
        """Changes whenever the store has other parameters, or the same in other roles."""
        return self._version

    def present(self) -> dict[str, ParamRecord]:
        """Each parameter as it is now, in constrained space, without norms."""
        self._refresh()
        with torch.no_grad():
            return {param.name: _record(param) for param in self._tracked}

    def keep_local(self, name: str, leaf: Tensor, constraint: Any = None) -> bool:
        """Take in a parameter that is in no store; returns whether it was not known yet.

        Args:
            name: of the parameter.
            leaf: unconstrained.
            constraint: of its value; None: it has none.
        """
        if self.own.get(name) is leaf:
            return False
        self.local[name] = LocalParam(leaf, constraints.real if constraint is None else constraint)
        self.own[name] = leaf
        return True

    def note_local(self, *traces: Trace) -> None:
        """Take in what modules keep for themselves: it is known by the traces alone."""
        store = pyro.get_param_store()
        for trace in traces:
            for name, node in trace.nodes.items():
                if node["type"] != "param" or name in store:
                    continue
                value = node["value"]
                leaf = value.unconstrained() if hasattr(value, "unconstrained") else value
                if isinstance(leaf, Tensor):
                    self.keep_local(name, leaf, node["kwargs"].get("constraint"))

    def forget(self) -> None:
        """The parameters have been given other values: what was seen of them does not hold."""
        self._last = self.gradient = None

    def _inspect(self, name: str) -> Gradient | None:
        leaf = next((param.tensor for param in self._tracked if param.name == name), None)
        if leaf is None:
            return None
        return Gradient(name, None if leaf.grad is None else kept(real(leaf.grad)))

    def _refresh(self) -> None:
        """Look whether the store has other parameters than before, or the same in other roles."""
        named, roles = pyro.get_param_store().named_parameters(), self.roles
        # Identities are compared: the leaves are held here, so that none is given out again.
        seen: list[Any] = [id(tensor) for _, tensor in named]
        if self.local:
            seen += [id(one.leaf) for one in self.local.values()]
        seen += (roles.read_elsewhere(), *roles.known, self._options.watched)
        if seen == self._seen:
            return
        stored = [*named, *((name, one.leaf) for name, one in self.local.items())]
        elsewhere = roles.are_elsewhere(name for name, _ in stored)
        self._held = [leaf for _, leaf in stored]
        stored = [one for one in stored if one[0] not in elsewhere]
        self._seen, self.stored = seen, stored
        owned = self.roles.owned()
        was = (
            {} if self._last is None else dict(zip(map(id, self._leaves), self._last, strict=True))
        )
        self._tracked = [
            tracked(
                name,
                tensor,
                self.roles.of(name, owned=id(tensor) in owned),
                self.local[name].constraint if name in self.local else None,
            )
            for name, tensor in stored
        ]
        self._divide()
        # What was replaced, by the estimator say, has no value of its own before the update.
        self._last = [was[id(p)] if id(p) in was else kept(p) for p in self._leaves]

    def _divide(self) -> None:
        infos = tuple(param.info for param in self._tracked)
        division = divided(infos, self._room())
        whole = division.whole | self._options.watched
        alone = [param for param in self._tracked if param.name in whole]
        self._small = [param for param in alone if param.small]
        self._leaves = [param.tensor for param in self._small]
        self._groups = [Group("param", param.name, [param]) for param in alone if not param.small]
        for module, places in zip(division.modules, division.members, strict=True):
            members = [self._tracked[place] for place in places]
            self._groups.append(Group("module", module.name, members))
        self._modules = division.modules
        recorded = tuple(param.name for param in alone)
        known = self._versions.get((infos, recorded))
        if known is None:
            self._newest = known = self._newest + 1
            put_bounded(self._versions, (infos, recorded), known)
        self._version = known


@dataclass(eq=False)
class Group:
    """Parameters whose elements are summed up together."""

    kind: Literal["param", "module"]
    name: str
    params: list[Tracked]
    """At least one."""

    def __post_init__(self) -> None:
        self._leaves = [param.tensor for param in self.params]
        self._complex = any(leaf.is_complex() for leaf in self._leaves)
        self._constrained = any(param.to_constrained is not None for param in self.params)

    def _numbers(self) -> list[Tensor]:
        """The unconstrained parameters in real numbers."""
        return [*map(real, self._leaves)] if self._complex else self._leaves

    def column(self, field: str) -> Column:
        """The column of one of its sums."""
        return Column(self.kind, self.name, field)

    def values(self) -> Tensor:
        """A copy of the unconstrained elements."""
        with torch.no_grad():
            leaves = self._numbers()
            return leaves[0].clone() if len(leaves) == 1 else joined(leaves)

    def grad_norm(self) -> Kept | None:
        """Of all their gradients together; None if none has reached them."""
        with torch.no_grad():
            grads = [dense(g) for g in [leaf.grad for leaf in self._leaves] if g is not None]
            grads = [*map(real, grads)] if self._complex else grads
            return _norm(grads) if grads else None

    def sums(self, before: Before) -> list[Kept]:
        """The columns of `SUMMED`, after the update."""
        with torch.no_grad():
            if len(self.params) == 1:
                now = real(self.params[0].tensor.detach())
                values = real(self.params[0].constrained())
            else:
                now = values = joined(self._numbers())
                if self._constrained:
                    values = joined([real(param.constrained()) for param in self.params])
            update = torch.linalg.vector_norm(now - before.values)
            grad = torch.nan if before.grad_norm is None else before.grad_norm
            return [*_summary(values), grad, kept(update)]


@dataclass(eq=False)
class Before:
    """A group before its update."""

    values: Tensor
    """A copy of the unconstrained elements."""
    grad_norm: Kept | None
    """None if no gradient has reached it."""


def _norm(tensors: list[Tensor]) -> Kept:
    """The Euclidean norm of all elements together."""
    if len(tensors) == 1:
        return kept(torch.linalg.vector_norm(tensors[0]))
    return kept(torch.linalg.vector_norm(joined(foreach_norm(tensors))))


def _summary(values: Tensor) -> list[Kept]:
    """Mean, standard deviation with n - 1, minimum and maximum."""
    if values.numel() == 0:
        return [torch.nan] * 4
    low, high = torch.aminmax(values)
    if values.numel() == 1:
        return [kept(low), torch.nan, kept(low), kept(low)]
    sd, mean = torch.std_mean(values)
    return [kept(mean), kept(sd), kept(low), kept(high)]
