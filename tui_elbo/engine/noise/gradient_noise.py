"""Measures, in a copy of the process, the noise of the gradient with each estimator that fits.

The settings take turns: each round takes some gradients with every one of them, so whatever slows
the machine down slows them all. The error of noise² × time comes from the scatter over rounds.
Where the data are chosen at random, each choice is used for two gradients: their difference has
the noise of the draws alone.

References:
    Roeder, Wu, Duvenaud (2017), Sticking the Landing; Geffner, Domke (2018), Using large ensembles
    of control variates for variational inference: variance × time as the cost of a gradient.
"""

from __future__ import annotations

import copy
import itertools
import math
import random
import statistics
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyro
import torch
from pyro.infer import ELBO

from tui_elbo.engine.compat.pyro import set_trace_builder
from tui_elbo.engine.lens import Lens, Settled, isolated, snapshot, with_params
from tui_elbo.engine.lens.attribution import PATIENCE, Attribution
from tui_elbo.engine.lens.batches import SEED, step_batches
from tui_elbo.engine.lens.fork import Progress, cuda_in_use, why_no_fork
from tui_elbo.engine.lens.inspect_model import NO_BROADCAST
from tui_elbo.engine.lens.subject import Followed, Subject
from tui_elbo.engine.noise.gradients import FixedSubsamples, leaves, taken_gradient
from tui_elbo.engine.record.estimators import estimators
from tui_elbo.engine.tracebacks import message
from tui_elbo.engine.tuning import set_particles
from tui_elbo.model.noise import SECONDS, NoiseRow, NoiseTable, unmeasured
from tui_elbo.model.records import Floats

NAMES = ("Trace_ELBO", "TraceMeanField_ELBO", "TraceGraph_ELBO", "TraceEnum_ELBO")
"""The estimators that are compared; the first is right for every model without enumeration."""

PARTICLES = (1, 10, 100)

DRAWS = 32
"""Of the lens, which finds out whether the model broadcasts."""

ROUNDS, LEAST_ROUNDS = 30, 6
"""How often all settings take their turn, and how often at least for an error to be known."""

TIMED_SHARE = 0.25
"""Of the time, what goes to settings of which only the time is measured."""

LEAST_TIMED = 3
"""So many of their gradients at least are timed."""

MOST_EACH = 256
"""Gradients of a setting in a round."""

MOST_ELEMENTS = 2**18
"""Of so many elements of the gradient at most the noise is measured; of larger ones, of a part."""

UPDATES = 8
"""Updates whose time is measured."""

TWIN_TRIALS, TWIN_ROUNDING = 4, 1e-4
"""Two estimators are the same that agree so often, up to this share of the largest
element of each parameter."""

RESAMPLES = 400

FALSE_ALARM = 0.001
"""The probability that noise alone makes some setting of a table look biased."""

ROUNDING = 1e-4
"""By so much of its size an element of the mean gradient may differ: single precision."""

NO_NOISE = 1e-12
"""A variance below this share of the squared gradient is rounding."""

MOST_PARAMS = 500
"""So many parameters are listed one by one, those with the most noise."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What is measured: a run at a step."""

    scenario: Subject
    estimator: ELBO
    """The one in use."""
    optimizer: Any
    """Its update is part of a step; None: that is left out."""
    step: int
    settled: Settled | None = None
    """How the lens draws; None if it has not looked yet."""
    seconds: float = SECONDS
    """How long it may take, about."""
    gradients: int | None = None
    """Of each setting, however long that takes; None: as many as there is time for."""
    particles: tuple[int, ...] = PARTICLES

    @property
    def patience(self) -> float:
        """Seconds without progress after which a copy that measures is given up."""
        return PATIENCE + self.seconds


def measured_run(run: Followed, attribution: Attribution, seconds: float = SECONDS) -> Measured:
    """A run as it stands now, to be measured in a copy of the process.

    Args:
        run: the run.
        attribution: that follows it.
        seconds: how long it may take, about.
    """
    return Measured(
        scenario=run.scenario,
        estimator=run.estimator,
        optimizer=run.optimizer,
        step=run.steps_taken,
        settled=attribution.settled_or_none,
        seconds=seconds,
    )


def gradient_noise(run: Measured, progress: Progress = lambda _done, _of: None) -> NoiseTable:
    """The noise table of a run where it stands; to be called in a copy of its process.

    Args:
        run: what is measured.
        progress: called with what is done, and of how much.
    """
    with isolated(), warnings.catch_warnings(), _gradients_kept():
        warnings.simplefilter("ignore")
        pyro.set_rng_seed(SEED)
        try:
            return _Measurement(run, progress).table()
        except _CannotMeasureError as error:
            return unmeasured(run.step, str(error))


class _CannotMeasureError(Exception):
    """Why nothing can be measured, in words."""


@contextmanager
def _gradients_kept() -> Iterator[None]:
    """The `.grad` of each parameter is put back."""
    params = dict(pyro.get_param_store().named_parameters())
    kept = {name: leaf.grad for name, leaf in params.items()}
    for leaf in params.values():
        leaf.grad = None
    try:
        with torch.enable_grad():
            yield
    finally:
        for name, leaf in params.items():
            leaf.grad = kept[name]


@dataclass(eq=False)
class _Setting:
    """One estimator with a number of particles, and what has been measured of it."""

    name: str
    elbo: ELBO
    present: bool = False
    problem: str = ""
    estimate: float = math.nan
    """Seconds of one gradient, as first seen."""
    each: int = 0
    """How many gradients it takes in a round; 0: it is timed alone, now and then."""
    base: _Setting | None = None
    """The setting that its noise follows from: one particle of the same estimator, or an estimator
    that gives the same gradient draw by draw."""
    twin: bool = False
    """Whether it gives the same gradient as its base."""
    taken: int = 0
    bad: int = 0
    """Gradients that were not finite."""
    total: Floats = field(default_factory=lambda: np.zeros(0))
    """The sum of the units less the centre, shape (elements,); a unit is a gradient, or the mean of
    the two of one choice of data."""
    squares: Floats = field(default_factory=lambda: np.zeros(0))
    units: int = 0
    # Of each round, shape (params,): as many times the variance of a unit as there are units, and
    # the same for the two gradients of one choice of data; the number of units; seconds a gradient.
    spread: list[Floats] = field(default_factory=list)
    within: list[Floats] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def particles(self) -> int:
        return int(self.elbo.num_particles)

    @property
    def vectorized(self) -> bool:
        return bool(self.elbo.vectorize_particles) and self.particles > 1


class _Measurement:
    def __init__(self, run: Measured, progress: Progress) -> None:
        self._run, self._progress = run, progress
        self._model, self._guide = run.scenario.model, run.scenario.guide
        self._began = time.monotonic()
        self._random = random.Random(SEED)
        self._clock = time.perf_counter if cuda_in_use() else time.process_time
        self._batch_times: list[float] = []
        self._update = 0.0
        self._set_up()
        self._lens = self._look()
        self._minibatches = len(step_batches(run.scenario).batches) > 1
        self._subsampled = self._lens.kind.subsampled
        self._settings = self._candidates()

    # Before the first round.

    def _set_up(self) -> None:
        """Have the guide make its parameters; find out whether a gradient can be had at all."""
        try:
            self._estimator(self._run.estimator).loss_and_grads(
                self._model, self._guide, *self._next_batch()
            )
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _CannotMeasureError(f"the next step fails: {message(error)}") from error
        self._names = [n for n, leaf in leaves() if leaf.requires_grad and not leaf.is_complex()]
        self._names = [name for name in self._names if dict(leaves())[name].numel()]
        if not self._names:
            raise _CannotMeasureError("there is no parameter that an optimiser could move")
        params = dict(leaves())
        sizes = [params[name].numel() for name in self._names]
        every = -(-sum(sizes) // MOST_ELEMENTS)
        starts = np.cumsum([0, *sizes])
        parts = [torch.arange(a, b, every) for a, b in itertools.pairwise(starts)]
        self._chosen = torch.cat(parts) if every > 1 else None
        self._edges = np.cumsum([0, *(len(part) for part in parts)])[:-1]
        self._elements = sum(len(part) for part in parts)
        self._scale = np.array([n / len(p) for n, p in zip(sizes, parts, strict=True)])
        self._centre = np.zeros(self._elements)

    def _look(self) -> Lens:
        lens = Lens(self._run.scenario, DRAWS, settled=self._run.settled)
        try:
            with isolated():
                lens.see()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _CannotMeasureError(f"the lens cannot look: {message(error)}") from error
        return lens

    def _estimator(self, elbo: ELBO) -> ELBO:
        """A copy that nobody watches."""
        copied = copy.copy(elbo)
        set_trace_builder(copied, None)
        return copied

    def _candidates(self) -> list[_Setting]:
        own, kind = self._run.estimator, self._lens.kind
        present = _Setting(type(own).__name__, self._estimator(own), present=True)
        found = [present]
        for name in NAMES:
            if kind.summed_out and name != "TraceEnum_ELBO":
                continue
            kinds = [(1, own.vectorize_particles)]
            more = self._run.particles[1:]
            kinds += [(n, True) for n in more if self._lens.broadcasts]
            kinds += [(n, False) for n in more]
            for particles, vectorized in kinds:
                made = _Setting(name, self._made(name, particles, vectorized=vectorized))
                if not any(_same(made, other) for other in found):
                    found.append(made)
        found.sort(key=lambda one: (one.name not in NAMES, _place(one.name)))
        return found

    def _made(self, name: str, particles: int, *, vectorized: bool) -> ELBO:
        own = self._run.estimator
        if type(own) is estimators()[name]:
            copied = self._estimator(own)
            set_particles(copied, particles, vectorize=vectorized)
            return copied
        return estimators()[name](num_particles=particles, vectorize_particles=vectorized)

    # Gradients.

    def _next_batch(self) -> tuple[Any, ...]:
        """The arguments of a step chosen at random; of the next one where all are alike."""
        scenario = self._run.scenario
        step = self._random.randint(1, max(scenario.steps, 1))
        began = time.perf_counter()
        args: tuple[Any, ...] = scenario.batch(step)
        self._batch_times.append(time.perf_counter() - began)
        return args

    def _gradient(self, setting: _Setting, args: tuple[Any, ...]) -> tuple[Floats, float]:
        """The elements that are looked at, and the seconds that the gradient took."""
        began = self._clock()
        setting.elbo.loss_and_grads(self._model, self._guide, *args)
        if cuda_in_use():
            torch.cuda.synchronize()
        seconds = self._clock() - began
        params = dict(leaves())
        parts = [taken_gradient(params[name]) for name in self._names]
        flat = torch.cat(parts)
        if self._chosen is not None:
            flat = flat[self._chosen]
        return flat.double().cpu().numpy(), seconds

    def _try(self, setting: _Setting) -> None:
        """Take two gradients: the first sets things up, the second is timed."""
        args = self._next_batch()
        try:
            for _ in range(2):
                gradient, setting.estimate = self._gradient(setting, args)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            setting.problem = message(error)
            for _, leaf in leaves():
                leaf.grad = None
            return
        if setting.present and np.isfinite(gradient).all():
            self._centre = gradient

    def _units(self, count: int) -> Iterator[tuple[tuple[Any, ...], AbstractContextManager[Any]]]:
        """Of each choice of data the arguments, and what fixes the model's own choice."""
        for _ in range(count):
            fixed = FixedSubsamples() if self._subsampled else nullcontext()
            yield self._next_batch(), fixed

    @property
    def _chooses(self) -> bool:
        return self._minibatches or self._subsampled

    # The rounds.

    def table(self) -> NoiseTable:
        self._plan()
        end = self._began + self._run.seconds
        self._measure_update()
        rounds = 0
        while rounds < LEAST_ROUNDS or self._goes_on(rounds, end):
            self._round(rounds)
            rounds += 1
        return self._result()

    def _goes_on(self, rounds: int, end: float) -> bool:
        return time.monotonic() < end if self._run.gradients is None else rounds < ROUNDS

    def _plan(self) -> None:
        """Try each setting, and decide how many gradients it takes in a round."""
        settings = self._settings
        present = next(one for one in settings if one.present)
        self._try(present)
        if present.problem:
            raise _CannotMeasureError(f"the next step fails: {present.problem}")
        seconds = self._run.seconds
        counted = self._run.gradients is not None
        if LEAST_ROUNDS * 2 * present.estimate > seconds / 2 and not counted:
            need = LEAST_ROUNDS * 2 * present.estimate * 2 * len(NAMES)
            raise _CannotMeasureError(
                f"one gradient takes {present.estimate:.1f} s: allow about {need:.0f} s for it "
                "(elbo-tui noise --seconds)"
            )
        singles = {one.name: one for one in settings if one.particles == 1}
        for one in settings:
            if one is present:
                continue
            self._tell()
            single = singles.get(one.name)
            derives = one.particles > 1 and not one.vectorized and single is not None
            if derives and not (self._minibatches and self._subsampled):
                one.base = single
            if single is not None and single.problem and one is not single:
                one.problem = single.problem
            elif single is not None and one is not single and not one.vectorized:
                one.estimate = one.particles * single.estimate  # Tried only where it fits.
            else:
                self._try(one)
                self._find_twin(one)
        for one in settings:
            if one.base is not None and one.base.base is not None:
                one.base = one.base.base  # One particle of an estimator that has a twin itself.
        self._share()

    def _find_twin(self, one: _Setting) -> None:
        """See whether it gives the gradient of the first estimator that is compared, or of the
        present one, at the same random numbers: then it has the same noise.
        """
        for other in self._settings:
            alike = other.particles == one.particles and other.vectorized == one.vectorized
            if other is one or other.problem or one.problem or not alike or other.base is not None:
                continue
            if other.present or other.name == NAMES[0]:
                if all(self._agree(one, other, SEED + trial) for trial in range(TWIN_TRIALS)):
                    one.base, one.twin = other, True
                return

    def _agree(self, one: _Setting, other: _Setting, seed: int) -> bool:
        args, found = self._next_batch(), []
        for setting in (one, other):
            pyro.set_rng_seed(seed)
            found.append(self._gradient(setting, args)[0])
        largest = np.maximum.reduceat(np.abs(found[0]), self._edges) + 1e-30
        apart = np.maximum.reduceat(np.abs(found[0] - found[1]), self._edges)
        return bool((apart <= TWIN_ROUNDING * largest).all())

    def _share(self) -> None:
        """Give each setting its part of the time; those that do not fit are left out."""
        if self._run.gradients is not None:
            each = 2 * max(self._run.gradients // (2 * ROUNDS), 1)
            for one in self._settings:
                one.each = each
            self._round_budget = 0.0
            return
        left = self._run.seconds - (time.monotonic() - self._began)
        left = max(left, 0.3 * self._run.seconds)
        timed = [one for one in self._settings if one.base is not None and not one.problem]
        budget = TIMED_SHARE * left / max(len(timed), 1)
        for one in timed:
            if LEAST_TIMED * one.estimate > budget:
                self._leave_out(one)
        sampled = [one for one in self._settings if one.base is None and not one.problem]
        sampled.sort(key=lambda one: (not one.present, one.estimate))
        share = (1 - TIMED_SHARE) * left
        while len(sampled) > 1:
            part = share / len(sampled) / LEAST_ROUNDS
            worst = sampled[-1]
            if worst.present or 2 * worst.estimate <= part:
                break
            self._leave_out(sampled.pop())
        part = share / len(sampled) / ROUNDS
        for one in sampled:
            weight = 2 if one.present else 1
            one.each = 2 * int(min(max(weight * part / (2 * one.estimate + 1e-6), 1), MOST_EACH))
        self._round_budget = budget / ROUNDS

    def _leave_out(self, one: _Setting) -> None:
        one.problem = f"did not fit into {self._run.seconds:g} s"

    def _measure_update(self) -> None:
        """The time of an update, with the gradients of a step."""
        if self._run.optimizer is None or why_no_fork():
            return
        present = next(one for one in self._settings if one.present)
        times = []
        try:
            with with_params(snapshot()):
                present.elbo.loss_and_grads(self._model, self._guide, *self._next_batch())
                moved = {leaf for _, leaf in leaves() if leaf.grad is not None}
                for _ in range(UPDATES):
                    began = self._clock()
                    self._run.optimizer(moved)
                    times.append(self._clock() - began)
        except Exception:
            times = []
        for _, leaf in leaves():
            leaf.grad = None
        self._update = statistics.median(times) if times else 0.0

    def _round(self, number: int) -> None:
        order = [one for one in self._settings if not one.problem]
        at = number % max(len(order), 1)
        for one in order[at:] + order[:at]:
            self._tell()
            try:
                if one.base is None:
                    self._sample(one)
                else:
                    self._time(one, number)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                one.problem = message(error)
                for _, leaf in leaves():
                    leaf.grad = None

    def _time(self, one: _Setting, number: int) -> None:
        """One gradient, in as many of the rounds as there is time for."""
        every = max(math.ceil(one.estimate / (self._round_budget + 1e-9)), 1)
        every = min(every, LEAST_ROUNDS // LEAST_TIMED) if number < LEAST_ROUNDS else every
        if number % every:
            one.times.append(math.nan)
            return
        _, seconds = self._gradient(one, self._next_batch())
        one.taken += 1
        one.times.append(seconds)

    def _sample(self, one: _Setting) -> None:
        """Take its gradients of a round."""
        pairs, seconds, within = [], 0.0, np.zeros(len(self._names))
        for args, fixed in self._units(one.each // 2):
            pair = []
            for _ in range(2):
                with fixed:
                    gradient, took = self._gradient(one, args)
                seconds += took
                pair.append(gradient - self._centre)
            pairs.append(pair)
        rows = np.array(pairs)
        one.taken += one.each
        finite = np.isfinite(rows).all(axis=(1, 2))
        one.bad += 2 * int((~finite).sum())
        if one.bad:
            one.problem = f"{one.bad} of {one.taken} gradients are not finite"
            return
        if self._chooses:
            within = self._by_param(0.5 * np.square(rows[:, 0] - rows[:, 1]).sum(0))
            rows = rows.mean(1)
        else:
            rows = rows.reshape(-1, self._elements)
        one.spread.append(self._by_param(_spread(one, rows)))
        if not one.units:
            one.total, one.squares = np.zeros(self._elements), np.zeros(self._elements)
        one.total += rows.sum(0)
        one.squares += np.square(rows).sum(0)
        one.units += len(rows)
        one.within.append(within)
        one.counts.append(len(rows))
        one.times.append(seconds / one.each)

    def _by_param(self, squares: Floats) -> Floats:
        found: Floats = np.add.reduceat(squares, self._edges) * self._scale
        return found

    def _tell(self) -> None:
        done = (time.monotonic() - self._began) / self._run.seconds
        self._progress(min(int(100 * done), 99), 100)

    # What comes of it.

    def _result(self) -> NoiseTable:
        rounds = max((len(one.times) for one in self._settings if not one.problem), default=0)
        generator = np.random.default_rng(SEED)
        which = generator.integers(0, rounds, (RESAMPLES, rounds))
        counts = np.array([np.bincount(row, minlength=rounds) for row in which], dtype=float)
        batch = statistics.median(self._batch_times) if self._minibatches else 0.0
        self._fixed_seconds = batch + self._update
        for one in self._settings:
            if not one.problem and np.isfinite(one.times).sum() < LEAST_TIMED:
                self._leave_out(one)
            if one.base is not None and one.base.problem and not one.problem:
                one.problem = one.base.problem
        rows, by_param, costs = [], [], []
        for one in self._settings:
            row, parts, cost = self._row(one, which, counts)
            rows.append(row)
            by_param.append(parts)
            costs.append(cost)
        present = next(place for place, row in enumerate(rows) if row.present)
        comparable = rows[present].estimator.removeprefix("Jit") in NAMES
        base = present
        if not comparable:
            first = (p for p, row in enumerate(rows) if row.estimator in NAMES and not row.problem)
            base = next(first, present)
        # Student's t at three standard errors, about: of few rounds the error is uncertain.
        few = 1 + 4 / (rounds - 2)
        pairs = zip(rows, costs, strict=True)
        rows = [_relative(row, cost, costs[base], few) for row, cost in pairs]
        rows = _with_bias(rows, self._settings, self._biases())
        order = [i for i, _ in enumerate(self._names)]
        values = np.array(by_param)
        if len(order) > MOST_PARAMS:
            noisiest = np.argsort(-np.nan_to_num(values[present]), kind="stable")[:MOST_PARAMS]
            order = sorted(int(i) for i in noisiest)
        return NoiseTable(
            step=self._run.step,
            rows=tuple(rows),
            base=base,
            params=tuple(self._names[i] for i in order),
            by_param=values[:, order],
            remarks=tuple(self._remarks(rows)),
            advises=comparable,
        )

    def _row(
        self, one: _Setting, which: Any, counts: Floats
    ) -> tuple[NoiseRow, Floats, tuple[float, Floats]]:
        """The row without its cost; the noise of each parameter; noise² × time, and resampled."""
        none = np.full(len(self._names), math.nan)
        row = NoiseRow(one.name, one.particles, one.vectorized, one.present, one.problem)
        if one.problem:
            return row, none, (math.nan, none)
        times = np.array(one.times)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            middles = np.nanmedian(times[which], axis=1)
        seconds = float(np.nanmedian(times)) + self._fixed_seconds
        draw, batch = self._variances(one, np.ones((1, len(times))))
        draws, batches = self._variances(one, counts)
        value = float((draw + batch).sum()) * seconds
        resampled = (draws + batches).sum(1) * (middles + self._fixed_seconds)
        row = replace(
            row,
            noise=math.sqrt((draw + batch).sum()),
            draw_noise=math.sqrt(draw.sum()),
            batch_noise=math.sqrt(batch.sum()) if self._chooses else math.nan,
            seconds=seconds,
            gradients=0 if one.base is not None else one.taken,
        )
        return row, np.sqrt((draw + batch)[0]), (value, resampled)

    def _variances(self, one: _Setting, counts: Floats) -> tuple[Floats, Floats]:
        """The variance by draws and that by the choice of data, shape (resamples, params) each."""
        if one.base is not None:
            draw, batch = self._variances(one.base, counts)
            times = one.particles / one.base.particles
            return draw / times, batch / (times if self._subsampled else 1)
        units = counts @ np.array(one.counts, dtype=float)[:, None]
        variance = counts @ np.array(one.spread) / units
        size = self._by_param(np.square(self._centre + one.total / one.units))
        variance = np.where(variance <= NO_NOISE * size, 0.0, variance)
        if not self._chooses:
            return variance, np.zeros_like(variance)
        draw = counts @ np.array(one.within) / units
        draw = np.where(draw <= NO_NOISE * size, 0.0, draw)
        return draw, np.maximum(variance - draw / 2, 0.0)

    def _biases(self) -> dict[int, tuple[float, float, bool]]:
        """Of each setting that was sampled, by identity, its bias with error and significance."""
        sampled = [one for one in self._settings if one.base is None and one.units > 1]
        sampled = [one for one in sampled if not one.problem]
        means = {id(one): one.total / one.units for one in sampled}
        errors = {id(one): self._error(one) for one in sampled}
        trials = max(self._elements * len(sampled), 1)
        limit = statistics.NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * trials))

        def apart(one: _Setting, others: Sequence[_Setting]) -> tuple[float, float, bool]:
            weights = [1 / (errors[id(o)].sum() + 1e-300) for o in others]
            total = sum(weights)
            mean = sum(w * means[id(o)] for w, o in zip(weights, others, strict=True)) / total
            error = sum(w**2 * errors[id(o)] for w, o in zip(weights, others, strict=True))
            variance = errors[id(one)] + error / total**2
            difference = means[id(one)] - mean
            found = bool((np.abs(difference) > limit * np.sqrt(variance)).any())
            noise = float(variance.sum())
            square = float(np.square(difference).sum())
            return math.sqrt(max(square - noise, 0.0)), math.sqrt(noise), found

        trusted: list[_Setting] = []
        anchors = [one for one in sampled if one.name == NAMES[0]] or [
            one for one in sampled if one.name == NAMES[-1]
        ]
        for one in anchors:
            if not trusted or not apart(one, trusted)[2]:
                trusted.append(one)
        if not trusted:
            return {}
        trusted += [
            one for one in sampled
            if one.name in NAMES and one not in anchors and not apart(one, trusted)[2]
        ]  # fmt: skip
        found = {}
        for one in sampled:
            others = [other for other in trusted if other is not one]
            if others:
                found[id(one)] = apart(one, others)
        return found

    def _error(self, one: _Setting) -> Floats:
        """The variance of each element of its mean, that of rounding included."""
        mean = one.total / one.units
        variance = np.maximum(one.squares / one.units - np.square(mean), 0.0)
        rounding = ROUNDING * np.maximum(np.abs(self._centre + mean), np.sqrt(variance))
        found: Floats = variance / max(one.units - 1, 1) + np.square(rounding) + 1e-30
        return found

    def _remarks(self, rows: Sequence[NoiseRow]) -> Iterator[str]:
        kind = self._lens.kind
        if kind.latents and len(kind.points) == len(kind.latents):
            yield "the guide is a point: there is no noise of draws"
        elif kind.fixed:
            yield (
                f'no gradient goes through the draws of site "{kind.fixed[0]}": its gradient is a '
                "score-function estimate"
            )
        if not self._lens.broadcasts:
            yield f"particles are not vectorised: {self._lens.note or NO_BROADCAST}"
        if kind.summed_out:
            yield "a discrete site is summed out, which TraceEnum_ELBO alone does"
        if self._chosen is not None:
            yield f"the noise is that of {self._elements:,} elements, scaled to all"
        if any(one.base is not None and not one.twin and not one.problem for one in self._settings):
            yield "the noise of particles one by one follows from that of one particle"
        twins = dict.fromkeys(one.name for one in self._settings if one.twin and not one.problem)
        if twins:
            first = next(one.base.name for one in self._settings if one.twin and one.base)
            yield f"the same gradient as {first}, draw by draw: {', '.join(twins)}"
        if any(row.biased for row in rows):
            yield "!: the mean gradient differs from that of the others by more than noise"
        present = next(one for one in self._settings if one.present)
        rounds = len(present.times)
        yield (
            f"{rounds} rounds, {present.taken} gradients of the present setting; times are those "
            "of one thread"
        )


def _spread(one: _Setting, rows: Floats) -> Floats:
    """As many times the variance as there are rows, from their distances to the mean of earlier
    rounds; from those to their own mean in the first.
    """
    if one.units:
        apart = np.square(rows - one.total / one.units).sum(0)
        found: Floats = apart / (1 + 1 / one.units)
        return found
    own: Floats = np.square(rows - rows.mean(0)).sum(0) * (len(rows) / max(len(rows) - 1, 1))
    return own


def _same(one: _Setting, other: _Setting) -> bool:
    alike = one.name == other.name and one.particles == other.particles
    return alike and one.vectorized == other.vectorized


def _place(name: str) -> int:
    return NAMES.index(name) if name in NAMES else -1


def _relative(
    row: NoiseRow, cost: tuple[float, Floats], base: tuple[float, Floats], few: float
) -> NoiseRow:
    """The row with its cost relative to that of another.

    Args:
        row: without a cost.
        cost: noise² × time, and the same resampled.
        base: those of the other.
        few: by how much the error is to be widened for there are few rounds.
    """
    value, resampled = cost
    if row.problem or not base[0] > 0:
        return row
    if value == 0:
        return replace(row, cost=0.0, cost_error=0.0)
    ratios = np.log(resampled / base[1])
    error = float(np.std(ratios[np.isfinite(ratios)])) * few
    return replace(row, cost=value / base[0], cost_error=error)


def _with_bias(
    rows: Sequence[NoiseRow],
    settings: Sequence[_Setting],
    found: dict[int, tuple[float, float, bool]],
) -> list[NoiseRow]:
    made = []
    for row, one in zip(rows, settings, strict=True):
        bias = found.get(id(one.base or one))
        if bias is None or row.problem:
            made.append(row)
        else:
            made.append(replace(row, bias=bias[0], bias_error=bias[1], biased=bias[2]))
    return made
