"""How a scenario is drawn from: plainly, or with its discrete sites enumerated.

Sites that the model enumerates are summed out, so log p is that of what is left; sites that the
guide enumerates weigh each term by the probability of its branch, which takes draws one by one.

References:
    pyro/infer/traceenum_elbo.py, `TraceEnum_ELBO`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO
from pyro.ops import packed
from pyro.ops.contract import contract_tensor_tree
from pyro.poutine import Trace
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from tui_elbo.engine.compat.pyro import (
    compute_model_factors,
    packed_dims,
    set_trace_builder,
    trace_builder,
)
from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.draws import (
    PLATE,
    Part,
    Plate,
    RowByRow,
    Traces,
    entered,
    run,
    run_batched,
    run_many,
    seed_draw,
)
from tui_elbo.engine.record.enumeration import enumerated_terms

WHOLE = Part("log_p", "", False)
"""All of log p, where it is not the sum of what the sites have."""


@dataclass(eq=False)
class SummedOne(Traces):
    """One draw, as `TraceEnum_ELBO` sees it."""

    found: dict[Part, Tensor] = field(default_factory=dict)

    def parts(self) -> dict[Part, Tensor]:
        """The terms that exist, and `WHOLE`; shape (1,) each."""
        return self.found

    def latents(self, *, local: bool) -> dict[str, Tensor]:
        """Those that are not enumerated; none where a guide's branches weigh them."""
        return {} if self.guide_enumerates else super().latents(local=local)

    @property
    def guide_enumerates(self) -> bool:
        """Whether a site of the guide is enumerated."""
        nodes = self.guide.nodes.values()
        return any(n["type"] == "sample" and n["infer"].get("enumerate") for n in nodes)


@dataclass(eq=False)
class SummedMany(Traces):
    """A plate of draws; the guide enumerates nothing."""

    def parts(self) -> dict[Part, Tensor]:
        """The terms that exist, and `WHOLE`; shape (draws,) each."""
        model, guide = self.model, self.guide
        found: dict[Part, Tensor] = {}
        for name, node in guide.nodes.items():
            if node["type"] == "sample":
                found[Part("log_q", name, False)] = self._total(node["packed"]["log_prob"])
        own, factors, _, sum_dims, scale = compute_model_factors(model, guide)
        terms = [term for some in own.values() for term in some]
        for node in model.nodes.values():
            if node["type"] == "sample" and any(node["packed"]["log_prob"] is t for t in terms):
                part = Part("log_p", node["name"], bool(node["is_observed"]))
                found[part] = self._total(node["packed"]["log_prob"])
        if factors:
            for some in contract_tensor_tree(factors, sum_dims).values():
                terms += [packed.scale_and_mask(term, scale=scale) for term in some]
        zero = torch.zeros(self.draws, dtype=torch.float64)
        found[WHOLE] = sum((self._total(term) for term in terms), zero)
        return found

    def _total(self, term: Tensor) -> Tensor:
        """Summed over all but the draws."""
        dims = packed_dims(term)
        own = self.model.plate_to_symbol[PLATE]
        if own not in dims:
            return term.sum(dtype=torch.float64).expand(self.draws)
        moved = term.movedim(dims.index(own), 0)
        return moved.reshape(self.draws, -1).sum(1, dtype=torch.float64)


def summed_one(
    model: Any, guide: Any, args: tuple[Any, ...], nesting: int, *outer: Messenger
) -> Traces:
    """Draw once, as a step with one particle does.

    Args:
        model: the model.
        guide: the guide.
        args: of both.
        nesting: how many dimensions the plates take.
        outer: what is around each of the two.
    """
    elbo = TraceEnum_ELBO(max_plate_nesting=nesting, strict_enumeration_warning=False)
    traces: list[tuple[Trace, Trace]] = []
    original = trace_builder(elbo)
    assert original is not None

    def traced(*its: Any) -> tuple[Trace, Trace]:
        pair: tuple[Trace, Trace] = original(*its)
        traces.append(pair)
        return pair

    set_trace_builder(elbo, traced)
    with entered(outer):
        loss = elbo.loss(model, guide, *args)
    found: dict[Part, Tensor] = {}
    for model_trace, guide_trace in traces:
        for term, name, value in enumerated_terms(model_trace, guide_trace):
            observed = term == "log_p" and bool(model_trace.nodes[name]["is_observed"])
            part, number = Part(term, name, observed), torch.as_tensor(value).detach().double()
            found[part] = found.get(part, torch.zeros(1)) + number.reshape(1)
    log_q = sum((v for part, v in found.items() if part.field == "log_q"), torch.zeros(1))
    found[WHOLE] = log_q - torch.tensor([loss], dtype=torch.float64)
    return SummedOne(*traces[0], found=found)


def summed_many(
    model: Any, guide: Any, args: tuple[Any, ...], *, draws: int, nesting: int, seed: int
) -> Traces:
    """Draw so many times at once.

    Raises:
        ValueError: if the guide enumerates a site.
    """
    seed_draw(seed)
    axis = -1 - nesting
    with RowByRow(draws, seed):
        with EnumMessenger(first_available_dim=axis - 1), Plate(draws, axis):
            guide_trace = poutine.trace(guide).get_trace(*args)
        if any(n["type"] == "sample" and n["infer"].get("enumerate") for n in _nodes(guide_trace)):
            raise ValueError("the guide enumerates a site")
        with EnumMessenger(), Plate(draws, axis):
            model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args)
    pair = [prune_subsample_sites(trace) for trace in (guide_trace, model_trace)]
    for trace in pair:
        trace.compute_log_prob()
    pair[0].pack_tensors()
    pair[1].pack_tensors(pair[0].plate_to_symbol)
    return SummedMany(pair[1], pair[0], axis, draws)


def _nodes(trace: Trace) -> list[Any]:
    return list(trace.nodes.values())


@dataclass(frozen=True)
class DrawStrategy:
    """Draws from one scenario, under the random state that there is."""

    model: Any
    guide: Any
    nesting: int
    """How many dimensions its plates take."""
    enumerated: bool
    """Whether its estimator enumerates a site of it."""
    batched: bool = False
    """Whether the model is written for one draw, and gets all draws behind the shape of one."""

    def one(self, args: tuple[Any, ...], *outer: Messenger) -> Traces:
        """A single draw.

        Args:
            args: of model and guide.
            outer: what is around each of the two.
        """
        with users_code():
            if self.enumerated:
                return summed_one(self.model, self.guide, args, self.nesting, *outer)
            return run(self.model, self.guide, args, *outer)

    def many(
        self, args: tuple[Any, ...], draws: int, seed: int, paths: int | None = None
    ) -> Traces:
        """So many draws in a plate, seeded.

        Args:
            args: of model and guide.
            draws: how many.
            seed: of all draws.
            paths: that `batched` draws may take through the model; None: each its own.
        """
        model, guide, nesting = self.model, self.guide, self.nesting
        with users_code():
            if self.enumerated:
                return summed_many(model, guide, args, draws=draws, nesting=nesting, seed=seed)
            if self.batched:
                return run_batched(
                    model, guide, args, draws=draws, nesting=nesting, seed=seed, paths=paths
                )
            return run_many(model, guide, args, draws=draws, nesting=nesting, seed=seed)
