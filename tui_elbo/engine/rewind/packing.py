"""A checkpoint as JSON and plain tensors, and the state of a fresh execution made so.

What cannot be written so, or cannot be found again in a fresh execution, is not packed: the run is
then found again by running its steps again.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Collection, Iterator
from pathlib import Path
from types import CellType, FunctionType, MethodType
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from tui_elbo.engine.rewind.checkpoint import Checkpoint, KeptModule, KeptParam
from tui_elbo.engine.stepper import Stepper
from tui_elbo.runfile.database import PackedTensor

DEPTH = 8
"""So deep modules are looked for in what a scenario's functions refer to."""


_EMPTY = CellType()


class NotPackedError(Exception):
    """Something that a file cannot hold."""


def packed(
    checkpoint: Checkpoint, stepper: Stepper, others: Collection[Stepper] = ()
) -> tuple[bytes, tuple[PackedTensor, ...]]:
    """The state as JSON, and the tensors that it refers to by number.

    Args:
        checkpoint: the state.
        stepper: the execution that it belongs to.
        others: executions that are alive as well: their modules are none of its state.

    Raises:
        NotPackedError: if some of it cannot be written so.
    """
    if checkpoint.others:
        raise NotPackedError("modules keep parameters to themselves")
    pack = _Packer()
    names = {id(module): name for name, module in named_modules(stepper)}
    foreign = {id(module) for other in others for _, module in named_modules(other)}
    own = [one for one in checkpoint.modules if id(one.module) not in foreign - names.keys()]
    state = {
        "step": checkpoint.step,
        "loss": checkpoint.loss,
        "params": {name: _param(one) for name, one in checkpoint.params.items()},
        "modules": dict(_module(one, names) for one in own if _matters(one, names)),
        "estimator": {k: v for k, v in checkpoint.estimator_state.items() if _plain(v)},
        "random": _random(checkpoint.random),
    }
    return msgspec.json.encode(pack.pack(state)), tuple(pack.tensors)


def unpacked(
    state: bytes, tensors: tuple[PackedTensor, ...], stepper: Stepper
) -> Checkpoint | None:
    """The checkpoint, in terms of a fresh execution that has taken a step; None if it cannot be.

    Args:
        state, tensors: as `packed` gave them.
        stepper: set up by a first step, with the optimiser and estimator of the checkpoint.
    """
    saved = _unpack(msgspec.json.decode(state), [unpacked_tensor(one) for one in tensors])
    here = stepper.capture()
    modules = dict(named_modules(stepper))
    same = here.params.keys() == saved["params"].keys() and not here.others
    if not same or not saved["modules"].keys() <= modules.keys():
        return None
    params = {}
    for name, (value, has_grad, state_of) in saved["params"].items():
        own = here.params[name]
        if own.value.shape != value.shape or own.value.dtype != value.dtype:
            return None
        if (own.optimizer is None) != (state_of is None):
            return None
        params[name] = KeptParam(own.leaf, value, has_grad, own.optimizer, state_of, own.clip)
    kept = {id(modules[name]) for name in saved["modules"]}
    return Checkpoint(
        step=saved["step"],
        loss=saved["loss"],
        params=params,
        constraints=here.constraints,
        others=[],
        modules=[
            *(one for one in here.modules if id(one.module) not in kept),
            *(KeptModule(modules[n], t, dict(b)) for n, (t, b) in saved["modules"].items()),
        ],
        optimizer=here.optimizer,
        estimator=here.estimator,
        estimator_state=here.estimator_state | saved["estimator"],
        optimizer_args=here.optimizer_args,
        random=_random_again(saved["random"]),
        size=here.size,
    )


def named_modules(stepper: Stepper) -> Iterator[tuple[str, nn.Module]]:
    """Every module that the model and the guide refer to, by the way to it: always the same."""
    seen: set[int] = set()
    scenario = stepper.scenario
    for side, root in (("model", scenario.model), ("guide", scenario.guide)):
        yield from _modules_in(root, side, seen, DEPTH, scenario.source.own)


def _modules_in(
    thing: Any, name: str, seen: set[int], depth: int, own: Path
) -> Iterator[tuple[str, nn.Module]]:
    if id(thing) in seen or not depth or isinstance(thing, str | bytes | int | float | Tensor):
        return
    seen.add(id(thing))
    if isinstance(thing, nn.Module):
        yield name, thing
    for part, inner in _references(thing, own):
        yield from _modules_in(inner, f"{name}.{part}", seen, depth - 1, own)


def _references(thing: Any, own: Path) -> Iterator[tuple[object, Any]]:
    """What a thing refers to, as far as modules may be found there."""
    if isinstance(thing, nn.Module):
        yield from thing.named_children()
        yield from ((k, v) for k, v in vars(thing).items() if callable(v))
    elif isinstance(thing, FunctionType):
        cells = zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True)
        filled = ((name, cell) for name, cell in cells if cell != _EMPTY)
        yield from ((name, cell.cell_contents) for name, cell in filled)
        yield from vars(thing).items()
        if Path(thing.__code__.co_filename).is_relative_to(own):
            names = thing.__globals__
            yield from ((n, names[n]) for n in thing.__code__.co_names if n in names)
    elif isinstance(thing, MethodType):
        yield from (("self", thing.__self__), ("function", thing.__func__))
    elif isinstance(thing, functools.partial):
        yield from (("function", thing.func), *enumerate(thing.args), *thing.keywords.items())
    elif isinstance(thing, dict):
        yield from ((k, v) for k, v in thing.items() if isinstance(k, str | int))
    elif isinstance(thing, list | tuple):
        yield from enumerate(thing)


def _matters(kept: KeptModule, names: dict[int, str]) -> bool:
    """Whether a module has to be found again; raises if it has to be and cannot."""
    if id(kept.module) in names:
        return True
    if kept.buffers or not kept.training:
        raise NotPackedError("a module is not referred to by the model or the guide")
    return False


def _module(kept: KeptModule, names: dict[int, str]) -> tuple[str, tuple[bool, dict[str, Tensor]]]:
    return names[id(kept.module)], (kept.training, kept.buffers)


def _param(kept: KeptParam) -> tuple[Tensor, bool, Any]:
    return kept.value, kept.has_grad, kept.optimizer_state


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _random(state: tuple[Any, ...]) -> tuple[Any, ...]:
    version, words, gauss = state[2]
    return state[0], state[1], (version, words.tolist(), gauss), state[3]


def _random_again(state: tuple[Any, ...]) -> tuple[Any, ...]:
    version, words, gauss = state[2]
    return state[0], state[1], (version, array("I", words), gauss), state[3]


class _Packer:
    """Takes tensors out of a nested state."""

    def __init__(self) -> None:
        self.tensors: list[PackedTensor] = []

    def pack(self, value: Any) -> Any:
        """The same in what JSON has, each other kind marked by a letter."""
        if isinstance(value, float):
            return {"f": value.hex()}
        if _plain(value):
            return value
        if isinstance(value, dict):
            return {"d": [[self.pack(k), self.pack(v)] for k, v in value.items()]}
        if isinstance(value, list | tuple):
            return {"l" if isinstance(value, list) else "t": [self.pack(one) for one in value]}
        if isinstance(value, np.ndarray):
            raw = np.frombuffer(value.tobytes(), np.uint8).copy()
            return {"a": self._tensor(torch.from_numpy(raw)), "k": str(value.dtype)}
        if type(value) in (Tensor, nn.Parameter):
            return {"x": self._tensor(value)}
        raise NotPackedError(f"a {type(value).__name__} is part of the state")

    def _tensor(self, value: Tensor) -> int:
        self.tensors.append(packed_tensor(value))
        return len(self.tensors) - 1


def _unpack(value: Any, tensors: list[Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "f" in value:
        return float.fromhex(value["f"])
    if "d" in value:
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in value["d"]}
    if "a" in value:
        return tensors[value["a"]].numpy().view(value["k"])
    if "x" in value:
        return tensors[value["x"]]
    items = [_unpack(one, tensors) for one in (value["l"] if "l" in value else value["t"])]
    return items if "l" in value else tuple(items)


def packed_tensor(value: Tensor) -> PackedTensor:
    """A tensor as bytes."""
    flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    name = str(value.dtype).removeprefix("torch.")
    return PackedTensor(name, tuple(value.shape), flat.numpy().tobytes())


def unpacked_tensor(one: PackedTensor) -> Tensor:
    """The tensor again, on the CPU."""
    dtype = getattr(torch, one.dtype)
    flat = torch.frombuffer(bytearray(one.data), dtype=torch.uint8) if one.data else torch.empty(0)
    return (
        flat.view(dtype).reshape(one.shape).clone()
        if one.data
        else torch.empty(one.shape, dtype=dtype)
    )
