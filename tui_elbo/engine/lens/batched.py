"""All draws of a value at once, behind the shape of one: for models written for a single draw.

A model that says `a[group]` or `X @ w` does not broadcast over a dimension of draws to the left. A
`Batched` tensor has that dimension, and does not show it: its shape is that of one draw, and each
function is applied draw by draw, by `torch.vmap` over this function alone. Where the model asks for
a number (`if z > 0`) and draws answer differently, it is run for each answer. What cannot be done
raises.

Nothing here is trusted unseen: see `mismatch` in `inspect_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from pyro import poutine
from pyro.poutine import Trace
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import prune_subsample_sites, site_is_subsample
from torch import Tensor


class BatchedError(Exception):
    """This cannot be done for all draws at once."""


class DrawsDifferError(BatchedError):
    """One number is wanted, and there are several.

    Args:
        answers: of all draws, shape (draws,).
    """

    def __init__(self, answers: Tensor) -> None:
        super().__init__("draws differ where one number is wanted")
        self.answers = answers


class Batched(Tensor):
    """A tensor of each draw.

    Make one by `batched`.
    """

    draws: Tensor
    """The same as a plain tensor: shape (draws, *shape of one)."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _GETTERS:
            return _GETTERS[func](args[0].draws)
        named = kwargs or {}
        if func in _READERS:
            return func(_one_for_all(args[0].draws), *args[1:], **named)
        if func in _SPECIAL:
            return _SPECIAL[func](*args, **named)
        if func in _ELEMENTWISE and not named and _same_dtype(args):
            return batched(func(*_aligned(args)))
        return _draw_by_draw(func, args, named)


def batched(draws: Tensor) -> Tensor:
    """A tensor of each draw, as one.

    Args:
        draws: shape (draws, *shape of one).
    """
    value = draws.as_subclass(Batched)
    value.draws = draws
    return value


class BatchedValues(Messenger):  # type: ignore[misc]
    """Sites take the values of all draws, and each has to have some.

    Args:
        values: by site, shape (draws, ...), with as many elements a draw as the site has.
        chosen: what sites that choose subsamples take, the same for all draws.
    """

    def __init__(self, values: dict[str, Tensor], chosen: dict[str, Tensor]) -> None:
        super().__init__()
        self._values, self._chosen = values, chosen

    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or msg["done"]:
            return
        name, chooses = msg["name"], site_is_subsample(msg)
        value = self._chosen.get(name) if chooses else self._values.get(name)
        if value is not None and not chooses:
            shape = msg["fn"].batch_shape + msg["fn"].event_shape
            value = batched(value.reshape(len(value), *shape))
        elif value is None and not chooses:
            raise BatchedError(f'site "{name}" is not drawn by the guide')
        if value is not None:
            msg["value"], msg["done"] = value, True

    def some(self, draws: Tensor) -> BatchedValues:
        """Those of some draws.

        Args:
            draws: which.
        """
        return BatchedValues({n: value[draws] for n, value in self._values.items()}, self._chosen)


def run_as_one(
    model: Callable[[], Any], values: BatchedValues, draws: int, nesting: int, paths: int
) -> Trace:
    """Run a model for all draws, behind the shape of one.

    Args:
        model: the model, with its arguments.
        values: of its sites.
        draws: how many.
        nesting: how many dimensions the plates take.
        paths: that draws may take through the model.

    Returns:
        A trace with log probabilities, whose sites have the draws to the left of the plates.

    Raises:
        BatchedError: if that cannot be done; as any other error.
    """
    waiting, runs = [torch.arange(draws)], list[tuple[Tensor, Trace]]()
    while waiting:
        some = waiting.pop()
        try:
            with values.some(some):
                trace = poutine.trace(model).get_trace()
            prune_subsample_sites(trace).compute_log_prob()
        except DrawsDifferError as differ:
            answers = differ.answers.cpu().numpy()
            waiting += [some[answers == answer] for answer in np.unique(answers)]
            if len(waiting) + len(runs) > paths:
                raise
        else:
            runs.append((some, trace))
    return _joined(runs, nesting)


def _joined(runs: Sequence[tuple[Tensor, Trace]], nesting: int) -> Trace:
    """One trace of all draws, of those of some draws each."""
    order = torch.cat([some for some, _ in runs]).argsort()
    traces = [trace for _, trace in runs]
    if any(trace.nodes.keys() != traces[0].nodes.keys() for trace in traces):
        raise BatchedError("draws visit other sites")
    for name, node in traces[0].nodes.items():
        if node["type"] != "sample" or site_is_subsample(node):
            continue
        for key, dims in (("value", nesting + node["fn"].event_dim), ("log_prob", nesting)):
            parts = [trace.nodes[name][key] for trace in traces]
            if any(isinstance(part, Batched) for part in parts) or (key == "log_prob" and runs[1:]):
                rows = [
                    _rows(part, len(some), dims)
                    for part, (some, _) in zip(parts, runs, strict=True)
                ]
                node[key] = torch.cat(rows)[order] if rows[1:] else rows[0]
    return traces[0]


def _rows(value: Any, draws: int, dims: int) -> Tensor:
    """With the draws to the left of so many dimensions."""
    value = torch.as_tensor(value)
    if value.dim() > dims:
        raise BatchedError("a site has more dimensions than the plates take")
    if isinstance(value, Batched):
        return _padded(value.draws, dims)
    return _padded(value.expand(draws, *value.shape), dims)


def _draw_by_draw(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    found: list[Tensor] = []
    _map(lambda leaf: found.append(leaf.draws) if isinstance(leaf, Batched) else None, args, kwargs)
    shape: Any = None

    def one(*rows: Tensor) -> tuple[Tensor, ...]:
        nonlocal shape
        left = iter(rows)
        own = lambda leaf: next(left) if isinstance(leaf, Batched) else leaf  # noqa: E731
        its_args, its_kwargs = _map(own, args, kwargs)
        shape = func(*its_args, **its_kwargs)
        tensors: list[Tensor] = []
        _map(lambda leaf: tensors.append(leaf) if isinstance(leaf, Tensor) else None, shape)
        return tuple(tensors)

    results = iter(torch.vmap(one)(*found))
    return _map(_result(results), shape)[0]


def _result(results: Any) -> Callable[[Any], Any]:
    def result(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return batched(next(results))
        if leaf is None or isinstance(leaf, _PLAIN):
            return leaf
        raise BatchedError(f"a {type(leaf).__name__} of all draws")

    return result


def _map(change: Callable[[Any], Any], *structure: Any) -> Any:
    """The same tuples, lists and dictionaries with changed leaves."""
    return tuple(_mapped(change, one) for one in structure)


def _mapped(change: Callable[[Any], Any], one: Any) -> Any:
    if isinstance(one, torch.Size):
        return one
    if isinstance(one, tuple):
        parts = [_mapped(change, part) for part in one]
        return type(one)(*parts) if hasattr(one, "_fields") else type(one)(parts)
    if isinstance(one, list):
        return [_mapped(change, part) for part in one]
    if isinstance(one, dict):
        return {key: _mapped(change, part) for key, part in one.items()}
    return change(one)


def _register_hook(value: Batched, hook: Callable[[Tensor], Any]) -> Any:
    """The hook sees the gradient of one draw."""

    def call(gradient: Tensor) -> Any:
        changed = hook(batched(gradient))
        return changed.draws if isinstance(changed, Batched) else changed

    return value.draws.register_hook(call)  # type: ignore[no-untyped-call]


def _select(value: Tensor, index: Any) -> Any:
    if not isinstance(value, Batched) or not _is_simple(index):
        return _draw_by_draw(Tensor.__getitem__, (value, index), {})
    parts = index if isinstance(index, tuple) else (index,)
    return batched(value.draws[(slice(None), *parts)])


def _one_for_all(draws: Tensor) -> Tensor:
    same = (draws == draws[0]) | (draws.isnan() & draws[0].isnan())
    if draws.dim() > 1 and not bool(same.all()):
        raise BatchedError("draws differ where numbers are wanted")
    if not bool(same.all()):
        raise DrawsDifferError(draws.detach())
    return draws[0]


def _same_dtype(args: Sequence[Any]) -> bool:
    """Whether nothing but numbers and tensors of one type meet: no promotion goes by dimensions."""
    tensors = [one for one in args if isinstance(one, Tensor)]
    rest = [one for one in args if not isinstance(one, Tensor)]
    return len({one.dtype for one in tensors}) == 1 and all(type(o) in (int, float) for o in rest)


def _aligned(args: Sequence[Any]) -> list[Any]:
    """The tensors with the draws to the left of all dimensions of any."""
    most = max(one.dim() for one in args if isinstance(one, Tensor))
    return [_padded(one.draws, most) if isinstance(one, Batched) else one for one in args]


def _padded(draws: Tensor, dims: int) -> Tensor:
    missing = dims + 1 - draws.dim()
    return draws.reshape(len(draws), *(1,) * missing, *draws.shape[1:]) if missing else draws


def _broadcast(*args: Any) -> Any:
    tensors = args[0] if len(args) == 1 and isinstance(args[0], tuple | list) else args
    shape = torch.broadcast_shapes(*(one.shape for one in tensors))  # type: ignore[no-untyped-call]
    return tuple(
        batched(_padded(one.draws, len(shape)).expand(len(one.draws), *shape))
        if isinstance(one, Batched)
        else one.expand(shape)
        for one in tensors
    )


def _is_simple(index: Any) -> bool:
    """Whether an index stays in its place when a dimension is put before all."""
    parts = index if isinstance(index, tuple) else (index,)
    if all(type(part) is int or part is None or part is ... or _is_slice(part) for part in parts):
        return True
    return len(parts) == 1 and type(parts[0]) is Tensor and parts[0].dtype == torch.int64


def _is_slice(part: Any) -> bool:
    return isinstance(part, slice) and all(
        end is None or type(end) is int for end in (part.start, part.stop, part.step)
    )


_PLAIN = (bool, int, float, str, torch.Size, torch.dtype, torch.device, torch.layout)

_GETTERS: dict[Any, Callable[[Tensor], Any]] = {
    Tensor.shape.__get__: lambda draws: draws.shape[1:],  # type: ignore[attr-defined]
    Tensor.ndim.__get__: lambda draws: draws.dim() - 1,  # type: ignore[attr-defined]
    Tensor.dim: lambda draws: draws.dim() - 1,
    Tensor.dtype.__get__: lambda draws: draws.dtype,  # type: ignore[attr-defined]
    Tensor.device.__get__: lambda draws: draws.device,
    Tensor.requires_grad.__get__: lambda draws: draws.requires_grad,  # type: ignore[attr-defined]
}

_READERS = frozenset(
    {
        Tensor.__bool__,
        Tensor.__float__,
        Tensor.__int__,
        Tensor.__index__,
        Tensor.item,
        Tensor.tolist,
    }
)

_SPECIAL: dict[Any, Callable[..., Any]] = {
    Tensor.__iter__: lambda value: iter(value.unbind(0)),
    Tensor.__getitem__: _select,
    Tensor.register_hook: _register_hook,
    torch.broadcast_tensors: _broadcast,
}

_NAMES = (
    "add sub mul div true_divide pow neg abs exp expm1 log log1p sqrt rsqrt square sigmoid tanh "
    "sin cos erf lgamma digamma reciprocal gt ge lt le eq ne logaddexp maximum minimum isnan isinf "
    "isfinite __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ "
    "__rpow__ __neg__ __abs__ __gt__ __ge__ __lt__ __le__ __eq__ __ne__"
)

_ELEMENTWISE = frozenset(
    getattr(owner, name)
    for owner in (torch, Tensor)
    for name in _NAMES.split()
    if hasattr(owner, name)
)
"""Applied to all draws at once, without the detour."""
