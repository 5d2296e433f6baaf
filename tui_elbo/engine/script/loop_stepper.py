"""Reads the steps of a loop that evaluates an ELBO itself and updates the parameters itself.

A step is what lies between two updates' ends: one or more evaluations whose loss was
differentiated, and the updates of torch's optimisers that followed. Where no optimiser of torch's
updates the parameters, a step is an evaluation after which they have changed.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.infer import ELBO
from pyro.poutine import Trace
from torch import Tensor, nn
from torch.optim import Optimizer

from tui_elbo.engine import describe
from tui_elbo.engine.compat.pyro import own_trace_builder, set_trace_builder, trace_builder
from tui_elbo.engine.lens.isolation import InitialParams
from tui_elbo.engine.lens.isolation import leaves as leaves_of
from tui_elbo.engine.record.columns import Observation
from tui_elbo.engine.record.estimators import traits_of
from tui_elbo.engine.record.numbers import kept_number
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.record.step_recorder import StepRecorder
from tui_elbo.engine.record.terms import TermsPart
from tui_elbo.engine.record.timing import OPTIMISER, OTHER, READING
from tui_elbo.engine.script.elbo_hook import optimizer_within
from tui_elbo.engine.script.script_stepper import MAX_INITIAL_BYTES, NoEstimator, Unused
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.engine.verdict.iterates import Iterates

MOST_EVALUATIONS = 4096
"""Of a step; of more, only so many of the newest are kept."""

SAMPLED = 64
"""Elements of a parameter that are compared to see whether it has been updated."""

BY_EVALUATION = 3
"""So many steps without an optimiser of torch's are needed to say that there is none."""


@dataclass(eq=False)
class Evaluation:
    """One evaluation of an estimator."""

    loss: Any
    """A number, or a tuple of floats."""
    part: TermsPart
    within: bool
    """Whether it was made by an optimiser's closure."""
    differentiated: bool = False
    """Whether its gradient has been taken."""

    def note(self, *_: Any) -> None:
        """Its gradient is taken."""
        self.differentiated = True


class LoopStepper:
    """Reads the evaluations and the updates of one training.

    Args:
        guide: it is held weakly.
        elbo: the estimator of the first evaluation; it is held weakly.
        options: what is kept of single parameters.
    """

    def __init__(self, guide: Any, elbo: ELBO, options: RecordingOptions) -> None:
        self.model: Any = None
        """That of the evaluation under way; None between two."""
        self.guide: Any = None
        """Likewise."""
        self.initial_params = InitialParams(hooked=False, most=MAX_INITIAL_BYTES)
        """The values that parameters began with, as far as the steps read here have moved them."""
        self.iterates = Iterates()
        """The parameters after each step."""
        self.taken = 0
        """How many steps have been taken."""
        self.failed = ""
        """Why nothing is read any more, in words; empty while all is well."""
        self.estimator = describe.estimator(elbo)
        """Such as `Trace_ELBO, 4 particles`."""
        self._elbo = weakref.ref(elbo)
        self._traits = traits_of(elbo)
        self._recorder = StepRecorder(guide, NoEstimator(), options)
        self.params = self._recorder.params
        self._terms = self._recorder.terms
        self._timer = options.timer
        self._terms.expect(elbo)
        self._began = 0.0
        self.ended = 0.0
        """When the newest update ended, by `time.perf_counter`."""
        self._evaluations: list[Evaluation] = []
        self._optimizers: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self._is_optimized = False
        """Whether an optimiser of torch's has made an update; it may be gone since."""
        self._updated: set[int] = set()
        """The optimisers that have made an update in this step."""
        self._within = False
        """Whether an optimiser's step is under way."""
        self.unused = Unused()
        self._sample: list[tuple[Tensor, Tensor]] = []
        self._related: weakref.WeakKeyDictionary[Optimizer, bool] = weakref.WeakKeyDictionary()
        self._met: dict[int, Tensor] = {}
        """What the optimisers have updated."""
        self.has_unknown = False
        """Whether they update what is in no store and in no module of model or guide."""
        self._modules: tuple[Callable[[], Any], Callable[[], Any]] = (lambda: None, lambda: None)
        """Those that guide and model are, held weakly."""

    @property
    def elbo(self) -> ELBO | None:
        """The estimator; None once the script has dropped it."""
        return self._elbo()

    @property
    def optim(self) -> Optimizer | None:
        """What updates the parameters, where that is one optimiser of torch's."""
        known = list(self._optimizers)
        return known[0] if len(known) == 1 else None

    @property
    def optimizer(self) -> str:
        """Such as `Adam, lr 0.02`; empty while none is known."""
        return " and ".join(sorted({describe.torch_optimizer(one) for one in self._optimizers}))

    @property
    def by_evaluation(self) -> bool:
        """Whether steps are counted by evaluations, since nothing else shows an update."""
        return self.taken >= BY_EVALUATION and not self._is_optimized

    @property
    def updates(self) -> bool:
        """Whether an update has been made in the step that is under way."""
        return bool(self._updated)

    @property
    def begins(self) -> bool:
        """Whether the next evaluation is the first of a step."""
        return not self._evaluations

    # Evaluations.

    def completed(self) -> bool:
        """Whether the step is over, now that another evaluation is to be made."""
        if self._updated:
            return True
        if optimizer_within() is None:
            self._drop_raised()
        used = any(one.differentiated for one in self._evaluations)
        by_hand = not (self._is_optimized or optimizer_within())
        return used and by_hand and self._moved()

    def evaluate(
        self, elbo: ELBO, take: Callable[[], Any], *, due: bool, entered: float = 0.0
    ) -> Any:
        """Evaluate an estimator whose gradient may be taken; whatever it raises goes through.

        Args:
            elbo: the estimator.
            take: its own method.
            due: whether to take the sums of large parameters.
            entered: when the script has asked for it, by `time.perf_counter`; 0 if not known.
        """
        if self.failed:
            return take()
        if elbo is not self.elbo:
            self._elbo, self._traits = weakref.ref(elbo), traits_of(elbo)
            self._terms.expect(elbo)
        if self._evaluations and self._gave_up():
            self._drop()
        if self._timer.on:
            self._time(entered)
        self._terms.begin()
        own, build = own_trace_builder(elbo), trace_builder(elbo)
        if build is not None:
            set_trace_builder(elbo, self._reading(build))
        began = time.perf_counter()
        try:
            result = take()
        finally:
            if build is not None:
                set_trace_builder(elbo, own)
        if self._timer.on:
            self._timer.gradient()
        try:
            self._evaluated(result, began, due=due)
        except Exception as error:
            self._fail(error)
        if self._timer.on:
            self._timer.lap(READING)
        return result

    def _time(self, entered: float) -> None:
        """An evaluation is about to be made in a step that is timed."""
        timer = self._timer
        if optimizer_within() is not None:
            timer.cancel()  # What the optimiser does by itself meanwhile is not seen.
        elif self._evaluations:
            timer.gradient()
        else:
            timer.begin(entered - self.ended if entered and self.ended else None)

    def _evaluated(self, result: Any, began: float, *, due: bool) -> None:
        first, optimizer = not self._evaluations, optimizer_within()
        if optimizer is not None:
            self._within = self._related[optimizer] = True
        seen = Evaluation(_floats(result), self._terms.part(), optimizer is not None)
        if isinstance(result, Tensor):
            if result.grad_fn is None:
                self.unused.took(seen.loss)
                return
            result.grad_fn.register_prehook(seen.note)
        else:
            seen.differentiated = True  # by `loss_and_grads`
        if len(self._evaluations) >= MOST_EVALUATIONS:
            del self._evaluations[0]
        self._evaluations.append(seen)
        if first:
            self._modules = _module_ref(self.guide), _module_ref(self.model)
            self._began = began
            self.params.begin(due=due)
            self.params.forget()  # Another loop may have moved the parameters since.
            self.params.read_values()
            self.initial_params.look(own=self.params.own)
            if not self._is_optimized:
                self._sample = [(leaf, _some(leaf)) for _, leaf in self.params.stored]

    def _gave_up(self) -> bool:
        """Whether the gradients so far were thrown away: a `GradScaler` does that."""
        if optimizer_within() is not None or not self._optimizers:
            return False
        groups = [group for one in self._optimizers for group in one.param_groups]
        return all(leaf.grad is None for group in groups for leaf in group["params"])

    def _drop(self) -> None:
        """No update follows the evaluations whose gradients were taken."""
        for one in self._used:
            self.unused.took(one.loss)
        self._evaluations = [one for one in self._evaluations if not one.differentiated]

    def _drop_raised(self) -> None:
        """Those that an optimiser has made in a step that has raised belong to no other."""
        if any(one.within for one in self._evaluations):
            self._evaluations = [one for one in self._evaluations if not one.within]

    def _reading(self, build: Callable[..., Any]) -> Callable[..., tuple[Trace, Trace]]:
        def get_trace(*args: Any) -> tuple[Trace, Trace]:
            timer = self._timer
            traces: tuple[Trace, Trace] = timer.traces(build, *args) if timer.on else build(*args)
            try:
                self._terms.take(*traces)
                if pyro.settings.get("module_local_params"):
                    self.params.note_local(*traces)
            except Exception as error:
                self._fail(error)
            if timer.on:
                timer.lap(READING)
            return traces

        return get_trace

    def _moved(self) -> bool:
        return any(not torch.equal(_some(leaf), before) for leaf, before in self._sample)

    # Updates.

    def updating(self, optimizer: Optimizer) -> bool:
        """An optimiser's step begins; returns whether that shows the step before to be over."""
        self._within = self._is_related(optimizer)
        if self._within and not self._updated:
            self._drop_raised()
        return self._within and id(optimizer) in self._updated

    def before_update(self, optimizer: Optimizer) -> None:
        """An optimiser of this training's is about to use the gradients."""
        if self._within and self._evaluations:
            self._meet(optimizer)
        timed = self._timer.on and self._within and bool(self._evaluations)
        if timed:
            if self._updated:
                self._timer.lap(OTHER)
            else:
                self._timer.gradient()
        if self._within and self._evaluations and not self._updated:
            self._read_gradients()
            if timed:
                self._timer.lap(READING)

    def updated(self, optimizer: Optimizer) -> None:
        """An optimiser's step has ended."""
        within, self._within = self._within, False
        if within and self._timer.on:
            self._timer.lap(OPTIMISER)
        if not within or not any(one.differentiated for one in self._evaluations):
            return
        if not self._updated and all(one.within for one in self._used):
            self._read_gradients()
        self._meet(optimizer, updated=True)
        self._updated.add(id(optimizer))
        self._optimizers.add(optimizer)
        self._is_optimized = True
        self.ended = time.perf_counter()

    def _read_gradients(self) -> None:
        try:
            self.params.read_gradients()
        except Exception as error:
            self._fail(error)

    def _is_related(self, optimizer: Optimizer) -> bool:
        """Whether it updates parameters of this training."""
        if self._related.get(optimizer):
            return True
        names = self._terms.model_params | self._terms.guide_params
        own = self.params.own
        leaves = {id(leaf) for name, leaf in leaves_of(own).items() if name in names or name in own}
        groups = optimizer.param_groups
        # Modules that a model calls without `pyro.module` are in no trace.
        related = not leaves or any(id(leaf) in leaves for one in groups for leaf in one["params"])
        self._related[optimizer] = related
        return related

    def _meet(self, optimizer: Optimizer, *, updated: bool = False) -> None:
        """Take in what an optimiser updates that no trace and no store has named.

        Modules that model and guide call without `pyro.module` have such parameters.

        Args:
            optimizer: an optimiser of torch's.
            updated: whether it has made its update, so that what was before it is not known.
        """
        leaves = [leaf for group in optimizer.param_groups for leaf in group["params"]]
        new = [leaf for leaf in leaves if id(leaf) not in self._met and leaf.grad is not None]
        if not new:
            return
        self._met |= {id(leaf): leaf for leaf in new}
        known = {id(leaf) for leaf in leaves_of(self.params.own).values()}
        new = [leaf for leaf in new if id(leaf) not in known]
        names = self._module_params() if new else {}
        for leaf in new:
            name, is_models = names.get(id(leaf), ("", False))
            if updated or not name:
                self.has_unknown = True
                continue
            self.params.keep_local(name, leaf)
            if is_models:
                self._terms.model_params.add(name)
        if new and not self._updated:
            self.initial_params.look(own=self.params.own)
            self.params.forget()
            self.params.read_values()

    def _module_params(self) -> dict[int, tuple[str, bool]]:
        """Of those modules that the model or the guide is: names, and whether the model's."""
        guide, model = (ref() for ref in self._modules)
        found = _named(guide, of_model=False)
        models = _named(model, of_model=True)
        shared = found.keys() & models.keys()
        return {key: one for key, one in (found | models).items() if key not in shared}

    # Steps.

    @property
    def _used(self) -> list[Evaluation]:
        return [one for one in self._evaluations if one.differentiated]

    def finish(self) -> Observation | None:
        """The step is over; None if nothing has been read of it."""
        used = self._used
        for one in self._evaluations:
            if not one.differentiated:
                self.unused.took(one.loss)
        updated = bool(self._updated)
        before = [one for one in used if not one.within]
        # An optimiser that evaluates by itself moves the parameters between its evaluations.
        counted = before or used[:1]
        self._evaluations, self._updated, self._sample = [], set(), []
        timer = self._timer
        if not updated or not counted:
            timer.cancel()  # What came after the evaluation is not known.
        if self.failed or not counted:
            return None
        self.taken += 1
        timer.mark()
        try:
            seen = self._observed(counted, time.perf_counter() if not updated else self.ended)
            if timer.on:
                timer.lap(READING)
                timer.finish()
            return seen
        except Exception as error:
            self._fail(error)
            return None

    def _observed(self, counted: list[Evaluation], ended: float) -> Observation:
        losses = [one.loss for one in counted]
        result = losses[0] if len(losses) == 1 else _mean(losses)
        self._terms.join([one.part for one in counted])
        reports_loss = self._traits.reports_loss
        seen = self._recorder.finish(
            self.taken, result, self._began, ended, reports_loss=reports_loss
        )
        seen.eval_loss = self.unused.mean()
        self.iterates.took(self.taken, self.params.stored, ended - self._began)
        return seen

    def _fail(self, error: Exception) -> None:
        self.failed = f"elbo-tui can read this run no further: {error_text(error)}"


def _floats(result: Any) -> Any:
    """A loss as a number, or its parts as floats."""
    if isinstance(result, tuple):
        return tuple(float(kept_number(one)) for one in result)
    return kept_number(result)


def _mean(losses: list[Any]) -> Any:
    """Of floats, or of each of their parts."""
    if isinstance(losses[0], tuple):
        return tuple(sum(parts) / len(losses) for parts in zip(*losses, strict=True))
    return sum(losses) / len(losses)


def _named(module: Any, *, of_model: bool) -> dict[int, tuple[str, bool]]:
    if not isinstance(module, nn.Module):
        return {}
    kind = type(module).__name__
    return {id(leaf): (f"{kind}.{name}", of_model) for name, leaf in module.named_parameters()}


def _module_ref(fn: Any) -> Callable[[], Any]:
    """The module that a model or a guide is, held weakly; None where it is none."""
    fn = pyro.poutine.unwrap(fn)
    return weakref.ref(fn) if isinstance(fn, nn.Module) else lambda: None


def _some(leaf: Tensor) -> Tensor:
    """A copy of the first elements."""
    return leaf.detach().reshape(-1)[:SAMPLED].clone()
