"""One execution of a scenario's file, and the steps taken with what it has made.

Stepping is, bit for bit, the plain loop: clear the param store, seed 0, execute the file, seed
with the run's seed, make an `SVI`, call `svi.step(*batch(step))` for step 1, 2, …
"""

from __future__ import annotations

import math
import time
from typing import Any

import pyro
import torch
from pyro.infer import ELBO, SVI
from pyro.optim import PyroLRScheduler

from tui_elbo.engine.forked import users_code
from tui_elbo.engine.record.columns import Observation
from tui_elbo.engine.record.estimators import traits_of
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.record.step_recorder import StepRecorder
from tui_elbo.engine.record.timing import BATCH, OPTIMISER, OTHER, READING
from tui_elbo.engine.rewind.checkpoint import (
    Checkpoint,
    capture,
    is_modules,
    living_modules,
    restore,
)
from tui_elbo.engine.scenario import load
from tui_elbo.engine.stock_guides import with_guide
from tui_elbo.model.errors import StepError
from tui_elbo.model.own_settings import Given
from tui_elbo.model.scenarios import ScenarioFile


class Stepper:
    """A scenario executed afresh, standing at step 0.

    Args:
        source: the scenario's file.
        seed: of the run; None: the scenario's own.
        options: what is kept of single parameters.
        text: what to execute in place of what the file says now.
        guide: the stock guide in place of the scenario's own; None: its own.
        given: values of the scenario's own settings.

    Raises:
        ScenarioError: if the file cannot be executed or breaks the contract.
        UsageError: if there is no such guide or setting.
    """

    def __init__(
        self,
        source: ScenarioFile,
        seed: int | None,
        options: RecordingOptions,
        text: bytes | None = None,
        guide: str | None = None,
        *,
        given: Given = (),
    ) -> None:
        self.scenario = scenario = with_guide(load(source, text, given), guide)
        self.seed = scenario.seed if seed is None else seed
        self.taken = 0
        """The newest step that has been taken."""
        self.loss = math.nan
        """Its loss."""
        pyro.set_rng_seed(self.seed)
        self.svi = SVI(scenario.model, scenario.guide, scenario.optimizer, scenario.loss)
        self.estimator = scenario.loss
        """The estimator in use: the scenario's own until another is chosen."""
        self._traits = traits_of(scenario.loss)
        self._recorder = StepRecorder(scenario.guide, scenario.loss, options)
        self.params = self._recorder.params
        self._timer = options.timer
        self._modules: dict[tuple[int, int], list[torch.nn.Module]] = {}
        self.optimizer = scenario.optimizer
        """The optimiser in use: the scenario's own until another is chosen."""
        self.svi.optim = self._update

    @property
    def reports_no_loss(self) -> bool:
        """The estimator's loss means nothing; the run is judged by its terms."""
        return not self._traits.reports_loss

    def use(self, estimator: ELBO) -> None:
        """Step with another estimator from now on."""
        self.estimator, self._traits = estimator, traits_of(estimator)
        self.svi.loss, self.svi.loss_and_grads = estimator.loss, estimator.loss_and_grads
        self._recorder.terms.watch(estimator)

    @users_code()
    def rehearse(self) -> None:
        """Compute the next step's loss and gradients; the caller finds the state again.

        Whatever the estimator or the person's code raises goes through.
        """
        args = self._arguments(self.taken + 1)
        try:
            self.svi.loss_and_grads(self.scenario.model, self.scenario.guide, *args)
        finally:
            self._recorder.terms.begin()

    @users_code()
    def take(self, *, due: bool) -> Observation:
        """Take one step; whatever the person's code raises goes through.

        Args:
            due: whether to take the sums of large parameters.
        """
        step = self.taken + 1
        self._recorder.begin(due=due)
        timer = self._timer
        if timer.on:
            timer.begin()
        args = self._arguments(step)
        if timer.on:
            timer.lap(BATCH)
        began = time.perf_counter()
        loss = self.svi.step(*args)
        ended = time.perf_counter()
        self._schedule(step, loss)
        if timer.on:
            timer.lap(OTHER)
        reports_loss = not self.reports_no_loss
        seen = self._recorder.finish(step, loss, began, ended, reports_loss=reports_loss)
        if timer.on:
            timer.lap(READING)
            timer.finish()
        self.taken = step
        self.loss = math.nan if seen.loss is None else float(seen.loss)
        return seen

    def capture(self) -> Checkpoint:
        """The state after the newest step."""
        modules = self.modules()
        return capture(self.taken, self.loss, self.optimizer, self.estimator, modules)

    def modules(self) -> list[torch.nn.Module]:
        """Every module that there is; looked for once for each set of parameters."""
        key = self.params.version, sum(map(is_modules, self.optimizer.optim_objs))
        if key not in self._modules:
            self._modules[key] = living_modules()
        return self._modules[key]

    def restore(self, checkpoint: Checkpoint) -> bool:
        """Stand where the checkpoint was taken; False, and nothing changed, if that cannot be."""
        if not restore(checkpoint):
            return False
        if checkpoint.estimator is not self.estimator:
            self.use(checkpoint.estimator)
        self.optimizer = checkpoint.optimizer
        self.taken, self.loss = checkpoint.step, checkpoint.loss
        self.params.forget()
        return True

    def _update(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Watch what the optimiser is about to use and to change, and let it."""
        timer = self._timer
        if timer.on:
            timer.gradient()
        self.params.before_update()
        if timer.on:
            timer.lap(READING)
        self.optimizer(params, *args, **kwargs)
        if timer.on:
            timer.lap(OPTIMISER)

    def _arguments(self, step: int) -> tuple[Any, ...]:
        args = self.scenario.batch(step)
        if not isinstance(args, tuple):
            what = f"`batch({step})` must return a tuple, and returned a {type(args).__name__}"
            hint = "for a single argument, write `return (x,)`"
            raise StepError(what, where=str(self.scenario.source.path), hint=hint)
        return args

    def _schedule(self, step: int, loss: Any) -> None:
        scheduler = self.optimizer
        if not isinstance(scheduler, PyroLRScheduler) or step % self.scenario.scheduler_every:
            return
        if scheduler.pt_scheduler_constructor is torch.optim.lr_scheduler.ReduceLROnPlateau:
            scheduler.step(loss)
        else:
            scheduler.step()
