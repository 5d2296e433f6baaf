"""Stands in front of what evaluates an ELBO, in the classes, and hears of each optimiser's update.

An estimator and an optimiser are what they are without us: so they are pickled and copied as the
plain objects. Of calls within calls, and within `SVI.step`, only the outermost is reported.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import CodeType, FrameType
from typing import Any, Protocol

import torch
from pyro.infer import ELBO
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

ENTRIES = ("loss", "differentiable_loss", "loss_and_grads")
"""The public methods of an estimator that evaluate it."""

Take = Callable[[], Any]
"""The plain evaluation."""


class Observer(Protocol):
    """Receives evaluations and updates."""

    def evaluate(self, elbo: ELBO, entry: str, take: Take, args: Any, kwargs: Any) -> Any:
        """In place of an evaluation, which is `take`; only what that raises is raised."""

    def updating(self, optimizer: Optimizer) -> None:
        """An optimiser's step begins."""

    def updated(self, optimizer: Optimizer) -> None:
        """An optimiser's step has ended."""


class _Inside(threading.local):
    """Entered for as long as what a thread does is part of something that is seen whole."""

    depth = 0
    optimizer: Optimizer | None = None
    stepping: CodeType | None = None
    """What runs while that optimiser's step does."""

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


_inside = _Inside()
_patched: list[tuple[type, str, Any]] = []
_handles: list[Any] = []
_observer: Observer | None = None


def inside() -> AbstractContextManager[None]:
    """What this thread evaluates and updates meanwhile is part of something that is seen whole."""
    return _inside


def optimizer_within() -> Optimizer | None:
    """The optimiser whose step this thread is in: it evaluates by its closure."""
    if _inside.optimizer is not None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not _inside.stepping:
            frame = frame.f_back
        if frame is None:
            _inside.optimizer = None  # It has raised: nobody has called the hook of its end.
    return _inside.optimizer


def patch(observer: Observer) -> None:
    """Report to this observer from now on, and to none before it."""
    global _observer  # noqa: PLW0603 - a process has one
    restore()
    _observer = observer
    _patch_all(ELBO)
    # Others may be defined later: by a script, or in a module of Pyro's that is imported then.
    ELBO.__init_subclass__ = classmethod(_subclassed)
    _handles.extend(
        (
            register_optimizer_step_pre_hook(_updating),
            register_optimizer_step_post_hook(_updated),
        )
    )


def observed_by(observer: Observer) -> bool:
    """Whether all is reported to this observer."""
    return _observer is observer


def restore() -> None:
    """Put back what has been replaced."""
    global _observer  # noqa: PLW0603
    if _observer is None:
        return
    _observer = None
    del ELBO.__init_subclass__
    while _patched:
        kind, name, original = _patched.pop()
        setattr(kind, name, original)
    while _handles:
        _handles.pop().remove()


def _subclassed(kind: type[Any], /, **kwargs: Any) -> None:
    super(ELBO, kind).__init_subclass__(**kwargs)
    with suppress(Exception):
        _patch(kind)


def _patch_all(kind: type[ELBO]) -> None:
    _patch(kind)
    for one in kind.__subclasses__():
        _patch_all(one)


def _patch(kind: type) -> None:
    for name in ENTRIES:
        original = vars(kind).get(name)
        known = any(owner is kind and entry == name for owner, entry, _ in _patched)
        if callable(original) and not known:
            _patched.append((kind, name, original))
            setattr(kind, name, _reporting(name, original))


def _reporting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def evaluate(self: Any, *args: Any, **kwargs: Any) -> Any:
        observer = _observer
        if observer is None or _inside.depth or torch.compiler.is_compiling():
            return original(self, *args, **kwargs)
        take = functools.partial(original, self, *args, **kwargs)
        with inside():
            return observer.evaluate(self, name, take, args, kwargs)

    return evaluate


def _updating(optimizer: Optimizer, *_: Any) -> None:
    if _observer is not None and not _inside.depth:
        _inside.optimizer, _inside.stepping = optimizer, sys._getframe(1).f_code
        with suppress(Exception):
            _observer.updating(optimizer)


def _updated(optimizer: Optimizer, *_: Any) -> None:
    if _observer is not None and not _inside.depth:
        _inside.optimizer = None
        with suppress(Exception):
            _observer.updated(optimizer)
