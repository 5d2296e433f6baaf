"""What a step of a script was called with: kept, compared with later steps, and copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np
import torch

from tui_elbo.engine.compat.torch import tensor_version

MANY = 100
"""Elements of a list that are compared one by one; a longer one counts as a whole."""

DEEP = 4
"""Lists in lists that are gone through."""

SAMPLED = 256
"""Elements of a tensor or an array that are compared to see whether it has been changed."""

PLAIN = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True, eq=False)
class StepCall:
    """What a step was called with.

    It is kept, so that nothing else can come to lie where it lies.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    parts: dict[str, Any]
    """The model, the guide and each argument, by what they are called here."""
    marks: dict[str, Any]
    """What tells each from another one."""

    def changed(self, other: StepCall) -> str:
        """The first part that a later step has another one of; empty if there is none."""
        if self.marks.keys() != other.marks.keys():
            return "their number"
        return next((name for name in self.marks if not self._same(other, name)), "")

    def _same(self, other: StepCall, name: str) -> bool:
        if self.marks[name] == other.marks[name]:
            return True
        one, two = self.parts[name], other.parts[name]
        tensors = isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor)
        if not tensors or _mark(one) != self.marks[name] or one.dtype != two.dtype:
            return False
        # Made anew for each step, the same numbers are the same data.
        return one is not two and one.device == two.device and torch.equal(one, two)

    @property
    def intact(self) -> bool:
        """Whether none of its tensors has been changed in place since."""
        return all(_mark(self.parts[name]) == mark for name, mark in self.marks.items())

    @property
    def size(self) -> int:
        """Bytes of its tensors and arrays."""
        return sum(one.nbytes for one in _arrays((self.args, self.kwargs)))

    def copied(self, *, tensors: bool) -> StepCall:
        """With copies of its NumPy arrays, which do not tell that they change, and of its tensors.

        Args:
            tensors: whether those are copied too.
        """
        args = tuple(_copied(one, tensors=tensors) for one in self.args)
        kwargs = {name: _copied(one, tensors=tensors) for name, one in self.kwargs.items()}
        return step_call(self.parts["the model"], self.parts["the guide"], args, kwargs)


def step_call(model: Any, guide: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> StepCall:
    """A call of a step of this model and guide."""
    parts = {"the model": model, "the guide": guide}
    parts |= {f"argument {place}": value for place, value in enumerate(args, 1)}
    parts |= {f"{name}=": value for name, value in kwargs.items()}
    return StepCall(args, kwargs, parts, {name: _mark(value) for name, value in parts.items()})


def _mark(value: Any, deep: int = DEEP) -> Any:
    """What stays the same as long as the value does, which has to be kept for that long.

    A tensor is known by where it lies, so a slice that is cut anew each time is still the same; one
    that is changed in place is another. Of arrays, and of tensors that share an array's memory, a
    change in place is seen by some of their elements; of other objects it is not noticed.
    """
    if isinstance(value, torch.Tensor | np.ndarray):
        return _array_mark(value)
    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, MethodType):  # made anew whenever it is asked for
        return id(value.__self__), id(value.__func__)
    if deep and isinstance(value, tuple | list) and len(value) <= MANY:
        return type(value), *(_mark(one, deep - 1) for one in value)
    if deep and isinstance(value, dict) and len(value) <= MANY:
        return type(value), *((id(key), _mark(one, deep - 1)) for key, one in value.items())
    return id(value)


def _array_mark(value: torch.Tensor | np.ndarray) -> Any:
    if isinstance(value, np.ndarray):
        return id(value), value.shape, value.flat[:: _stride(value.size)].tobytes()
    return _tensor_mark(value), _sample(value)


def _tensor_mark(value: torch.Tensor) -> Any:
    try:
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype, value.device)
    except RuntimeError:  # it lies in no one place
        return id(value)
    return place if value.is_inference() else (*place, tensor_version(value))


def _sample(value: torch.Tensor) -> bytes:
    """Some elements, where reading them waits for no device and copies no large tensor."""
    plain = type(value) in (torch.Tensor, torch.nn.Parameter)
    if not (plain and value.is_cpu and value.layout == torch.strided):
        return b""
    if value.numel() > SAMPLED and not value.is_contiguous():
        return b""
    some = value.detach().resolve_conj().resolve_neg().reshape(-1)[:: _stride(value.numel())]
    return some.contiguous().view(torch.uint8).numpy().tobytes()


def _stride(size: int) -> int:
    """Every how manieth of so many elements is looked at."""
    return -(-size // SAMPLED) or 1


def _arrays(value: Any, deep: int = DEEP) -> Iterator[Any]:
    """The tensors and arrays in lists and dictionaries, as far as these are gone through."""
    if isinstance(value, torch.Tensor | np.ndarray):
        yield value
    elif deep and isinstance(value, tuple | list):
        for one in value:
            yield from _arrays(one, deep - 1)
    elif deep and isinstance(value, dict):
        for one in value.values():
            yield from _arrays(one, deep - 1)


def _copied(value: Any, deep: int = DEEP, *, tensors: bool) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, torch.Tensor) and tensors:
        return value.detach().clone().requires_grad_(value.requires_grad)
    if deep and type(value) in (tuple, list):
        return type(value)(_copied(one, deep - 1, tensors=tensors) for one in value)
    if deep and type(value) is dict:
        return {key: _copied(one, deep - 1, tensors=tensors) for key, one in value.items()}
    return value
