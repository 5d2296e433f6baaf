"""Measures, in a copy of the process, how far a run has come and what is left nearby.

Two sets of fixed draws are used: the lens's own, on which a search looks for a better place, and
another one, on which what it has found is measured without the optimism of a search.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyro
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tui_elbo.engine.compat.torch import has_backward_hooks
from tui_elbo.engine.lens import DRAWS, Lens, Settled, State, isolated
from tui_elbo.engine.lens.attribution import PATIENCE as SILENCE
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.draws import RowByRow, Traces
from tui_elbo.engine.lens.fork import LookError, Progress
from tui_elbo.engine.lens.isolation import leaves as params
from tui_elbo.engine.lens.isolation import with_params
from tui_elbo.engine.lens.subject import Followed, Subject
from tui_elbo.engine.record.numbers import table
from tui_elbo.engine.verdict.iterates import Iterates
from tui_elbo.engine.verdict.search import Found, Objective, follow_gradient, search
from tui_elbo.model.records import Floats
from tui_elbo.model.verdict import (
    CONVERGED,
    LEAST_STEPS,
    NATS,
    TOLERANCE,
    Estimate,
    Measurement,
    Tolerance,
    Verdict,
    cannot_tell,
    decide,
    too_early,
)
from tui_elbo.protocol.codec import decode

Bools = npt.NDArray[np.bool_]

OTHER_SEED = 271_828_182
"""Of the draws that the search has not seen: digits of e."""

LOOKS = 24
"""Iterates of the second half of the window that are looked at."""

LEAST_LOOKS = 4
"""Of each of the two quarters."""

LEAST_EVALUATIONS, EVALUATIONS, MOST_EVALUATIONS = 24, 40, 160
"""Of the search: at least, usually, and where it still gains and there is time."""

JUMPING_EVALUATIONS = 120
"""Of the search where draws are taken by rejection."""

Climb = Callable[[Objective, Floats, int, Callable[[Floats], bool]], Found]

PATIENCE = 60.0
"""Seconds of the processor: what would take longer is measured only for a person who has said to
wait for it."""

MOST_LOOKS = LOOKS + 3 * EVALUATIONS
"""A verdict takes about so many times as long as a look."""

SECONDS = 8.0
"""After so long, of the processor, the search stops before `MOST_EVALUATIONS`."""

MOST_DRAWS = 4096
"""More are not taken, however many parameters there are."""

MORE = 8
"""Where the usual draws leave it open, it is measured again with so many times as many."""

DRAWS_EACH = 5
"""Draws for each parameter: with fewer, what the search gains is luck of its draws."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What is judged: a run at a step."""

    scenario: Subject
    step: int
    iterates: Iterates
    initial_state: State
    """What parameters began with."""
    settled: Settled | None = None
    """How the lens draws; None if it has not looked yet."""
    draws: int | None = None
    """Of the lens, as asked for; None: its own default."""
    rate_decays: bool = False
    tolerance: Tolerance = NATS
    patient: bool = False
    """Whether to measure however long it takes."""


def judged(
    attribution: Attribution,
    run: Followed,
    tolerance: Tolerance = NATS,
    *,
    patient: bool = False,
) -> Judged:
    """A run as it stands now, to be judged in a copy of the process.

    Args:
        attribution: that follows the run.
        run: the run.
        tolerance: what does not matter.
        patient: measure however long it takes.
    """
    return Judged(
        scenario=run.scenario,
        step=run.steps_taken,
        iterates=run.iterates,
        initial_state=attribution.initial_state,
        settled=attribution.settled_or_none,
        draws=attribution.draws,
        rate_decays=run.rate_decays,
        tolerance=tolerance,
        patient=patient,
    )


def judge(run: Judged, progress: Progress = lambda _done, _of: None) -> Verdict:
    """The verdict on a run where it stands; to be called in a copy of its process.

    Args:
        run: what is judged.
        progress: called with what is done, and of how much.
    """
    measured = measure(run, progress)
    if isinstance(measured, Verdict):
        return measured
    return decide(measured, run.tolerance.nats(measured.spread))


def measure(run: Judged, progress: Progress = lambda _done, _of: None) -> Measurement | Verdict:
    """The numbers that `decide` goes by; "cannot tell" where there are none.

    Args:
        run: what is judged.
        progress: called with what is done, and of how much.
    """
    iterates, step = run.iterates, run.step
    if iterates.why_none:
        return cannot_tell(step, iterates.why_none)
    if step - iterates.begin < LEAST_STEPS:
        return too_early(step, iterates.begin)
    probe = _Probe(run, progress)
    began = time.process_time()
    measured = probe.refuses() or probe.measure()
    if not isinstance(measured, str) and time.process_time() - began < SECONDS / 4:
        verdict = decide(measured, run.tolerance.nats(measured.spread))
        if verdict.state == "cannot_tell" and probe.may_draw_more:
            again = probe.measure(MORE)
            measured = measured if isinstance(again, str) else again
    return cannot_tell(step, measured) if isinstance(measured, str) else measured


class Judgeable(Followed, Protocol):
    """A run that a verdict is reached on; a `Session` is one."""

    @property
    def non_finite(self) -> object:
        """Set when the newest step's loss is not finite."""


def verdict_on(
    run: Judgeable,
    attribution: Attribution,
    tolerance: Tolerance = NATS,
    *,
    patient: bool = False,
) -> Verdict:
    """The verdict on a run where it stands, found out in a copy of the process.

    Args:
        run: what is judged.
        attribution: that follows the run, or was made for this.
        tolerance: what does not matter.
        patient: measure however long it takes.
    """
    step = run.steps_taken
    if run.non_finite is not None:
        return cannot_tell(step, "the loss is not finite")
    try:
        what = judged(attribution, run, tolerance, patient=patient)
        if step - run.iterates.begin < LEAST_STEPS:
            return judge(what)
        call = attribution.call(lambda progress: judge(what, progress))
        found: Verdict = decode(call.wait(SILENCE), Verdict)
    except LookError as error:
        return cannot_tell(step, f"the lens cannot look: {error}")
    return found


class _Probe:
    def __init__(self, run: Judged, progress: Progress) -> None:
        self._run, self._progress = run, progress
        leaves = params(run.scenario.own)
        self._leaves = {n: leaf for n, leaf in leaves.items() if _can_move(leaf)}
        self._params = sum(leaf.numel() for leaf in self._leaves.values())
        self._lens = Lens(run.scenario, run.draws or DRAWS, settled=run.settled)
        self._done, self._total = 0, 1
        self._tolerance = TOLERANCE
        self._rejects = False

    def refuses(self) -> str:
        """Why this scenario cannot be judged, in words; empty if it can."""
        if not self._leaves:
            return "there is no parameter that an optimiser could move"
        seconds = self._seconds_of_a_look()
        if seconds * MOST_LOOKS > PATIENCE and not self._run.patient:
            # The first look also finds out how to draw.
            seconds = self._seconds_of_a_look()
        if seconds * MOST_LOOKS > PATIENCE and not self._run.patient:
            return (
                f"a look at this model takes {seconds:.1f} s, and a verdict about "
                f"{seconds * MOST_LOOKS / 60:.0f} minutes: it is given to who runs until "
                f"{CONVERGED} (u, or run --until)"
            )
        kind = self._lens.kind
        if kind.unseen:
            return kind.unseen
        if kind.enumerated:
            return (
                "discrete sites are enumerated, and the search for a better place needs gradients"
            )
        if kind.fixed:
            return (
                f'no gradient goes through the draws of site "{kind.fixed[0]}", so what is left to '
                "gain cannot be searched for"
            )
        return ""

    def _seconds_of_a_look(self) -> float:
        """Of the processor: how busy the machine is does not count."""
        began = time.process_time()
        self._lens.see()
        return time.process_time() - began

    @property
    def may_draw_more(self) -> bool:
        """Whether more draws would help, and nobody has said how many there are to be.

        Those taken by rejection are seeded one by one, and their number costs.
        """
        lens = self._lens
        if self._rejects:
            return False
        vectorised = not lens.looped and lens.alike and not self._is_point
        return vectorised and self._run.draws is None and DRAWS_EACH * self._params < MOST_DRAWS

    def measure(self, more: int = 1) -> Measurement | str:
        """The numbers; or why there are none.

        Args:
            more: so many times as many draws as usual.
        """
        run, begin = self._run, self._run.iterates.begin
        step, window = run.step, run.step - run.iterates.begin
        edges = begin + window // 2, begin + 3 * window // 4, step
        newest = run.iterates.mean(edges[1], edges[2])
        before = run.iterates.mean(edges[0], edges[1])
        looks = run.iterates.between(edges[0], edges[2], LOOKS)
        late = np.array([at > edges[1] for at, _ in looks], dtype=bool)
        if not newest or not before or min(late.sum(), (~late).sum()) < LEAST_LOOKS:
            return "too few states of the run are kept"
        own, other = self._lenses(more)
        self._total = self._done + len(looks) + EVALUATIONS + 8
        own.report = other.report = lambda _done, _of: self._tell()
        seen = []
        for _, state in looks:
            seen.append(self._elbo(own, state))
            self._tick()
        here = self._elbo(own, newest)
        units = np.array(seen)
        if not (np.isfinite(units).all() and np.isfinite(here).all()):
            return "draws of the lens are not finite at states of the newest steps"
        luck = float(here.std(ddof=1)) if len(here) > 1 else 0.0
        self._tolerance = run.tolerance.nats(luck)
        found = self._search(own, newest)
        if isinstance(found, str):
            return found
        place, rising, evaluations = found
        steps = np.array([at for at, _ in looks])
        trend, correlation = _trend(steps, units, late)
        level = units[late].mean(1)
        price = _paired(here - units[late].mean(0))
        spread = level.var(ddof=1) * (1 + correlation) / (1 - correlation) / late.sum()
        start = self._start(own, begin)
        held_out = _paired(self._elbo(other, place) - self._elbo(other, newest))
        # Asked for only where the run may be stationary, and it takes as long as all looks before.
        may_rest = not held_out.low > self._tolerance
        reached, since = None, step
        if may_rest:
            reached, since = self._settled_since(own, level, steps, units.mean(1))
        return Measurement(
            step=step,
            begin=begin,
            trend=trend,
            price=Estimate(price.value, math.hypot(price.mcse, math.sqrt(spread))),
            held_out=held_out,
            in_sample=_paired(self._elbo(own, place) - here),
            rising=rising,
            gained=float(level.mean()) - start,
            advance=_paired(here - self._elbo(own, before)),
            settled_since=since,
            reached=reached,
            draws=self._draws(own),
            params=self._params,
            evaluations=evaluations,
            spread=luck,
            rate_decays=run.rate_decays,
            limit=self._limit(own),
        )

    def _lenses(self, more: int = 1) -> tuple[Lens, Lens]:
        """The lens's own draws, and others; more of both where there are many parameters."""
        kind, draws = self._lens.kind, self._run.draws or DRAWS
        if kind.latents and len(kind.points) == len(kind.latents):
            draws = 2  # A point has no luck.
        elif not self._lens.looped and self._lens.alike:
            draws = min(more * max(draws, DRAWS_EACH * self._params), max(MOST_DRAWS, draws))
        settled = self._lens.settled
        return (
            Lens(self._run.scenario, draws, SEED, settled),
            Lens(self._run.scenario, draws, OTHER_SEED, settled),
        )

    def _elbo(self, lens: Lens, state: State) -> Floats:
        units: Floats = lens.see(state).reading.units[2]
        return units

    def _draws(self, lens: Lens) -> int:
        return sum(group.draws for group in lens.groups)

    def _limit(self, lens: Lens) -> str:
        """Why the search says only that at least so much is left."""
        if not lens.data.whole:
            return "the lens sees minibatches, and full_batch() would give it all the data"
        if lens.kind.subsampled:
            return "the model chooses subsamples, so the lens does not see all the data at once"
        draws = self._draws(lens)
        if draws < DRAWS_EACH * self._params and not self._is_point:
            return f"{draws} draws are few for {self._params} parameters"
        return ""

    @property
    def _is_point(self) -> bool:
        kind = self._lens.kind
        return len(kind.points) == len(kind.latents)

    def _start(self, lens: Lens, begin: int) -> float:
        """The ELBO where the window begins."""
        state = self._run.initial_state if begin == 0 else State()
        if not state:
            first = self._run.iterates.between(begin, self._run.step, 10**9)
            state = first[0][1]
        try:
            return float(self._elbo(lens, state).mean())
        except Exception:
            return -math.inf

    def _settled_since(
        self, lens: Lens, level: Floats, steps: Floats, seen: Floats
    ) -> tuple[int, int]:
        """The first step at which the ELBO was at its level of now, and that of its last stay.

        One look in forty of a noisy run lies below by chance, so the last stay may begin late.
        """
        begin, step = self._run.iterates.begin, self._run.step
        earlier = self._run.iterates.between(begin, begin + (step - begin) // 2, LOOKS)
        values = [*(float(self._elbo(lens, state).mean()) for _, state in earlier), *seen]
        where = [*(at for at, _ in earlier), *steps.tolist()]
        spread = float(level.std(ddof=1))
        least = float(level.mean()) - max(self._tolerance, 2 * spread)
        below = [at for at, value in zip(where, values, strict=True) if not value >= least]
        after = [at for at in where if not below or at > below[-1]]
        reached = next((at for at in where if at not in below), step)
        return int(reached), int(after[0]) if after else step

    def _search(self, lens: Lens, start: State) -> tuple[State, float, int] | str:
        began, tolerance = time.process_time(), self._tolerance

        def enough(gains: Floats) -> bool:
            """Whether it gains nothing any more, or has had its time."""
            self._tick()
            many = len(gains)
            if many < LEAST_EVALUATIONS:
                return False
            if gains[-1] - gains[many - many // 4 - 1] <= tolerance / 100:
                return True
            return many >= EVALUATIONS and time.process_time() - began > SECONDS

        self._rejects = _rejects(lens, start)
        if self._rejects:
            climb, evaluations = follow_gradient, JUMPING_EVALUATIONS
        else:
            # Where it cannot finish anyway, it need not go far: a lower bound is all that it gives.
            climb = search
            evaluations = EVALUATIONS if self._limit(lens) else MOST_EVALUATIONS
        place, found = _climb(lens, start, self._leaves, evaluations, enough, climb=climb)
        if found.error:
            return f"the search for a better place failed: {found.error}"
        return place, found.rising, len(found.gains)

    def _tick(self) -> None:
        self._done += 1
        self._tell()

    def _tell(self) -> None:
        self._progress(min(self._done, self._total), self._total)


def climbed(lens: Lens, start: State, leaves: dict[str, Tensor], evaluations: int) -> State:
    """The best place that a search from `start` finds at the lens's draws.

    Args:
        lens: settled by an earlier look.
        start: the unconstrained parameters.
        leaves: the parameters that may move, by name.
        evaluations: how many there may be.
    """
    climb = follow_gradient if _rejects(lens, start) else search
    return _climb(lens, start, leaves, evaluations, lambda _: False, climb=climb)[0]


def _rejects(lens: Lens, state: State) -> bool:
    """Whether draws are taken by rejection, so that the ELBO at fixed draws jumps."""
    own = lens.scenario.own
    with isolated(), torch.no_grad(), with_params(state, own), _Calls(RowByRow.SAMPLERS) as calls:
        lens.prepare()
        next(_traces(lens))
    return bool(calls.seen)


def _climb(
    lens: Lens,
    start: State,
    leaves: dict[str, Tensor],
    evaluations: int,
    enough: Callable[[Floats], bool],
    *,
    climb: Climb = search,
) -> tuple[State, Found]:
    """The place that a search has found, and how it went."""
    sizes = [leaf.numel() for leaf in leaves.values()]
    flat = torch.cat([start[name].double().reshape(-1) for name in leaves]).numpy()

    def state(place: Floats) -> State:
        parts = torch.split(torch.from_numpy(place), sizes)
        return {
            name: part.reshape(leaf.shape).to(leaf.dtype)
            for (name, leaf), part in zip(leaves.items(), parts, strict=True)
        }

    def loss(place: Floats) -> tuple[float, Floats]:
        value, gradient = _value_and_gradient(lens, state(place), list(leaves.values()))
        return -value, -gradient

    with isolated(), with_params(start, lens.scenario.own):
        found = climb(loss, flat, evaluations, enough)
    return start | state(found.place), found


class _Calls(TorchFunctionMode):
    """Notes whether one of some functions is called."""

    def __init__(self, functions: frozenset[Callable[..., Any]]) -> None:
        super().__init__()
        self._functions, self.seen = functions, False

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen = self.seen or func in self._functions
        return func(*args, **(kwargs or {}))


def _can_move(leaf: Tensor) -> bool:
    return leaf.requires_grad and not leaf.is_complex() and not has_backward_hooks(leaf)


def _value_and_gradient(lens: Lens, state: State, leaves: Sequence[Tensor]) -> tuple[float, Floats]:
    """The ELBO at the lens's draws, and its gradient with respect to these parameters."""
    lens.prepare()
    value, gradient, draws = 0.0, np.zeros(sum(leaf.numel() for leaf in leaves)), 0
    with with_params(state, lens.scenario.own), torch.enable_grad():
        for traces in _traces(lens):
            total = torch.zeros(traces.draws, dtype=torch.float64)
            lens.report(0, 0)
            for part, row in traces.parts().items():
                total = total + row if part.field == "log_p" else total - row
            elbo = total.sum()
            value, draws = value + elbo.item(), draws + traces.draws
            found = torch.autograd.grad(elbo, leaves, allow_unused=True)
            pairs = zip(found, leaves, strict=True)
            gradient += table([[torch.zeros_like(p) if g is None else g for g, p in pairs]])[0]
    return value / draws, gradient / draws


def _traces(lens: Lens) -> Iterator[Traces]:
    for group in lens.groups:
        if not lens.looped:
            yield lens.strategy.many(group.args, group.draws, group.seed)
            continue
        for draw in range(group.first, group.first + group.draws):
            pyro.set_rng_seed(lens.groups[0].seed + draw)
            yield lens.strategy.one(group.args)


def _paired(units: Floats) -> Estimate:
    """The mean over independent units, with its standard error."""
    error = float(units.std(ddof=1)) / math.sqrt(len(units)) if len(units) > 1 else math.inf
    return Estimate(float(units.mean()), error)


def _trend(steps: Floats, units: Floats, late: Bools) -> tuple[Estimate, float]:
    """The later looks less the earlier ones; and the correlation from look to look.

    The error is that of the scatter about a line, widened for the correlation, and that of the
    draws.
    """
    values, x = units.mean(1), steps - steps.mean()
    residual = values - values.mean() - x * float((x * values).sum() / (x * x).sum())
    square = float((residual**2).sum())
    correlation = float((residual[1:] * residual[:-1]).sum()) / square if square > 0 else 0.0
    correlation = min(max(correlation, 0.0), 0.95)
    scatter = math.sqrt(square / max(len(values) - 2, 1))
    scatter *= math.sqrt((1 + correlation) / (1 - correlation))
    count = math.sqrt(1 / late.sum() + 1 / (~late).sum())
    draws = _paired(units[late].mean(0) - units[~late].mean(0))
    return Estimate(draws.value, math.hypot(scatter * count, draws.mcse)), correlation
