"""Reads the steps of an SVI that somebody else's loop drives.

Everything is put in place for the length of one step and taken away after it: the SVI, its
estimator and its optimiser are, between two steps, what they were. What goes wrong in the reading
stays here: the training must not notice.
"""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pyro
from pyro.infer import ELBO, SVI, Trace_ELBO
from pyro.poutine import Trace
from torch import Tensor

from tui_elbo.engine import describe
from tui_elbo.engine.lens.isolation import InitialParams
from tui_elbo.engine.record.columns import Observation
from tui_elbo.engine.record.estimators import traits_of
from tui_elbo.engine.record.numbers import kept_number
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.record.step_recorder import StepRecorder
from tui_elbo.engine.record.timing import OPTIMISER, OTHER, READING
from tui_elbo.engine.script.seen_traces import SeenTraces, seeing
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.engine.verdict.iterates import Iterates

Take = Callable[..., Any]
"""The SVI's own `step`."""

MAX_INITIAL_BYTES = 2**26
"""Bytes of parameters up to which the state before the first step is kept."""


class Unused:
    """The losses of evaluations that no update followed, since the step before."""

    def __init__(self) -> None:
        self._sum: float | Tensor = 0.0
        self._count = 0

    def took(self, loss: Any) -> None:
        """One more: a number, or a tuple of its parts."""
        self._sum += math.fsum(map(float, loss)) if isinstance(loss, tuple) else kept_number(loss)
        self._count += 1

    @property
    def count(self) -> int:
        """How many there are."""
        return self._count

    def mean(self) -> float | Tensor | None:
        """Their mean, and none is kept any more; None if there were none."""
        found = self._sum / self._count if self._count else None
        self._sum, self._count = 0.0, 0
        return found


class NoEstimator:
    """Stands for a loss that is a plain function: it builds no traces that we would know of."""

    num_particles = 1

    def _get_trace(self, *_: Any) -> tuple[Trace, Trace]:
        raise NotImplementedError


class ScriptStepper:
    """Takes steps of an SVI and reads them.

    Args:
        svi: what the loop drives.
        options: what is kept of single parameters.
    """

    def __init__(self, svi: SVI, options: RecordingOptions) -> None:
        self._ref = weakref.ref(svi)
        self._optim = svi.optim
        loss = getattr(svi, "loss", None)
        owner = getattr(loss, "__self__", None)
        self._elbo: Any = owner if isinstance(owner, ELBO) else None
        self.initial_params = InitialParams(hooked=False, most=MAX_INITIAL_BYTES)
        """The values that parameters began with, as far as the steps read here have moved them."""
        self.iterates = Iterates()
        """The parameters after each step."""
        self.taken = 0
        """How many steps have been taken."""
        self.failed = ""
        """Why nothing is read any more, in words; empty while all is well."""
        self.unused = Unused()
        self._timer = options.timer
        self._is_own = self._elbo is None and loss is not None
        """Whether the loss is a function of the script's own."""
        self._skims = False
        """Whether the newest step was skimmed."""
        self._reading = 0.0
        """Seconds of the step under way that went into reading it."""
        self._loss_says = traits_of(self._elbo).reports_loss
        self._before = None if self._elbo is None else vars(self._elbo).get("_get_trace")
        self._recorder = StepRecorder(svi.guide, self._elbo or NoEstimator(), options)
        self.params = self._recorder.params
        if self._elbo is not None:
            if self._before is None:
                vars(self._elbo).pop("_get_trace", None)
            self._get_trace = self._hook()

    @property
    def _svi(self) -> SVI:
        svi = self._ref()
        if svi is None:
            raise ReferenceError("the SVI is there no more")
        return svi

    @property
    def optim(self) -> Any:
        """What updates the parameters."""
        return self._optim

    @property
    def elbo(self) -> ELBO | None:
        """The estimator; None if the loss is a plain function."""
        return self._elbo

    @property
    def estimator(self) -> str:
        """Such as `Trace_ELBO, 4 particles`."""
        if self._elbo is not None:
            return describe.estimator(self._elbo)
        svi = self._svi
        loss = getattr(svi, "loss", svi)
        return getattr(loss, "__name__", type(loss).__name__)

    @property
    def optimizer(self) -> str:
        """Such as `Adam, lr 0.02`."""
        return describe.optimizer(self._svi.optim)

    def step(
        self, take: Take, args: Any, kwargs: Any, *, due: bool, between: float | None = None
    ) -> tuple[Any, Any]:
        """Take one step; whatever it raises goes through.

        Args:
            take: the SVI's own `step`.
            args: what it was called with.
            kwargs: the same by name.
            due: whether to take the sums of large parameters.
            between: seconds since the step before; None if they are not known.

        Returns:
            What `step` has returned, and the `Observation`; None if it could not be read.
        """
        if self.failed:
            return take(*args, **kwargs), None
        svi, elbo = self._svi, self._elbo
        self._recorder.begin(due=due)
        if self._skims:
            self._skims = False
            self.initial_params.missed()
        self._reading = 0.0
        self.params.forget()  # Another loop may have moved the parameters since.
        self._optim, svi.optim = svi.optim, self._update
        if elbo is not None:
            elbo._get_trace = self._get_trace
        timer, timed = self._timer, self._timer.on
        if timed:
            timer.begin(between)
        traces = SeenTraces(svi.model, svi.guide) if self._is_own else None
        began = time.perf_counter()
        try:
            with nullcontext() if traces is None else seeing(traces):
                result = take(*args, **kwargs)
        finally:
            ended = time.perf_counter()
            svi.optim = self._optim
            if elbo is not None:
                self._put_back()
        self.taken += 1
        if timed:
            timer.lap(OTHER)
        try:
            if traces is not None:
                self._take_traces(traces)
            seen = self._observation(result, began, ended)
            if timed:
                timer.lap(READING)
                timer.finish()
            return result, seen
        except Exception as error:
            self._fail(error)
            return result, None

    def skimmed(self, result: Any) -> float | Tensor:
        """A step has been taken of which no more is known than what it has returned: the loss."""
        self.taken += 1
        self._skims = True
        if type(result) is float:
            return result
        return math.fsum(map(float, result)) if type(result) is tuple else kept_number(result)

    @property
    def may_skim(self) -> bool:
        """Whether the loss says what there is to say of a step of which no more is read."""
        return self._loss_says and not (self.failed or self.unused.count or self._timer.on)

    def _take_traces(self, traces: SeenTraces) -> None:
        """Read the terms that a loss of the script's own has computed, if they are those of q."""
        pairs, terms = traces.pairs(), self._recorder.terms
        terms.expect(Trace_ELBO(num_particles=len(pairs)) if pairs else NoEstimator())
        for pair in pairs:
            terms.take(*pair)

    def _observation(self, result: Any, began: float, ended: float) -> Observation | None:
        if self.failed:
            return None
        # Without a loss of its own, it returns infinity at each step.
        reports_loss = traits_of(self._elbo).reports_loss
        seen = self._recorder.finish(self.taken, result, began, ended, reports_loss=reports_loss)
        seen.reading = self._reading
        seen.eval_loss = self.unused.mean()
        self.iterates.took(self.taken, self.params.stored, ended - began)
        return seen

    def _update(self, params: Any, *args: Any, **kwargs: Any) -> Any:
        """Read what the optimiser is about to use and to change, and let it."""
        timer, began = self._timer, time.perf_counter()
        if timer.on:
            timer.gradient()
        try:
            self.initial_params.look(own=self.params.own)
            self.params.before_update()
        except Exception as error:
            self._fail(error)
        self._reading += time.perf_counter() - began
        if not timer.on:
            return self._optim(params, *args, **kwargs)
        timer.lap(READING)
        result = self._optim(params, *args, **kwargs)
        timer.lap(OPTIMISER)
        return result

    def _hook(self) -> Callable[..., tuple[Trace, Trace]]:
        """What builds the traces of a step, and reads them."""
        build, take, timer = self._elbo._get_trace, self._recorder.terms.take, self._timer

        def get_trace(*args: Any) -> tuple[Trace, Trace]:
            traces: tuple[Trace, Trace] = timer.traces(build, *args) if timer.on else build(*args)
            began = time.perf_counter()
            try:
                take(*traces)
                if pyro.settings.get("module_local_params"):
                    self.params.note_local(*traces)
            except Exception as error:
                self._fail(error)
            self._reading += time.perf_counter() - began
            if timer.on:
                timer.lap(READING)
            return traces

        return get_trace

    def _put_back(self) -> None:
        if self._before is None:
            del self._elbo._get_trace
        else:
            self._elbo._get_trace = self._before

    def _fail(self, error: Exception) -> None:
        self.failed = f"elbo-tui can read this run no further: {error_text(error)}"
