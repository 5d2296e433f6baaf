"""Turning many small tensors into numbers at once.

`.item()` costs as much as an operation; one concatenation for a thousand steps costs next to
nothing a step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tui_elbo.records import Floats


def table(rows: Sequence[Sequence[Tensor]]) -> Floats:
    """The elements of each row's tensors, flattened side by side.

    Args:
        rows: the same number of elements in each row; any dtype, any device.

    Returns:
        Shape (rows, elements), float64: exact for float32 and shorter.
    """
    flat = [tensor for row in rows for tensor in row]
    if not flat:
        return np.empty((len(rows), 0))
    try:
        joined = _joined(flat)
    except RuntimeError:  # more than one device
        joined = _joined([tensor.cpu() for tensor in flat])
    numbers: Floats = joined.detach().to("cpu", torch.float64).numpy()
    return numbers.reshape(len(rows), -1)


def _joined(tensors: list[Tensor]) -> Tensor:
    try:
        return torch.stack(tensors)
    except RuntimeError:  # not all of one shape
        return torch.cat([tensor.reshape(-1) for tensor in tensors])


def norms(elements: Floats) -> Floats:
    """Euclidean norm of each row; shape (rows,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        result: Floats = np.sqrt(np.square(elements).sum(axis=1))
    return result
