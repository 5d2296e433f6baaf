"""A script's loop as the lens has to see it: what its steps are called with, and if that changes.

The lens wants all the data. A script that calls `step` with the same data each time has shown them;
one that goes through minibatches never does, and of it nothing is said.
"""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any, Protocol

import torch
from pyro.infer import ELBO, SVI
from pyro.poutine.guide import GuideMessenger

from tui_elbo.engine.compat.torch import tensor_version
from tui_elbo.engine.describe import rate_decays
from tui_elbo.engine.lens.isolation import InitialParams, snapshot
from tui_elbo.engine.lens.subject import FixedArguments, State
from tui_elbo.engine.record.params import ParamRecorder
from tui_elbo.engine.verdict.iterates import Iterates

MANY = 100
"""Elements of a list that are compared one by one; a longer one counts as a whole."""

COPY_SHARE, COPY_FORGETS = 0.02, 0.95
"""Of a step, what copying the parameters before it may take; one that took too long is tried again
once its time has been multiplied by the second often enough."""

USUAL_STEPS = 1000
"""Of a script, which does not say how many it takes."""

DEEP = 4
"""Lists in lists that are gone through."""

PLAIN = (bool, int, float, complex, str, bytes, type(None))


@dataclass(frozen=True, eq=False)
class _Call:
    """What a step was called with.

    It is kept, so that nothing else can come to lie where it lies.
    """

    values: dict[str, Any]
    """The arguments, by what they are called here."""
    marks: dict[str, Any]
    """What tells each from another one."""

    def changed(self, other: _Call) -> str:
        """The first argument that a later step has another one of; empty if there is none."""
        if self.marks.keys() != other.marks.keys():
            return "their number"
        return next((name for name in self.marks if not self._same(other, name)), "")

    def _same(self, other: _Call, name: str) -> bool:
        if self.marks[name] == other.marks[name]:
            return True
        one, two = self.values[name], other.values[name]
        tensors = isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor)
        if not tensors or _mark(one) != self.marks[name] or one.dtype != two.dtype:
            return False
        # Made anew for each step, the same numbers are the same data.
        return one is not two and one.device == two.device and torch.equal(one, two)


@dataclass(frozen=True, eq=False)
class CheckedScript(FixedArguments):
    """What the rules look at before a script's first step."""

    optimizer: Any = None
    """What the loop has given to the SVI."""


class Training(Protocol):
    """A model, a guide and an optimiser; an `SVI` is one."""

    model: Any
    guide: Any

    @property
    def optim(self) -> Any:
        """The optimiser."""


class Stepper(Protocol):
    """Reads the steps of a script's own loop."""

    taken: int
    failed: str
    iterates: Iterates
    initial_params: InitialParams
    params: ParamRecorder

    @property
    def optim(self) -> Any:
        """What updates the parameters."""

    @property
    def elbo(self) -> ELBO | None:
        """The estimator; None if there is none of Pyro's."""

    @property
    def estimator(self) -> str:
        """In words."""

    @property
    def optimizer(self) -> str:
        """In words."""


class ScriptSubject:
    """What the lens follows.

    Args:
        training: what has the model, the guide and the optimiser; it is held weakly.
        stepper: reads its steps.
        never: why the lens can never look, in words; empty if it can.
    """

    def __init__(self, training: Training, stepper: Stepper, never: str = "") -> None:
        self._ref, self._stepper, self._never = weakref.ref(training), stepper, never
        self.unseen = self._never
        """Why the lens cannot look, in words; empty while it can, or that is not known yet."""
        self._call: _Call | None = None
        self._given: FixedArguments | None = None
        self._before: tuple[int, State] | None = None
        self._copying = 0.0

    @property
    def _training(self) -> Training:
        training = self._ref()
        if training is None:
            raise ReferenceError("the training is there no more")
        return training

    @property
    def steps_taken(self) -> int:
        """How many steps have been taken since the script is watched."""
        return self._stepper.taken

    @property
    def iterates(self) -> Iterates:
        """The parameters after each step, as far as they are kept."""
        return self._stepper.iterates

    @property
    def rate_decays(self) -> bool:
        """Whether the learning rate changes by itself."""
        return rate_decays(self._stepper.optim)

    @property
    def estimator(self) -> Any:
        """The estimator in use; None if the loss is a plain function."""
        return self._stepper.elbo

    @property
    def optimizer(self) -> Any:
        """The optimiser in use."""
        return self._stepper.optim

    @property
    def sound(self) -> bool:
        """Always: a step that fails is the script's own affair."""
        return True

    def keep_state(self, step_seconds: float) -> None:
        """Keep the parameters before a step, where copying them costs next to nothing of it."""
        self._before = None
        if self._copying <= COPY_SHARE * step_seconds:
            began = time.perf_counter()
            self._before = self.steps_taken, snapshot()
            self._copying = time.perf_counter() - began
        else:
            self._copying *= COPY_FORGETS

    def state_at(self, step: int) -> State | None:
        """The parameters before the newest step; None for any other."""
        kept = self._before
        return kept[1] if kept is not None and kept[0] == step else None

    @property
    def known(self) -> bool:
        """Whether it is known what the lens has to look at."""
        return self._given is not None

    @property
    def scenario(self) -> FixedArguments:
        """What the lens looks at.

        Raises:
            RuntimeError: before it is known.
        """
        if self._given is None:
            raise RuntimeError("it is not known yet what the steps are called with")
        return self._given

    def called(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A step is about to be taken with these arguments."""
        if self.unseen:
            return
        call, before = self._named(args, kwargs), self._call
        changed = "" if before is None else before.changed(call)
        if changed:
            self.refuse(
                f"The steps are called with other data each time ({changed} changes), so what "
                "moved log p over all the data cannot be computed"
            )
            return
        if self._given is None:
            self._call = before or call
            if before is not None or not (args or kwargs):
                self._know(args, kwargs)

    def checked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CheckedScript | None:
        """What the rules look at, before the first step; None where the lens never can look."""
        training, elbo = self._training, self._stepper.elbo
        if self._never or elbo is None or (kwargs and isinstance(training.guide, GuideMessenger)):
            return None
        model, guide = training.model, training.guide
        if kwargs:
            model, guide = partial(model, **kwargs), partial(guide, **kwargs)
        return CheckedScript(model, guide, elbo, args, USUAL_STEPS, training.optim)

    def refuse(self, why: str) -> None:
        """The lens cannot look from now on."""
        self.forget()
        self.unseen = why

    def rest(self) -> None:
        """Nobody looks any more; whoever comes next is to see with other eyes.

        What the lens looks at stays, so that its sums can go on.
        """
        self.unseen = self._never
        if self._given is None:
            self._call = None

    def forget(self) -> None:
        """Keep nothing of the script's own."""
        self._call = self._given = self._before = None

    def _know(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        model, guide = self._training.model, self._training.guide
        if kwargs and isinstance(guide, GuideMessenger):
            self.refuse(
                f"{type(guide).__name__} runs the model itself, and the lens cannot hand it "
                "arguments by name"
            )
            return
        if kwargs:
            model, guide = partial(model, **kwargs), partial(guide, **kwargs)
        self._given = FixedArguments(model, guide, self._stepper.elbo, args)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        values = {"the model": self._training.model, "the guide": self._training.guide}
        values |= {f"argument {place}": value for place, value in enumerate(args, 1)}
        values |= {f"{name}=": value for name, value in kwargs.items()}
        return _Call(values, {name: _mark(value) for name, value in values.items()})


def why_never(svi: SVI, elbo: ELBO | None) -> str:
    """Why the lens can never look at this one, in words; empty if it can."""
    kind = type(svi)
    if kind.step is not SVI.step:
        return f"{kind.__name__} takes its steps in a way of its own, which the lens does not know"
    if elbo is None:
        name = getattr(svi.loss, "__name__", type(svi.loss).__name__)
        return (
            f"The loss is a function of the script's own, {name}, and no ELBO of Pyro's: what the "
            "lens would see is not what is optimised"
        )
    return ""


def _mark(value: Any, deep: int = DEEP) -> Any:
    """What stays the same as long as the value does, which has to be kept for that long.

    A tensor is known by where it lies, so a slice that is cut anew each time is still the same; one
    that is changed in place is another. Of other objects a change in place is not noticed.
    """
    if isinstance(value, torch.Tensor):
        return _tensor_mark(value)
    if isinstance(value, PLAIN):
        return type(value), value
    if isinstance(value, MethodType):  # made anew whenever it is asked for
        return id(value.__self__), id(value.__func__)
    if deep and isinstance(value, tuple | list) and len(value) <= MANY:
        return type(value), *(_mark(one, deep - 1) for one in value)
    if deep and isinstance(value, dict) and len(value) <= MANY:
        return type(value), *((id(key), _mark(one, deep - 1)) for key, one in value.items())
    return id(value)


def _tensor_mark(value: torch.Tensor) -> Any:
    try:
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype, value.device)
    except RuntimeError:  # it lies in no one place
        return id(value)
    return place if value.is_inference() else (*place, tensor_version(value))
