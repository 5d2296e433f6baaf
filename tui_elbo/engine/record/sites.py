"""What a sample site is, read off its node in a trace.

The plate of vectorised particles and the dimensions of enumeration belong to the estimator and not
to the model, so they are left out of plates and shapes.

References:
    pyro/poutine/trace_struct.py, `Trace.format_shapes`; pyro/infer/elbo.py,
    `_vectorized_num_particles`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tui_elbo.engine.compat.pyro import PARTICLE_PLATE, mask_of
from tui_elbo.model.records import SiteInfo

_WRAPPERS = ("Independent", "ExpandedDistribution", "MaskedDistribution")


def site_info(name: str, node: Any, nesting: float = math.inf) -> SiteInfo:
    """Describe a site.

    Args:
        name: what it is called on the screen.
        node: of a trace; its log probability need not be there.
        nesting: how many dimensions from the right are those of plates, the particles' included;
            infinite where no dimension is enumerated.
    """
    fn, frames = node["fn"], node["cond_indep_stack"]
    plates = [frame for frame in frames if frame.name != PARTICLE_PLATE]
    # Particles are to the left of every plate, and enumeration is to the left of them.
    own = min([nesting, *(-frame.dim - 1 for frame in frames if frame.name == PARTICLE_PLATE)])
    depth = max((-frame.dim for frame in plates if frame.dim is not None), default=0)
    batch = _own_part(tuple(fn.batch_shape), own, depth)
    base = fn
    while hasattr(base, "base_dist") and type(base).__name__ in _WRAPPERS:
        base = base.base_dist
    return SiteInfo(
        name=name,
        observed=bool(node["is_observed"]),
        dist=type(base).__name__,
        batch_shape=batch,
        event_shape=tuple(fn.event_shape),
        plates=tuple(frame.name for frame in plates),
        scale=_scale(node["scale"]),
        masked=_masked([node["mask"], *_own_masks(fn)], batch, bounded=own < math.inf),
    )


def _own_part(shape: tuple[int, ...], own: float, depth: int) -> tuple[int, ...]:
    """The part of a batch shape that the model has given it."""
    if own == math.inf:
        return shape
    shape = shape[max(0, len(shape) - int(own)) :]
    while len(shape) > depth and shape[0] == 1:
        shape = shape[1:]
    return shape


def _scale(scale: Any) -> float:
    """A single number; NaN where it differs by element."""
    if not isinstance(scale, Tensor):
        return float(scale)
    elements = scale.detach().reshape(-1)
    if len(elements) == 0 or bool((elements != elements[0]).any()):
        return math.nan
    return float(elements[0])


def _own_masks(fn: Any) -> list[Any]:
    """The masks within the distribution, each for a batch of its own."""
    masks, events = [], 0
    while type(fn).__name__ in _WRAPPERS:
        if type(fn).__name__ == "MaskedDistribution":
            mask = mask_of(fn)
            if isinstance(mask, Tensor) and events:
                # An element is out when all that belongs to it is.
                mask = mask.flatten(mask.dim() - events).any(-1)
            masks.append(mask)
        events += getattr(fn, "reinterpreted_batch_ndims", 0)
        fn = fn.base_dist
    return masks


def _masked(masks: Sequence[Any], batch: tuple[int, ...], *, bounded: bool) -> int:
    """How many elements one of the masks takes out."""
    seen = torch.ones(batch, dtype=torch.bool)
    for mask in masks:
        if mask is False:
            return seen.numel()
        if isinstance(mask, Tensor):
            beyond = max(0, mask.dim() - len(batch)) if bounded else 0
            seen = seen & mask.detach().cpu().bool()[(0,) * beyond]
    return int((~seen).sum())
