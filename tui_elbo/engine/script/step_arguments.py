"""A script's loop as the lens has to see it: what its steps are called with, and if that changes.

The lens wants all the data. A script that calls `step` with the same data each time has shown them.
Of one that goes through minibatches, those of some steps are kept and stand for all, unless it says
itself what all the data are.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import pyro
from pyro.infer import CSIS, ELBO, SVI
from pyro.poutine.guide import GuideMessenger
from torch import Tensor

from tui_elbo.engine.describe import rate_decays
from tui_elbo.engine.lens.isolation import InitialParams, snapshot
from tui_elbo.engine.lens.subject import FixedArguments, RememberedBatches, State
from tui_elbo.engine.record.params import ParamRecorder
from tui_elbo.engine.script.minibatches import Minibatches, Named
from tui_elbo.engine.script.step_call import StepCall, step_call
from tui_elbo.engine.verdict.iterates import Iterates

COPY_SHARE, COPY_FORGETS = 0.02, 0.95
"""Of a step, what copying the parameters before it may take; one that took too long is tried again
once its time has been multiplied by the second often enough."""

USUAL_STEPS = 1000
"""Of a script, which does not say how many it takes."""

NEXT_STEP = "The lens looks once another step shows whether the data are the same each time"

OWNERS = ("the model", "the guide")

FullBatch = Callable[[], tuple[Any, ...]]
"""Returns the positional arguments of a step on all the data."""


@dataclass(frozen=True, eq=False)
class CheckedScript:
    """What the rules look at before a script's first step."""

    model: Callable[..., Any]
    guide: Callable[..., Any]
    loss: Any
    args: tuple[Any, ...]
    optimizer: Any
    """What the loop has given to the SVI."""
    steps: int = USUAL_STEPS
    full_batch: FullBatch | None = None
    """All the data; None where the script does not say: a step may have been called with a part."""

    def batch(self, step: int) -> tuple[Any, ...]:  # noqa: ARG002
        """Those of the first step."""
        return self.args


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
        full_batch: all the data, where the script gives them.
    """

    def __init__(
        self,
        training: Training,
        stepper: Stepper,
        never: str = "",
        full_batch: FullBatch | None = None,
    ) -> None:
        self._ref, self._stepper, self._never = weakref.ref(training), stepper, never
        self._full_batch = full_batch
        self.unseen = self._never
        """Why the lens cannot look, in words; empty while it can, or that is not known yet."""
        self._call: StepCall | None = None
        self._given: FixedArguments | RememberedBatches | None = None
        self._batches: Minibatches | None = None
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
    def own(self) -> Mapping[str, Tensor]:
        """The unconstrained parameters that are in no store, but in modules, by name."""
        return self._stepper.params.own

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
            self._before = self.steps_taken, snapshot(self.own)
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
    def waiting(self) -> str:
        """Why the lens cannot look yet, in words; empty where it can, or nothing is known yet."""
        return "" if self._batches is None or self.known else self._batches.waiting

    @property
    def waiting_held(self) -> str:
        """The same while the script stands still, and no other step shows what stays the same."""
        if self.unseen or self.known or self._call is None:
            return self.waiting
        return self.waiting or NEXT_STEP

    @property
    def note(self) -> str:
        """What the lens assumes of the data, in words; empty where that is nothing."""
        given = self._given
        return given.note if isinstance(given, RememberedBatches) else ""

    @property
    def scenario(self) -> FixedArguments | RememberedBatches:
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
        training, before = self._training, self._call
        call = step_call(training.model, training.guide, args, kwargs)
        if self._batches is not None:
            self._collect(call)
            return
        changed = "" if before is None else before.changed(call)
        if changed in OWNERS:
            self.refuse(
                f"The steps are taken with another one each time ({changed} changes), so what "
                "moved log p cannot be computed"
            )
        elif changed or self._full_batch is not None:
            self._given = None
            self._batches = Minibatches(changed or "argument 1", max(self.steps_taken, 1))
            if before is not None and before.intact and self.steps_taken:
                self._batches.add(self.steps_taken, before)
            self._collect(call)
        elif self._given is None:
            self._call = before or call
            if before is not None or not (args or kwargs):
                self._know(args, kwargs)

    def _collect(self, call: StepCall) -> None:
        """The steps are called with other data each time."""
        batches = self._batches
        assert batches is not None
        if batches.calls and (owner := batches.calls[0].changed(call)) in OWNERS:
            self._batches = None
            self.refuse(
                f"The steps are taken with another one each time ({owner} changes), so what "
                "moved log p cannot be computed"
            )
            return
        batches.add(self.steps_taken + 1, call)
        if self._given is not None or not (batches.known or self._full_batch):
            return
        model, guide = self._training.model, self._training.guide
        if isinstance(guide, GuideMessenger):
            if any(one.kwargs for one in batches.calls):
                self._refuse_names(guide)
                return
            calls: list[tuple[Any, ...]] = [one.args for one in batches.calls]
        else:
            model, guide, calls = Named(model), Named(guide), batches.args
        full = self._all_data()
        note = "" if full is not None else batches.note
        self._given = RememberedBatches(
            *(model, guide, self._stepper.elbo, calls, full, note), own=self.own
        )

    def _all_data(self) -> FullBatch | None:
        """What the script says that all the data are, for models that take a dictionary last."""
        full = self._full_batch
        if full is None or isinstance(self._training.guide, GuideMessenger):
            return full

        def with_names() -> tuple[Any, ...]:
            return (*full(), {})

        return with_names

    def check_data(self) -> bool:
        """Whether the data that are kept hold still; else others are collected, as copies."""
        batches = self._batches
        if batches is None or self._given is None or batches.intact:
            return True
        self._batches = Minibatches(batches.what, self.steps_taken + 1, copies=True)
        self._given = None
        return False

    def checked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CheckedScript | None:
        """What the rules look at, before the first step; None where the lens never can look."""
        training, elbo = self._training, self._stepper.elbo
        # The rules know what is in the store.
        if pyro.settings.get("module_local_params"):
            return None
        if self._never or elbo is None or (kwargs and isinstance(training.guide, GuideMessenger)):
            return None
        model, guide = training.model, training.guide
        if kwargs:
            model, guide = partial(model, **kwargs), partial(guide, **kwargs)
        full = self._full_batch
        return CheckedScript(model, guide, elbo, args, training.optim, full_batch=full)

    def refuse(self, why: str, *, always: bool = False) -> None:
        """The lens cannot look from now on; if `always`, not for whoever comes next either."""
        if self.unseen == why:
            return
        self.forget()
        self.unseen = why
        if always:
            self._never = why

    def rest(self) -> None:
        """Nobody looks any more; whoever comes next is to see with other eyes.

        What the lens looks at stays, so that its sums can go on.
        """
        self.unseen = self._never
        if self._given is None:
            self._call = self._batches = None

    def forget(self) -> None:
        """Keep nothing of the script's own."""
        self._call = self._given = self._before = self._batches = None

    def _know(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        model, guide = self._training.model, self._training.guide
        if kwargs and isinstance(guide, GuideMessenger):
            self._refuse_names(guide)
            return
        if kwargs:
            model, guide = partial(model, **kwargs), partial(guide, **kwargs)
        self._given = FixedArguments(model, guide, self._stepper.elbo, args, own=self.own)

    def _refuse_names(self, guide: Any) -> None:
        self.refuse(
            f"{type(guide).__name__} runs the model itself, and the lens cannot hand it "
            "arguments by name"
        )


def why_never(svi: SVI, elbo: ELBO | None) -> str:
    """Why the lens can never look at this one, in words; empty if it can."""
    kind = type(svi)
    if isinstance(svi, CSIS):
        return (
            "CSIS fits the guide to draws of the model, by −E log q, and optimises no ELBO, which "
            "is what the lens would see"
        )
    if kind.step is not SVI.step:
        return f"{kind.__name__} takes its steps in a way of its own, which the lens does not know"
    if elbo is None:
        name = getattr(svi.loss, "__name__", type(svi.loss).__name__)
        return (
            f"The loss is a function of the script's own, {name}, and no ELBO of Pyro's: what the "
            "lens would see is not what is optimised"
        )
    return ""
