"""What kind of scenario the lens has before it, and whether its draws can be taken all at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.infer import TraceEnum_ELBO, TraceTMC_ELBO
from pyro.poutine.util import site_is_subsample
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.draws import FixedValues, Traces, run
from tui_elbo.engine.lens.enumerated import DrawStrategy, summed_one
from tui_elbo.engine.lens.subject import Subject

_ACROSS_ROWS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
"""In training mode these look across the rows of what they are given, or draw for each of them."""

_REJECTING = ("VonMises", "SineBivariateVonMises", "Rejector", "TruncatedPolyaGamma")
"""Guide distributions whose samplers reject, and cannot be seeded draw by draw."""

TRIALS = 2
"""Single draws from which the scenario's kind is found."""

NO_BROADCAST = "the model is written for one draw, and does not broadcast over many"
"""As most are: `X @ w` raises where w has one more dimension on the left."""

CHECKED = 4
"""Draws of a plate that are repeated one by one before the plate is trusted."""


PATHS = 2 * CHECKED
"""That draws of the check may take through a model; with more of them, all at once is no quicker
than one by one."""


@dataclass(frozen=True)
class Kind:
    """What was seen of a scenario in a few single draws."""

    nesting: int
    """How many dimensions its plates take."""
    subsampled: bool
    """Whether it chooses subsamples of its own."""
    enumerated: bool
    """Whether its estimator enumerates a site of it."""
    summed_out: bool
    """Whether a site of the model has no term of its own, being summed out."""
    unseen: str
    """Why log p is not known, in words; empty where it can."""
    single: str
    """Why draws must be taken one by one, in words; empty where they need not."""
    latents: tuple[str, ...]
    """The sites that the guide draws, auxiliary ones left out."""
    points: tuple[str, ...]
    """Those of them that are not drawn but points: a Delta at the same value each time."""
    fixed: tuple[str, ...]
    """Guide sites whose draws no gradient goes through."""
    size: int
    """Numbers that one draw takes: of values and log probabilities."""


def look(scenario: Subject, args: tuple[Any, ...]) -> Kind:
    """Draw once or twice, and tell what kind of scenario it is."""
    modules: list[nn.Module] = []
    handle = register_module_forward_pre_hook(lambda module, _: modules.append(module))
    try:
        trials = []
        for trial in range(TRIALS):
            pyro.set_rng_seed(SEED + trial)
            with users_code():
                trials.append(_trial(scenario, args))
    finally:
        handle.remove()
    model = [n for t in trials for n in t.model.nodes.values() if n["type"] == "sample"]
    guide = [n for t in trials for n in t.guide.nodes.values() if n["type"] == "sample"]
    frames = [frame for node in model + guide for frame in node["cond_indep_stack"]]
    first = [n for n in trials[0].guide.nodes.values() if n["type"] == "sample" and _draws(n)]
    given = getattr(scenario.loss, "max_plate_nesting", 0)
    nesting = max([-frame.dim for frame in frames if frame.vectorized], default=0)
    return Kind(
        nesting=max(nesting, given) if given != float("inf") else nesting,
        subsampled=any(_chooses(node) for node in model + guide),
        enumerated=_enumerates(scenario, model, guide),
        summed_out=bool(_undrawn(model, guide)),
        unseen=_unseen(scenario, model, guide),
        single=_single(modules, guide),
        latents=tuple(node["name"] for node in first if not node["infer"].get("is_auxiliary")),
        points=tuple(node["name"] for node in first if _is_point(node, trials)),
        fixed=tuple(n["name"] for n in first if not n["fn"].has_rsample and not _is_delta(n)),
        size=_size(trials[0]),
    )


def _trial(scenario: Subject, args: tuple[Any, ...]) -> Traces:
    """One draw."""
    model, guide, loss = scenario.model, scenario.guide, scenario.loss
    try:
        return run(model, guide, args)
    except Exception:
        nesting = getattr(loss, "max_plate_nesting", math.inf)
        if not isinstance(loss, TraceEnum_ELBO) or nesting == math.inf:
            raise
    # It may be written for sites that are enumerated, and for nothing else.
    return summed_one(model, guide, args, int(nesting))


def mismatch(way: DrawStrategy, args: tuple[Any, ...], seed: int) -> str:
    """Why a plate of draws cannot be trusted, in words; empty if it can.

    A few draws of the plate are repeated one by one: guide and model are run alone with what that
    draw has drawn, and every site's log probability has to be the same. (A model that says
    `w.sum()` is silently wrong in a plate: it adds up the draws.)
    """
    draws = 2 * CHECKED + 1
    try:
        many = way.many(args, draws, seed, PATHS)
        parts = many.parts()
        for index in range(0, draws, 2)[:CHECKED]:
            alone = way.one(args, FixedValues(many.one(index)))
            singles = alone.parts()
            if singles.keys() != parts.keys():
                return "all at once, they visit other sites"
            for part, row in parts.items():
                one, other = row[index].item(), singles[part].item()
                if not _close(one, other, _scale(alone, part.site), strict=way.batched):
                    return f'all at once, site "{part.site}" gets another {_WORDS[part.field]}'
    except Exception:
        return NO_BROADCAST
    return ""


_WORDS = {"log_p": "log p", "log_q": "log q"}


def _close(one: float, other: float, scale: float, *, strict: bool) -> bool:
    # Single precision, over terms of this size; what mixes draws is off by far more.
    if one == other or (math.isnan(one) and math.isnan(other)):
        return True
    return abs(one - other) <= (1e-5 + 1e-5 * scale if strict else 1e-3 + 1e-4 * scale)


def _scale(traces: Traces, site: str) -> float:
    nodes = [trace.nodes.get(site) for trace in (traces.model, traces.guide)]
    terms = [node["log_prob"] for node in nodes if node is not None and "log_prob" in node]
    return max([float(torch.as_tensor(term).abs().sum()) for term in terms], default=0.0)


def _chooses(node: Any) -> bool:
    if not site_is_subsample(node):
        return False
    some = node["fn"].subsample_size
    return some is not None and some < node["fn"].size


def _enumerates(scenario: Subject, model: list[Any], guide: list[Any]) -> bool:
    if not isinstance(scenario.loss, TraceEnum_ELBO):
        return False
    return any(node["infer"].get("enumerate") for node in model + guide if not node["is_observed"])


def _unseen(scenario: Subject, model: list[Any], guide: list[Any]) -> str:
    if not isinstance(scenario.loss, TraceTMC_ELBO):
        return ""
    for site in _undrawn(model, guide):
        name = type(scenario.loss).__name__
        return f'{name} sums over site "{site}" with draws of its own, so log p has no term'
    return ""


def _undrawn(model: list[Any], guide: list[Any]) -> list[str]:
    """The latent sites that the guide leaves to an enumerating estimator."""
    drawn = {node["name"] for node in guide}
    return [
        node["name"]
        for node in model
        if node["infer"].get("enumerate") and not node["is_observed"] and node["name"] not in drawn
    ]


def _single(modules: list[nn.Module], guide: list[Any]) -> str:
    for module in modules:
        if module.training and isinstance(module, _ACROSS_ROWS) and getattr(module, "p", True):
            return f"a {type(module).__name__} in training mode looks across draws"
    for node in guide:
        name = _base(node["fn"])
        if name in _REJECTING:
            return f'site "{node["name"]}" is drawn by rejection ({name})'
    return ""


def _draws(node: Any) -> bool:
    return not node["is_observed"] and not site_is_subsample(node)


def _is_delta(node: Any) -> bool:
    return _base(node["fn"]) == "Delta"


def _is_point(node: Any, trials: list[Traces]) -> bool:
    values = [
        trial.guide.nodes[node["name"]]["value"] for trial in trials if node["name"] in trial.guide
    ]
    return _is_delta(node) and all(torch.equal(values[0], value) for value in values)


def _base(fn: Any) -> str:
    while hasattr(fn, "base_dist") and type(fn).__name__ in ("Independent", "MaskedDistribution"):
        fn = fn.base_dist
    return type(fn).__name__


def _size(traces: Traces) -> int:
    nodes = [*traces.model.nodes.values(), *traces.guide.nodes.values()]
    values = [torch.as_tensor(node["value"]) for node in nodes if node["type"] == "sample"]
    return sum(value.numel() for value in values) or 1
