"""Draws from the guide, and what model and guide say of them: one at a time, or many in a plate."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.poutine import Trace
from pyro.poutine.guide import GuideMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import prune_subsample_sites, site_is_subsample
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tui_elbo.engine.compat.pyro import enumerate_dim
from tui_elbo.engine.compat.torch import draw_one_by_one, rejection_samplers
from tui_elbo.engine.lens.batched import BatchedError, BatchedValues, run_as_one
from tui_elbo.engine.record.numbers import table
from tui_elbo.model.records import MAX_ELEMENTS, Floats

PLATE = "_lens_draws"
"""The plate of vectorised draws."""


class Part(NamedTuple):
    """What a row of numbers is."""

    field: str
    """`log_p` or `log_q`."""
    site: str
    """As it is shown: an auxiliary `x_unconstrained` is part of `x`."""
    observed: bool


@dataclass(eq=False)
class Traces:
    """One run of guide and model: of a single draw, or of all draws of a plate."""

    model: Trace
    guide: Trace
    """Both with the sites that choose subsamples."""
    axis: int | None = None
    """Where log probabilities have the plate's dimension, from the right; None for one draw."""
    draws: int = 1

    def parts(self) -> dict[Part, Tensor]:
        """Each site's log probability, shape (draws,), with its graph if there is one."""
        model, guide = prune_subsample_sites(self.model), prune_subsample_sites(self.guide)
        model.compute_log_prob()
        guide.compute_log_prob()
        found: dict[Part, Tensor] = {}
        for name, node in _samples(model):
            found[Part("log_p", name, bool(node["is_observed"]))] = self._sum(node)
        for name, node in _samples(guide):
            shown = name.removesuffix("_unconstrained")
            auxiliary = node["infer"].get("is_auxiliary") and shown in guide.nodes
            part = Part("log_q", shown if auxiliary else name, False)
            found[part] = found[part] + self._sum(node) if part in found else self._sum(node)
        return found

    def latents(self, *, local: bool) -> dict[str, Tensor]:
        """The value of each small site that is not observed, shape (draws, elements).

        Args:
            local: also of sites inside plates, which minibatches fill with other data each.
        """
        found = {}
        for name, node in _samples(self.model):
            inside = any(frame.name != PLATE for frame in node["cond_indep_stack"])
            if node["is_observed"] or site_is_subsample(node) or _is_enumerated(node):
                continue
            if inside and not local:
                continue
            value = self._aligned(torch.as_tensor(node["value"]), node["fn"].event_dim)
            if value.numel() <= self.draws * MAX_ELEMENTS:
                found[name] = value.detach().reshape(self.draws, -1)
        return found

    def values(self, site: str) -> Tensor | None:
        """What the model's site has drawn, shape (draws, *the site's); None where there is none."""
        node = self.model.nodes.get(site)
        if node is None:
            return None
        value = self._aligned(torch.as_tensor(node["value"]), node["fn"].event_dim)
        batch = value.shape[1 : value.dim() - node["fn"].event_dim]
        ones = 0
        if self.axis is not None:  # Between the draws and the site's own are those of no plate.
            own = [-f.dim for f in node["cond_indep_stack"] if f.vectorized and f.name != PLATE]
            ones = max(len(batch) - max(own, default=0), 0)
        return value.squeeze(tuple(range(1, 1 + ones))) if ones else value

    def one(self, index: int) -> dict[str, Tensor]:
        """What a single one of these draws has drawn, by site; points of a Delta are left out.

        A point is worked out anew from the other sites, since a Delta knows it to the last bit.
        """
        nodes = dict(_samples(self.model)) | dict(_samples(self.guide))
        return {
            name: node["value"]
            if site_is_subsample(node)
            else self._aligned(torch.as_tensor(node["value"]), node["fn"].event_dim)[index]
            for name, node in nodes.items()
            if not (node["is_observed"] or _is_point(node["fn"]) or _is_enumerated(node))
        }

    def guide_values(self) -> BatchedValues:
        """What all draws have drawn from the guide."""
        nodes = {name: node for name, node in _samples(self.guide) if not node["is_observed"]}
        chosen = {name: node["value"] for name, node in nodes.items() if site_is_subsample(node)}
        drawn = {
            name: self._aligned(torch.as_tensor(node["value"]), node["fn"].event_dim)
            for name, node in nodes.items()
            if name not in chosen
        }
        return BatchedValues(drawn, chosen)

    def _sum(self, node: Any) -> Tensor:
        log_prob = self._aligned(torch.as_tensor(node["log_prob"]), 0)
        return log_prob.reshape(self.draws, -1).sum(1, dtype=torch.float64)

    def _aligned(self, value: Tensor, event_dim: int) -> Tensor:
        """The draws' dimension first; what all draws share is repeated."""
        if self.axis is None:
            return value[None]
        axis = value.dim() + self.axis - event_dim
        if axis > 0:
            raise ValueError("a site has more dimensions to its left than there are plates")
        if axis < 0 or value.shape[0] == 1:
            return value.expand(self.draws, *(value.shape if axis < 0 else value.shape[1:]))
        if value.shape[0] != self.draws:
            raise ValueError("a site has another number of draws than the plate around it")
        return value


@dataclass(eq=False)
class Table:
    """Collects the parts of all draws."""

    draws: int
    rows: dict[Part, Floats] = field(default_factory=dict)
    """Each of shape (draws,); 0 where a draw has not visited the site."""
    latents: dict[str, list[Floats]] = field(default_factory=dict)
    local: bool = True
    """Whether to keep the latents inside plates."""
    failed: list[int] = field(default_factory=list)
    """Draws at which the person's code raised."""

    def take(self, first: int, traces: Traces) -> None:
        """Put in the draws that come next."""
        parts = traces.parts()
        last = first + traces.draws
        numbers = table([[row.detach() for row in parts.values()]]).reshape(-1, traces.draws)
        for part, row in zip(parts, numbers, strict=True):
            self.rows.setdefault(part, np.zeros(self.draws))[first:last] += row
        for name, value in traces.latents(local=self.local).items():
            self.latents.setdefault(name, []).append(value.to("cpu", torch.float64).numpy())


def seed_draw(seed: int) -> None:
    """What `pyro.set_rng_seed` does, without its detour over devices that are not in use.

    torch writes down a whole traceback for each of them, which costs as much as a small model.
    """
    cuda: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if cuda or torch.backends.mps.is_available():
        pyro.set_rng_seed(seed)
        return
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def run(model: Any, guide: Any, args: tuple[Any, ...], *outer: Messenger) -> Traces:
    """Run the guide, and the model against it.

    Args:
        model: the model.
        guide: the guide; a messenger runs the model itself.
        args: of both.
        outer: what is around each of the two.
    """
    if isinstance(guide, GuideMessenger):
        with entered(outer):
            guide(*args)
        # `get_traces` leaves out the choice of subsamples, which the check has to repeat.
        model_trace, guide_trace = guide.get_traces()
        for name, node in guide.trace.nodes.items():
            if site_is_subsample(node):
                model_trace.add_node(name, **node)
        return Traces(model_trace, guide_trace)
    with entered(outer):
        guide_trace = poutine.trace(guide).get_trace(*args)
    with entered(outer):
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args)
    return Traces(model_trace, guide_trace)


def run_many(
    model: Any, guide: Any, args: tuple[Any, ...], *, draws: int, nesting: int, seed: int
) -> Traces:
    """The same for so many draws at once, in a plate to the left of all others.

    Args:
        model: the model.
        guide: the guide.
        args: of both.
        draws: how many.
        nesting: how many dimensions the plates inside take.
        seed: of all draws; those that reject are seeded one by one.
    """
    seed_draw(seed)
    axis = -1 - nesting
    with RowByRow(draws, seed):
        traces = run(model, guide, args, Plate(draws, axis))
    traces.axis, traces.draws = axis, draws
    return traces


def run_batched(
    model: Any,
    guide: Any,
    args: tuple[Any, ...],
    *,
    draws: int,
    nesting: int,
    seed: int,
    paths: int | None = None,
) -> Traces:
    """The same where the model is written for one draw, and the guide is not.

    Args:
        model: the model.
        guide: the guide.
        args: of both.
        draws: how many.
        nesting: how many dimensions the plates inside take.
        seed: of all draws; those that reject are seeded one by one.
        paths: through the model that draws may take; None: each its own.

    Raises:
        BatchedError: if that cannot be done; as any other error.
    """
    if isinstance(guide, GuideMessenger):
        raise BatchedError("the guide runs the model")
    seed_draw(seed)
    axis = -1 - nesting
    with RowByRow(draws, seed), Plate(draws, axis):
        guide_trace = poutine.trace(guide).get_trace(*args)
    traces = Traces(guide_trace, guide_trace, axis, draws)
    values, most = traces.guide_values(), paths or draws
    traces.model = run_as_one(lambda: model(*args), values, draws, nesting, most)
    return traces


class Plate(Messenger):  # type: ignore[misc]
    """The plate of draws, made anew each time that it is entered."""

    def __init__(self, draws: int, axis: int) -> None:
        super().__init__()
        self._draws, self._axis = draws, axis

    def __enter__(self) -> Any:
        self._plate = pyro.plate(PLATE, self._draws, dim=self._axis)
        return self._plate.__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._plate.__exit__(*error)


class FixedValues(Messenger):  # type: ignore[misc]
    """Sites take these values instead of drawing them."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        super().__init__()
        self._values = values

    def _pyro_sample(self, msg: Any) -> None:
        value = self._values.get(msg["name"])
        if value is None or msg["is_observed"]:
            return
        if not site_is_subsample(msg):
            value = value.reshape(msg["fn"].batch_shape + msg["fn"].event_shape)
        msg["value"], msg["done"] = value, True


class RowByRow(TorchFunctionMode):
    """Seeds each draw by itself where a sampler rejects.

    A rejection sampler takes as many random numbers as it happens to need. From one generator, a
    draw that needs one more at the next parameter state would shift the noise of all after it.
    """

    SAMPLERS = rejection_samplers()

    def __init__(self, draws: int, seed: int) -> None:
        super().__init__()
        self._draws, self._seed, self._calls = draws, seed, 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in self.SAMPLERS or not args[0].dim() or len(args[0]) != self._draws:
            return func(*args, **(kwargs or {}))
        self._calls += 1
        generator = torch.Generator(args[0].device)
        seed = (self._seed * 9973 + self._calls) * 1_000_003
        return draw_one_by_one(func, args, generator, seed)


def entered(messengers: Iterable[Messenger]) -> ExitStack:
    """All of them, the first outermost."""
    stack = ExitStack()
    for messenger in messengers:
        stack.enter_context(messenger)
    return stack


def _samples(trace: Trace) -> Iterable[tuple[str, Any]]:
    return ((name, node) for name, node in trace.nodes.items() if node["type"] == "sample")


def _is_enumerated(node: Any) -> bool:
    return enumerate_dim(node) is not None


def _is_point(fn: Any) -> bool:
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return isinstance(fn, pyro.distributions.Delta)
