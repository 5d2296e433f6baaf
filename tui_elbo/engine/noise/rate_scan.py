"""Takes short runs from the present state, in a copy of the process, at other learning rates.

Every rate has the same runs: the same batches, the same random numbers. They are compared where
they end, at the lens's fixed draws; the mean over some of their last states is taken, for the last
one alone is an iterate's luck.
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pyro

from tui_elbo.engine.lens import DRAWS, Lens, Settled, State, snapshot
from tui_elbo.engine.lens.attribution import PATIENCE
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.fork import Progress
from tui_elbo.engine.stepper import Stepper
from tui_elbo.engine.tracebacks import message
from tui_elbo.engine.tuning import learning_rate, set_learning_rate
from tui_elbo.model.errors import UsageError
from tui_elbo.model.noise import SECONDS
from tui_elbo.model.rate_scan import FACTORS, RateRow, RateScan, unscanned
from tui_elbo.model.records import Floats

RUNS = 6
"""Of each rate."""

STEPS, LEAST_STEPS = 500, 20
"""Of each run: at most, and at least."""

LONGEST = 4.0
"""A scan of the shortest runs may take so many times as long as was asked for."""

LOOKS = 4
"""States of the last quarter of a run that are looked at."""

TRIAL = 5
"""Steps from which the time of one is known."""


@dataclass(frozen=True, eq=False)
class Scanned:
    """What is scanned: a run at a step."""

    stepper: Stepper
    settled: Settled | None = None
    draws: int | None = None
    """Of the lens; None: its own default."""
    seconds: float = SECONDS
    """How long it may take, about."""
    steps: int | None = None
    """Of each run; None: as many as there is time for."""

    @property
    def patience(self) -> float:
        """Seconds without progress after which a copy is given up."""
        return PATIENCE


class _FailedError(Exception):
    """Why a run with another rate has ended, in words."""


def scan_rates(run: Scanned, progress: Progress = lambda _done, _of: None) -> RateScan:
    """Scan the learning rates; to be called in a copy of the process, which it leaves elsewhere.

    Args:
        run: what is scanned.
        progress: called with what is done, and of how much.
    """
    step = run.stepper.taken
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _Scan(run, progress).result()
        except UsageError as error:
            return unscanned(step, error.what)
        except _FailedError as error:
            return unscanned(step, str(error))


class _Scan:
    def __init__(self, run: Scanned, progress: Progress) -> None:
        self._run, self._progress, self._stepper = run, progress, run.stepper
        self._step = run.stepper.taken
        if not self._step:
            raise UsageError("no step has been taken yet")
        self._rate = learning_rate(run.stepper.optimizer)
        self._before = run.stepper.capture()
        self._lens = Lens(run.stepper.scenario, run.draws or DRAWS, settled=run.settled)
        self._done, self._of = 0, 1

    def result(self) -> RateScan:
        now = self._elbo(snapshot())
        began = time.perf_counter()
        self._elbo(snapshot())
        look = time.perf_counter() - began
        steps = self._length(look)
        self._of = RUNS * len(FACTORS)
        ends: dict[float, list[Floats]] = {factor: [] for factor in FACTORS}
        problems: dict[float, str] = {}
        for number in range(RUNS):
            for factor in FACTORS:
                self._progress(self._done, self._of)
                self._done += 1
                if factor not in problems:
                    try:
                        states = self._states(factor, number, steps)
                        ends[factor].append(np.mean([self._finite(s) for s in states], axis=0))
                    except _FailedError as error:
                        problems[factor] = str(error)
        if 1.0 in problems:
            raise _FailedError(f"with the present rate, {problems[1.0]}")
        present = np.array(ends[1.0])
        rows = [
            RateRow(f, self._rate * f, problem=problems[f])
            if f in problems
            else RateRow(f, self._rate * f, *_difference(np.array(ends[f]) - present))
            for f in FACTORS
        ]
        return RateScan(self._step, steps, RUNS, tuple(rows), *_difference(present - now))

    def _length(self, look: float) -> int:
        """How many steps each run takes."""
        if self._run.steps is not None:
            return self._run.steps
        seconds = self._time_of_step()
        runs = RUNS * len(FACTORS)
        steps = int((self._run.seconds / runs - LOOKS * look) / seconds)
        need = runs * (LEAST_STEPS * seconds + LOOKS * look)
        if need > LONGEST * self._run.seconds:
            raise _FailedError(
                f"{runs} runs of {LEAST_STEPS} steps take {need:.0f} s "
                "(elbo-tui noise --scan --seconds allows for it)"
            )
        return max(LEAST_STEPS, min(steps, STEPS))

    def _time_of_step(self) -> float:
        began = time.perf_counter()
        self._states(1.0, 0, TRIAL)
        return max((time.perf_counter() - began) / TRIAL, 1e-6)

    def _states(self, factor: float, number: int, steps: int) -> list[State]:
        """Run, and give the states to look at.

        Raises:
            _FailedError: if a step raises, or its loss is not finite.
        """
        stepper = self._stepper
        if not stepper.restore(self._before):
            raise _FailedError("the state of the run cannot be found again")
        if factor != 1.0:
            set_learning_rate(stepper.optimizer, factor * self._rate)
        pyro.set_rng_seed(SEED + number)
        at = {steps - (steps // 4) * i // LOOKS for i in range(LOOKS)}
        states = []
        for step in range(1, steps + 1):
            try:
                stepper.take(due=False)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise _FailedError(f"step {step} fails: {message(error)}") from error
            if not (math.isfinite(stepper.loss) or stepper.reports_no_loss):
                raise _FailedError(f"the loss is not finite at step {step}")
            if step in at:
                states.append(snapshot())
        return states

    def _elbo(self, state: State) -> Floats:
        units: Floats = self._lens.see(state).reading.units[2]
        return units

    def _finite(self, state: State) -> Floats:
        try:
            units = self._elbo(state)
        except Exception as error:
            raise _FailedError(f"the lens cannot look at its end: {message(error)}") from error
        if not np.isfinite(units).all():
            raise _FailedError("the ELBO is not finite at its end")
        return units


def _difference(units: Floats) -> tuple[float, float]:
    """The mean of differences, shape (runs, units of the lens), with its standard error."""
    runs, draws = units.shape
    by_run, by_draw = units.mean(1), units.mean(0)
    luck = by_run.var(ddof=1) / runs * (runs - 1) / (runs - 3)
    seen = by_draw.var(ddof=1) / draws if draws > 1 else 0.0
    return float(units.mean()), math.sqrt(luck + seen)
