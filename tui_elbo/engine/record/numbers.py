"""Turning many small tensors into numbers.

On the processor, reading a small tensor costs a tenth of copying it. On another device each reading
waits for what is under way there, and one concatenation for a thousand steps costs next to nothing
a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from tui_elbo.model.records import Floats

Kept: TypeAlias = float | list[float] | Tensor
"""The elements of a small tensor; a tensor only where reading it would take long."""


def is_near(tensor: Tensor) -> bool:
    """Whether reading it waits for no other device."""
    return tensor.is_cpu


def kept_number(number: Any) -> float | Tensor:
    """A loss as it is now; a tensor only where reading it would wait for another device."""
    if isinstance(number, Tensor):
        number = number.detach()
        return float(number) if is_near(number) else number.clone()
    return float(number)


def numbers_table(numbers: Sequence[float | Tensor]) -> Floats:
    """Numbers of consecutive steps; shape (steps,)."""
    if any(isinstance(one, Tensor) for one in numbers):
        return table([[_tensor(one).reshape(1)] for one in numbers])[:, 0]
    return np.array(numbers, dtype=np.float64)


def kept(tensor: Tensor) -> Kept:
    """The elements as they are now: exact, without the graph."""
    if not is_near(tensor):
        return tensor.detach().clone()
    flat = tensor if tensor.dim() < 2 else dense(tensor).reshape(-1)
    elements: float | list[float] = flat.tolist()
    return elements


def real(tensor: Tensor) -> Tensor:
    """The same in real numbers: of a complex one, real and imaginary parts one after the other."""
    return torch.view_as_real(tensor.detach()).reshape(-1) if tensor.is_complex() else tensor


def dense(tensor: Tensor) -> Tensor:
    """The same with all its zeros: the gradient of an embedding may come without."""
    return tensor.to_dense() if tensor.is_sparse else tensor


def numbers_of(thing: Kept) -> list[float]:
    """The elements of one."""
    if isinstance(thing, Tensor):
        thing = thing.reshape(-1).tolist()
    return thing if isinstance(thing, list) else [thing]


def kept_table(rows: Sequence[Sequence[Kept]]) -> Floats:
    """The elements of each row's things, side by side.

    Args:
        rows: the same number of elements in each row.

    Returns:
        Shape (rows, elements), float64: exact for float32 and shorter.
    """
    flat = list(chain.from_iterable(rows))
    # By type: to ask each of a thousand steps' numbers would cost more than to convert them.
    kinds = set(map(type, flat))
    if any(issubclass(kind, Tensor) for kind in kinds):
        return table([[_tensor(thing) for thing in row] for row in rows])
    if list in kinds:
        flat = list(chain.from_iterable(map(numbers_of, flat)))
    return np.array(flat, dtype=np.float64).reshape(len(rows), -1 if flat else 0)


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
    numbers: Floats = joined(flat).detach().to("cpu", torch.float64).numpy()
    return numbers.reshape(len(rows), -1)


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """Their elements one after the other; on the processor if they are on several devices.

    Args:
        tensors: at least one.
    """
    if len({tensor.device for tensor in tensors}) > 1:
        tensors = [tensor.cpu() for tensor in tensors]
    if any(tensor.dim() > 1 for tensor in tensors):
        tensors = [tensor.reshape(-1) for tensor in tensors]
    # It flattens numbers by itself: for thousands of them, a call each would take far longer.
    return torch.hstack(list(tensors))


def _tensor(thing: Kept) -> Tensor:
    return thing if isinstance(thing, Tensor) else torch.tensor(thing, dtype=torch.float64)


def norms(elements: Floats) -> Floats:
    """Euclidean norm of each row; shape (rows,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        result: Floats = np.sqrt(np.square(elements).sum(axis=1))
    return result
