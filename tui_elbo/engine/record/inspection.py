"""Everything about one parameter at the step at which the run stands."""

from __future__ import annotations

import numpy as np
import pyro
import torch
from torch import Tensor

from tui_elbo.engine.record.numbers import kept, numbers_of, real
from tui_elbo.engine.record.params import ParamRecorder
from tui_elbo.model.records import MAX_ELEMENTS, Floats
from tui_elbo.protocol import Histogram, ParamInspected, Summary

BINS = 24

LATER = "its gradient is known after the next step"
UNREACHED = "no gradient reaches it: the loss of this step does not depend on it"
UNMADE = "parameters are made in the first step"
ABSENT = "the param store has no such parameter at this step"


def inspected(name: str, step: int, watch: ParamRecorder) -> ParamInspected:
    """Look at a parameter of the store.

    Args:
        name: of the parameter.
        step: at which the run stands.
        watch: has kept its gradient, if it was asked to in time.
    """
    leaf = dict(pyro.get_param_store().named_parameters()).get(name)
    if leaf is None:
        return ParamInspected(name, step, None, None, None, ABSENT if step else UNMADE)
    with torch.no_grad():
        value = pyro.get_param_store()[name]
    found, note = watch.gradient, ""
    gradient = None
    if found is None or found.name != name:
        note = LATER
    elif found.elements is None:
        note = UNREACHED
    else:
        gradient = histogram(np.array(numbers_of(found.elements)))
    return ParamInspected(name, step, _summary_of(value), _summary_of(leaf), gradient, note)


def _summary_of(tensor: Tensor) -> Summary:
    return summary(np.array(numbers_of(kept(real(tensor)))))


def summary(elements: Floats) -> Summary:
    """A tensor in a few numbers.

    Args:
        elements: in row-major order, shape (elements,).
    """
    finite = elements[np.isfinite(elements)]
    few = tuple(elements.tolist()) if elements.size <= MAX_ELEMENTS else ()
    some = finite.size > 0
    with np.errstate(over="ignore", invalid="ignore"):
        return Summary(
            size=elements.size,
            mean=float(finite.mean()) if some else np.nan,
            sd=float(finite.std()) if some else np.nan,
            min=float(finite.min()) if some else np.nan,
            max=float(finite.max()) if some else np.nan,
            broken=elements.size - finite.size,
            elements=few,
        )


def histogram(elements: Floats) -> Histogram:
    """How the finite elements are spread; one bin where all are the same, none where none is.

    Args:
        elements: shape (elements,).
    """
    finite = elements[np.isfinite(elements)]
    broken = elements.size - finite.size
    if finite.size == 0:
        return Histogram(np.nan, np.nan, (), broken)
    low, high = float(finite.min()), float(finite.max())
    # Halves, since the range of numbers near the largest float is none.
    width = high / 2 / BINS - low / 2 / BINS
    if width == 0.0:
        return Histogram(low, high, (finite.size,), broken)
    place = np.floor((finite / 2 - low / 2) / width).astype(np.int64)
    counts = np.bincount(np.clip(place, 0, BINS - 1), minlength=BINS)
    return Histogram(low, high, tuple(counts.tolist()), broken)
