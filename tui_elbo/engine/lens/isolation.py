"""Running model and guide on the side, so that the run itself does not notice.

Kept as they are: the random state, the param store's parameters, the buffers and modes of every
module that is called, Python's stdout. What a person's own code keeps in Python variables is out of
reach.
"""

from __future__ import annotations

import math
import sys
import threading
import warnings
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any, TextIO

import pyro
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tui_elbo.engine.lens.subject import NONE, State


@contextmanager
def isolated() -> Iterator[None]:
    """Nothing that is run inside leaves a trace in the run."""
    with ExitStack() as stack:
        stack.enter_context(_same_random_state())
        stack.enter_context(_same_store())
        stack.enter_context(_same_modules())
        stack.enter_context(_silence())
        yield


@contextmanager
def _same_random_state() -> Iterator[None]:
    kept = pyro.util.get_rng_state()
    # Not initialised, CUDA has no generator to keep, and asking would make it start.
    cuda = torch.cuda.get_rng_state_all() if _cuda_is_on() else None
    try:
        yield
    finally:
        pyro.util.set_rng_state(kept)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def _cuda_is_on() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


@contextmanager
def _same_store() -> Iterator[None]:
    """Parameters that are made inside are taken out of the store again."""
    store = pyro.get_param_store()
    names = set(store)
    try:
        yield
    finally:
        for name in [name for name in store if name not in names]:
            del store[name]


@contextmanager
def _same_modules() -> Iterator[None]:
    """Buffers and modes of the modules that are called inside are put back."""
    kept: dict[int, tuple[nn.Module, bool, dict[str, tuple[Tensor, Tensor]]]] = {}

    def keep(module: nn.Module, _: Any) -> None:
        if id(module) not in kept:
            buffers = module.named_buffers(recurse=False)
            copies = {name: (buffer, buffer.detach().clone()) for name, buffer in buffers}
            kept[id(module)] = (module, module.training, copies)

    handle = register_module_forward_pre_hook(keep)
    try:
        yield
    finally:
        handle.remove()
        for module, training, buffers in kept.values():
            module.training = training
            for name, (buffer, copy) in buffers.items():
                with torch.no_grad():
                    buffer.copy_(copy)
                if getattr(module, name) is not buffer:
                    setattr(module, name, buffer)


class _Nowhere:
    """Keeps nothing of what this thread writes; what others write goes where it would have gone.

    Args:
        stream: where that is.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        """All of it is taken."""
        own = threading.get_ident() == self._thread
        return len(text) if own else self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Likewise."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _silence() -> Iterator[None]:
    """What is printed or warned of inside has been said by the steps already.

    The filters of `warnings` stay: changing them would make every later step warn anew.
    """
    shown, own = warnings.showwarning, threading.get_ident()

    def show(*warning: Any, **about: Any) -> None:
        if threading.get_ident() != own:
            shown(*warning, **about)

    warnings.showwarning = show
    try:
        with redirect_stdout(_Nowhere(sys.stdout)):
            yield
    finally:
        warnings.showwarning = shown


def leaves(own: Mapping[str, Tensor] = NONE) -> dict[str, Tensor]:
    """The unconstrained parameters, by name.

    Args:
        own: those that are in no store, but in modules.
    """
    return {**dict(pyro.get_param_store().named_parameters()), **own}


def snapshot(own: Mapping[str, Tensor] = NONE) -> State:
    """A copy of every parameter; the argument is that of `leaves`."""
    return {name: leaf.detach().clone() for name, leaf in leaves(own).items()}


@contextmanager
def with_params(state: State, own: Mapping[str, Tensor] = NONE) -> Iterator[None]:
    """The parameters have these values inside; those that it does not name keep theirs.

    The values are changed in place, and put back in place: an optimiser, a module or a compiled
    estimator that holds the tensor sees the same tensor.

    Args:
        state: unconstrained values, by name.
        own: as for `leaves`.
    """
    found = leaves(own)
    swapped = [(leaf, leaf.detach().clone(), state[n]) for n, leaf in found.items() if n in state]
    try:
        _put([(leaf, new) for leaf, _, new in swapped])
        yield
    finally:
        _put([(leaf, old) for leaf, old, _ in swapped])


def _put(pairs: list[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for leaf, value in pairs:
            leaf.copy_(value)


def _nothing() -> None:
    """What is left to do for one that is gone."""


class InitialParams:
    """The values that parameters had when they were first seen: what step 0 is made of.

    Guides and modules are set up lazily, so a parameter's beginning can be seen no earlier than
    before the update of the step that made it.

    Args:
        hooked: look before each update of whatever optimiser; else `look` is to be called then.
        most: bytes; where there are more, none is kept.
        known: False where steps have been taken already, so that nobody knows.
    """

    def __init__(self, *, hooked: bool = True, most: float = math.inf, known: bool = True) -> None:
        self.values: State = {}
        """The unconstrained value of each parameter before its first update."""
        self.known = known
        """False also once there was too much to keep."""
        self._most, self._size = most, 0
        self._looked_at = 0
        """How many parameters there were when they were last gone through."""
        self._handle = None
        if hooked:
            look = weakref.WeakMethod(self.look)
            self._handle = register_optimizer_step_pre_hook(lambda *_: (look() or _nothing)())
            weakref.finalize(self, self._handle.remove)

    def close(self) -> None:
        """Watch no longer."""
        if self._handle is not None:
            self._handle.remove()

    def look(self, *_: Any, own: Mapping[str, Tensor] = NONE) -> None:
        """An update is about to be made; `own` is as for `leaves`."""
        count = len(pyro.get_param_store()) + len(own)
        if count == self._looked_at or not self.known:
            return
        self._looked_at = count
        for name, leaf in leaves(own).items():
            if name not in self.values:
                self._size += leaf.nbytes
                if self._size > self._most:
                    self.values, self.known = {}, False
                    return
                self.values[name] = leaf.detach().clone()

    def missed(self) -> None:
        """Updates have been made before which nobody has looked, perhaps of new parameters."""
        if len(pyro.get_param_store()) != self._looked_at:
            self.values, self.known = {}, False

    def completed(self, state: State) -> State:
        """The state, with those parameters that were made later at the values they began with."""
        return self.values | state
