"""One run of SVI: load, step, restart. Watching it changes nothing.

A session's run is, bit for bit, the run of the plain loop: clear the param store, seed 0, execute
the file, seed with the run's seed, make an `SVI`, call `svi.step(*batch(step))` for step 1, 2, …
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyro
import torch
from pyro.infer import SVI, TraceTailAdaptive_ELBO
from pyro.optim import PyroLRScheduler

from tui_elbo.engine.blame import place, trimmed
from tui_elbo.engine.collector import Collector, Observation
from tui_elbo.engine.due import Always, Due
from tui_elbo.engine.loading import Scenario, load
from tui_elbo.engine.params import ParamWatch
from tui_elbo.engine.suspects import Suspects
from tui_elbo.engine.terms import TermWatch
from tui_elbo.errors import StepError, UsageError
from tui_elbo.records import Batch, StepRecord
from tui_elbo.scenario import find

Tell = Callable[[str], object]


@dataclass(frozen=True)
class NonFinite:
    """A step whose loss is not finite. The step is taken and recorded."""

    step: int
    loss: float
    suspect: str
    """The first bad site or parameter, in words; empty when none is known to be."""

    def __str__(self) -> str:
        tail = f": {self.suspect}" if self.suspect else ""
        return f"the loss is {self.loss} at step {self.step}{tail}"


class Session:
    """A scenario and its run, standing at a step.

    Args:
        target: a gallery name, a path or a module name.
        seed: of the run; None: the scenario's own.
        threads: torch's threads; the numbers of a run depend on them.
        device: torch's default device; None leaves it alone.
        warn: is told what the person should know and no error says.
        busy: is told what takes its time, such as "running 412 steps again".

    Raises:
        UsageError: if there is no such scenario, or no such device.
        ScenarioError: if it cannot be executed or breaks the contract.
    """

    def __init__(
        self,
        target: str,
        *,
        seed: int | None = None,
        threads: int = 1,
        device: str | None = None,
        warn: Tell = id,
        busy: Tell = id,
    ) -> None:
        warm_up()
        torch.set_num_threads(threads)
        if device is not None:
            set_device(device)
        self.source = find(target)
        self.due: Due = Always()
        """When to take the sums of large parameters; replaced by whoever runs the session."""
        self.stepping = False
        """True while the person's own code may be running."""
        self.non_finite: NonFinite | None = None
        """Set when the newest step's loss is not finite; the run goes on if told to."""
        self._ready: list[Batch] = []
        self._asked_seed, self._warn, self._busy, self._layouts = seed, warn, busy, 0
        self.restart()

    def restart(self) -> None:
        """Execute the file afresh and stand at step 0.

        Raises:
            ScenarioError: as when it was loaded first; the session then cannot step.
        """
        self._load()
        self._begin()
        self._failed: _Failed | None = None

    @property
    def steps_taken(self) -> int:
        """The step at which the run stands."""
        return self._failed.step if self._failed else self._taken

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.scenario.seed if self._asked_seed is None else self._asked_seed

    def step(self) -> StepRecord:
        """Take one step.

        Raises:
            StepError: if the person's code raised; the run stays at the step before.
        """
        self.due = Always()
        return self.advance(1)[-1].records()[-1]

    def advance(self, steps: int, seconds: float = math.inf) -> list[Batch]:
        """Take up to so many steps, for up to so many seconds, and at least one.

        Stops on a step whose loss is not finite, and says so in `non_finite`.

        Raises:
            StepError: if the person's code raised. The steps before it are returned by `flush`.
            KeyboardInterrupt: likewise.
        """
        if self._failed is not None:
            self._retrace(self._failed)
        end = time.perf_counter() + seconds
        for _ in range(steps):
            self._take_step()
            if self.non_finite is not None or self._judged_by_terms or time.perf_counter() > end:
                break
        return self.flush()

    def flush(self) -> list[Batch]:
        """The steps that were taken and have not been returned yet."""
        self._collect()
        ready, self._ready = self._ready, []
        if self.non_finite is not None:
            self.non_finite = replace(self.non_finite, suspect=self._suspects.first)
        elif self._judged_by_terms and self._suspects.step is not None:
            self.non_finite = NonFinite(self._suspects.step, math.nan, self._suspects.first)
        return ready

    def _collect(self) -> None:
        batches = self._collector.flush()
        for batch in batches:
            self._suspects.look(batch)
        self._ready += batches

    def _load(self) -> None:
        self.stepping = True
        try:
            self.scenario: Scenario = load(self.source)
        finally:
            self.stepping = False

    def _begin(self) -> None:
        scenario = self.scenario
        pyro.set_rng_seed(self.seed)
        self.svi = SVI(scenario.model, scenario.guide, scenario.optimizer, scenario.loss)
        self._terms = TermWatch(scenario.loss, self._warn)
        self._params = ParamWatch(
            scenario.guide, self._terms.model_params, self._terms.guide_params
        )
        optimizer, watch = self.svi.optim, self._params

        def watched(params: Any, *args: Any, **kwargs: Any) -> None:
            watch.before_update()
            optimizer(params, *args, **kwargs)

        self.svi.optim = watched
        self._collector = Collector(self._terms, self._params, self._layouts)
        self._judged_by_terms = isinstance(scenario.loss, TraceTailAdaptive_ELBO)
        self._suspects = Suspects()
        self._ready = []
        self.non_finite = None
        self._taken, self._last_loss = 0, math.nan

    def _take_step(self) -> None:
        step = self._taken + 1
        due = self.due.at(step)
        self._terms.begin()
        self._params.begin(due=due)
        try:
            self.stepping = True
            args = self._arguments(step)
            began = time.perf_counter()
            loss = self.svi.step(*args)
            ended = time.perf_counter()
            self._schedule(step, loss)
        except BaseException as error:
            self._failed = self._failed or _Failed(self._taken, self._last_loss)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise self._told(error, step) from error
        finally:
            self.stepping = False
        parts = tuple(float(part) for part in loss) if isinstance(loss, tuple) else ()
        number = math.fsum(parts) if parts else float(loss)
        bad = not math.isfinite(number) and not self._judged_by_terms
        self.non_finite = NonFinite(step, number, "") if bad else None
        if self._judged_by_terms:
            number = math.nan
        seen = Observation(
            step, number, parts, ended - began, self._terms.finish(), self._params.finish()
        )
        self.due.took(time.perf_counter() - ended if due else 0.0, ended - began)
        self._collector.add(seen)
        self._taken, self._last_loss = step, number

    def _arguments(self, step: int) -> tuple[Any, ...]:
        args = self.scenario.batch(step)
        if not isinstance(args, tuple):
            what = f"`batch({step})` must return a tuple, and returned a {type(args).__name__}"
            todo = "for a single argument, write `return (x,)`"
            raise StepError(what, where=str(self.source.path), todo=todo)
        return args

    def _schedule(self, step: int, loss: Any) -> None:
        scheduler = self.scenario.optimizer
        if not isinstance(scheduler, PyroLRScheduler) or step % self.scenario.scheduler_every:
            return
        if scheduler.pt_scheduler_constructor is torch.optim.lr_scheduler.ReduceLROnPlateau:
            scheduler.step(loss)
        else:
            scheduler.step()

    def _told(self, error: BaseException, step: int) -> StepError:
        stays = f"the run stays at step {step - 1}"
        if isinstance(error, StepError):
            return StepError(error.what, where=error.where, todo=f"{error.todo}; {stays}")
        what = f"step {step} raised {type(error).__name__}: {error}".removesuffix(": ")
        if isinstance(error, SystemExit):
            what = f"step {step} called sys.exit({error.code!r})"
        self._collect()
        if self._suspects.first:
            what += f" ({self._suspects.first})"
        where = place(error, self.source.own) or str(self.source.path)
        return StepError(what, where=where, todo=stays, trace=trimmed(error))

    def _retrace(self, failed: _Failed) -> None:
        """Find again the state from which the failed step began, by running the same steps anew.

        A failed step leaves random state and lazily made things behind; nothing of them is saved
        at each step, since that would cost every step.
        """
        self._busy(f"running steps 1 to {failed.step} again, to stand where step {failed.step} did")
        self._layouts = self._collector.next_layout
        self._load()
        self._begin()
        while self._taken < failed.step:
            self._take_step()
            self._collector.flush()
        self._failed = None
        if failed.step and not _same(self._last_loss, failed.loss):
            self._warn(
                f"run again, step {failed.step} gave loss {self._last_loss!r} and not "
                f"{failed.loss!r}: the scenario keeps state of its own, or its file has changed "
                "(R reloads it)"
            )


@dataclass(frozen=True)
class _Failed:
    """A step has failed, and what stands in memory is not the state of any step."""

    step: int
    """The last good step."""
    loss: float
    """Its loss."""


def warm_up() -> None:
    """Import what torch imports at the first optimiser: most of a second, better spent early."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def set_device(device: str) -> None:
    """Make it torch's default device.

    Raises:
        UsageError: if torch cannot put a tensor there.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"torch cannot use this device: {reason}", where=device) from error
    torch.set_default_device(device)
