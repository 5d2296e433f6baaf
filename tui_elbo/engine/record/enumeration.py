"""The terms of a step in which discrete sites are enumerated.

A trace of `TraceEnum_ELBO` holds every branch at once. Sites that the guide enumerates weigh each
term by the probability of its branch, as Pyro's own estimate does; sites that the model enumerates
are summed out of the estimate, so neither they nor what depends on them has a term of its own.

References:
    pyro/infer/traceenum_elbo.py, `_compute_dice_elbo`; pyro/infer/util.py, `Dice`.
"""

from __future__ import annotations

from typing import Any

from pyro.infer.util import Dice
from pyro.poutine import Trace
from torch import Tensor

from tui_elbo.engine.compat.pyro import enumerate_dim, enumerate_symbol, packed_dims


def enumerated_terms(model_trace: Trace, guide_trace: Trace) -> list[tuple[str, str, Tensor]]:
    """The terms that exist, as (`log_p` or `log_q`, site, 0-dim sum over the trace).

    The traces are those of `TraceEnum_ELBO._get_trace`, with packed tensors. Each sum is over
    plates and particles, and an expectation over what the guide enumerates.
    """
    guide = [node for node in guide_trace.nodes.values() if node["type"] == "sample"]
    model = [node for node in model_trace.nodes.values() if node["type"] == "sample"]
    summed_out = {
        enumerate_symbol(node)
        for node in model
        if node["name"] not in guide_trace and enumerate_dim(node) is not None
    }
    own = [node for node in model if summed_out.isdisjoint(_dims(node))]
    terms = [("log_p", node, model_trace) for node in own]
    terms += [("log_q", node, guide_trace) for node in guide]
    if not any(node["infer"].get("enumerate") for node in guide):
        return [(term, node["name"], node["log_prob_sum"]) for term, node, _ in terms]
    ordering = {
        node["name"]: _ordinal(node, trace)
        for nodes, trace in ((model, model_trace), (guide, guide_trace))
        for node in nodes
    }
    dice = Dice(guide_trace, ordering)
    return [
        (term, node["name"], _expectation(dice, ordering[node["name"]], node))
        for term, node, _ in terms
    ]


def _dims(node: Any) -> set[str]:
    return set(packed_dims(node["packed"]["log_prob"]))


def _ordinal(node: Any, trace: Trace) -> frozenset[str]:
    frames = (frame for frame in node["cond_indep_stack"] if frame.vectorized)
    return frozenset(trace.plate_to_symbol[frame.name] for frame in frames)


def _expectation(dice: Dice, ordinal: frozenset[str], node: Any) -> Tensor:
    expected = dice.compute_expectation({ordinal: [node["packed"]["log_prob"]]})
    return expected if isinstance(expected, Tensor) else node["log_prob_sum"] * 0 + expected
