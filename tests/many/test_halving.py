"""Runs that cannot catch up are dropped, and never the one that would have been the best."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.engine.sources import small, write
from tests.many.test_chunk import plan
from tests.many.test_comparison import MODEL
from tests.many.test_sweep import files, inline, swept
from tui_elbo.engine import evaluation as evaluation_of_runs
from tui_elbo.many import chunk
from tui_elbo.many.chunk import Look
from tui_elbo.many.folder import Plan, SweepFolder
from tui_elbo.many.sweep import Sweep
from tui_elbo.model.comparison import Evaluation, unevaluated
from tui_elbo.model.grid import RunSpec, grid, parse_choice
from tui_elbo.model.halving import PACE_MARGIN, Standing, comparison_steps, dropped, pace_gain
from tui_elbo.model.verdict import Estimate, Measurement, Verdict, cannot_tell, decide
from tui_elbo.model.workspace import Progress
from tui_elbo.runfile.database import read

STEPS, DRAWS = 4000, 256


@dataclass(frozen=True)
class Simulated:
    """A run as its ELBO goes: at the mean of its iterates, and below it by its noise."""

    at: Callable[[float], float]
    best: float
    """Where it goes to in the end."""
    noise: float
    """Nats."""

    @property
    def final(self) -> float:
        return self.at(STEPS) - self.noise

    def standing(self, step: int, rng: np.random.Generator, shared: np.ndarray, before):
        mid, early = self.at(step * 7 / 8), self.at(step * 5 / 8)
        left = self.best - mid
        error = 0.02 + 0.02 * abs(left)

        def seen(value: float, error: float = error) -> Estimate:
            return Estimate(value + rng.normal() * error, error)

        measured = Measurement(
            step=step,
            begin=0,
            trend=seen(mid - early, 0.02 + self.noise / 10),
            price=seen(self.noise, 0.05 * self.noise + 0.01),
            held_out=seen(left),
            in_sample=seen(left + 0.02),
            rising=0.0,
            gained=mid - self.at(1),
            advance=seen(mid - early, 0.01),
            settled_since=step // 2,
            draws=DRAWS,
            params=4,
            evaluations=50,
        )
        own = rng.normal(size=DRAWS) * 0.2
        evaluation = Evaluation(MODEL, "a", mid + shared + own, 0.1)
        return Standing(evaluation, decide(measured), STEPS - step, before=before)


def simulated(runs: dict[str, Simulated], rng: np.random.Generator) -> tuple[set[str], float]:
    """The runs that are dropped, and the share of the steps that this saves."""
    alive, verdicts, saved = dict(runs), {}, 0
    for step in comparison_steps(STEPS):
        shared = rng.normal(size=DRAWS) * 2
        standing = {
            name: one.standing(step, rng, shared, verdicts.get(name)) for name, one in alive.items()
        }
        for name in dropped(standing):
            del alive[name]
            saved += STEPS - step
        verdicts = {name: one.verdict for name, one in standing.items()}
    return runs.keys() - alive.keys(), saved / (STEPS * len(runs))


def approach(best: float, far: float, pace: float, noise: float) -> Simulated:
    return Simulated(lambda t: best - far * math.exp(-pace * t), best, noise)


def escape(best: float, far: float, pace: float, half: float, noise: float) -> Simulated:
    """From a plateau, ever faster at first."""
    return Simulated(lambda t: best - far / (1 + math.exp(pace * (t - half))), best, noise)


def stretched(best: float, far: float, pace: float, power: float, noise: float) -> Simulated:
    """Fast at first and ever slower, or the other way round."""
    return Simulated(lambda t: best - far * math.exp(-((pace * t) ** power)), best, noise)


def algebraic(best: float, far: float, pace: float, power: float, noise: float) -> Simulated:
    return Simulated(lambda t: best - far * (1 + pace * t) ** -power, best, noise)


def finite(best: float, far: float, end: float, power: float, noise: float) -> Simulated:
    """With steps that do not shrink: there after finite time."""
    return Simulated(lambda t: best - far * max(0.0, 1 - t / end) ** power, best, noise)


def two_scales(best: float, far: float, pace: float, ratio: float, noise: float) -> Simulated:
    fast = ratio * pace
    half = far / 2
    return Simulated(
        lambda t: best - half * math.exp(-fast * t) - half * math.exp(-pace * t), best, noise
    )


def gompertz(best: float, far: float, pace: float, late: float, noise: float) -> Simulated:
    """From a plateau, by another law."""
    return Simulated(lambda t: best + far * math.expm1(-late * math.exp(-pace * t)), best, noise)


def another_run(rng: np.random.Generator) -> Simulated:
    """Of a curve that the rule's numbers were not chosen on."""
    best = -10.0 - rng.choice([0.0, 0.0, 0.3, 2.0, 8.0]) - rng.exponential(0.02)
    far, rate = rng.uniform(5, 80), 10 ** rng.uniform(-4, -0.5)
    noise, pace = rng.uniform(0.1, 20) * rate**1.5, rate * rng.uniform(0.1, 0.5)
    kinds: tuple[Callable[[], Simulated], ...] = (
        lambda: stretched(best, far, pace, rng.uniform(0.4, 1.6), noise),
        lambda: algebraic(best, far, pace, rng.uniform(0.5, 3), noise),
        lambda: finite(best, far, STEPS * 10 ** rng.uniform(-0.7, 0.7), rng.uniform(1, 3), noise),
        lambda: two_scales(best, far, pace, rng.uniform(1, 10), noise),
        lambda: gompertz(best, far, pace, rng.uniform(3, 40), noise),
    )
    return kinds[int(rng.integers(len(kinds)))]()


def another_sweep(rng: np.random.Generator) -> dict[str, Simulated]:
    return {f"{index}": another_run(rng) for index in range(int(rng.integers(3, 10)))}


def a_sweep(rng: np.random.Generator) -> dict[str, Simulated]:
    """Seeds, rates, modes and plateaus, in any mixture."""
    runs = {}
    for index in range(int(rng.integers(3, 10))):
        best = -10.0 - rng.choice([0.0, 0.0, 0.3, 2.0, 8.0]) - rng.exponential(0.02)
        far, rate = rng.uniform(5, 80), 10 ** rng.uniform(-4, -0.5)
        noise = rng.uniform(0.1, 20) * rate**1.5
        if rng.random() < 0.3:
            half = rng.uniform(0.05, 0.9) * STEPS
            runs[f"{index}"] = escape(best, far, rng.uniform(4, 20) / half, half, noise)
        else:
            runs[f"{index}"] = approach(best, far, rate * rng.uniform(0.1, 0.5), noise)
    return runs


def test_the_eventual_best_is_never_dropped_in_200_sweeps() -> None:
    rng = np.random.default_rng(7)
    some = 0
    for _ in range(200):
        runs = a_sweep(rng)
        gone, _ = simulated(runs, rng)
        some += bool(gone)
        assert max(runs, key=lambda name: runs[name].final) not in gone
    assert some > 50


def never_dropped(family: Callable[..., dict[str, Simulated]], seed: int, sweeps: int) -> None:
    rng = np.random.default_rng(seed)
    some = 0
    for _ in range(sweeps):
        runs = family(rng)
        gone, _ = simulated(runs, rng)
        some += bool(gone)
        assert max(runs, key=lambda name: runs[name].final) not in gone
    assert some > sweeps / 4


def test_nor_in_sweeps_of_curves_that_the_rule_was_not_made_on() -> None:
    never_dropped(another_sweep, 11, 40)


@pytest.mark.slow
@pytest.mark.parametrize("family", [a_sweep, another_sweep])
def test_nor_in_five_times_200_sweeps(family: Callable[..., dict[str, Simulated]]) -> None:
    for seed in range(12, 17):
        never_dropped(family, seed, 200)


def test_a_grid_of_rates_saves_a_third_of_the_steps() -> None:
    rng = np.random.default_rng(8)
    rates = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1]
    shares = []
    for _ in range(20):
        far = rng.uniform(20, 80)
        runs = {f"lr {rate:g}": approach(-10.0, far, 0.25 * rate, 20 * rate**1.5) for rate in rates}
        gone, share = simulated(runs, rng)
        assert max(runs, key=lambda name: runs[name].final) not in gone
        shares.append(share)
    assert np.mean(shares) > 0.3


def evaluation(value: float, noise: np.ndarray) -> Evaluation:
    return Evaluation(MODEL, "a", value + noise, 0.1)


NOISE = np.random.default_rng(0).normal(size=64)

GOOD = Verdict("stationary", 500, 0.1, left_high=0.05)


@pytest.mark.parametrize(
    ("verdict", "behind", "is_dropped"),
    [
        (Verdict("stationary", 500, 0.1, left_high=0.05), 2.0, True),
        (Verdict("stationary", 500, 0.1, left_high=0.05), 0.1, False),
        (Verdict("stationary", 500, 0.1, left_high=2.0), 2.0, False),
        (Verdict("stopped", 500, 0.1, left_low=1.0, left_high=1.2), 5.0, True),
        (Verdict("improving", 500, 0.1, left_high=9.0, rate=1e-4), 2.0, False),
        (cannot_tell(500, "it is too early"), 50.0, False),
    ],
)
def test_only_what_is_sure_is_dropped(verdict: Verdict, behind: float, is_dropped: bool) -> None:
    best = Standing(evaluation(0.0, NOISE), GOOD, 500)
    run = Standing(evaluation(-behind, NOISE), verdict, 500)
    assert ("b" in dropped({"a": best, "b": run})) == is_dropped
    assert "a" not in dropped({"a": best, "b": run})


def improving(step: int, trend: float, error: float) -> Verdict:
    window = step // 4
    return Verdict(
        "improving",
        step,
        0.1,
        left_high=9.0,
        trend=Estimate(trend, error),
        window=window,
        rate=trend / window,
    )


@pytest.mark.parametrize(
    ("before", "is_dropped"),
    [
        (None, False),
        (improving(250, 0.01, 0.0001), True),  # As fast as before.
        (improving(250, 0.01, 0.01), False),  # Nobody knows how fast.
        (improving(250, 0.0001, 0.00001), False),  # Much faster than before.
        (cannot_tell(250, "it is too early"), False),
    ],
)
def test_a_slow_run_is_dropped_that_becomes_no_faster(
    before: Verdict | None, is_dropped: bool
) -> None:
    best = Standing(evaluation(0.0, NOISE), GOOD, 500)
    now = improving(500, 0.02, 0.0001)
    run = Standing(evaluation(-2.0, NOISE), now, 500, before=before)
    found = dropped({"a": best, "b": run})
    assert ("b" in found) == is_dropped
    if is_dropped:
        assert str(found["b"]) == "dropped: it would end at least 1.9 nats below a"


def test_a_pace_that_grows_is_taken_to_go_on_growing() -> None:
    """Twice as fast after each 192 steps: the integral of an exponential."""
    gain = pace_gain(improving(256, 0.01, 0.0), improving(512, 0.04, 0.0), 1250)
    growth = math.log(2) / 192
    # The pace is that after step 384, and the newest iterates lie about step 448.
    grown = math.exp(growth * 1378) - math.exp(growth * 64)
    assert gain == pytest.approx(PACE_MARGIN * 0.04 / 128 * grown / growth)


def approaching(step: int, left: float, rate: float) -> Verdict:
    """Of what is left, so much is gained a step."""
    window = step // 4
    gained = Estimate(left * rate * window, 0.0)
    return Verdict(
        *("improving", step, 0.1), left_low=left, left_high=left, trend=gained, window=window
    )


def test_a_pace_falls_as_what_is_left_falls() -> None:
    gain = pace_gain(approaching(256, 40.0, 1e-3), approaching(512, 30.0, 1e-3), 512)
    assert 30 * (1 - math.exp(-1e-3 * 576)) < gain < 30 * (1 - math.exp(-1.5e-3 * 700)) < 20
    # A run that may get there after finite time does not slow down.
    assert pace_gain(approaching(256, 40.0, 2e-3), approaching(512, 30.0, 2e-3), 5000) > 30


def test_a_pace_that_falls_faster_than_what_is_left_bounds_nothing() -> None:
    before = approaching(256, 40.0, 1e-3)
    assert pace_gain(before, approaching(512, 39.0, 0.9e-3), 512) < 39
    assert pace_gain(before, approaching(512, 39.0, 0.7e-3), 512) == math.inf


def test_a_best_that_falls_or_that_is_of_another_model_drops_nobody() -> None:
    run = Standing(evaluation(-9.0, NOISE), GOOD, 500)
    falls = Standing(evaluation(0.0, NOISE), Verdict("falling", 500, 0.1, left_high=1.0), 500)
    other = Standing(unevaluated("the lens sees no ELBO"), GOOD, 500)
    ended = Standing(evaluation(0.0, NOISE), cannot_tell(300, "it is too early"), 0)
    assert dropped({"a": falls, "b": run}) == {}
    assert dropped({"a": other, "b": run}) == {}
    assert [*dropped({"a": ended, "b": run})] == ["b"]


def test_runs_are_compared_at_doublings() -> None:
    assert comparison_steps(4000) == (250, 500, 1000, 2000)
    assert comparison_steps(1000) == (128, 256, 512)
    assert comparison_steps(100) == ()


TWO = """
settings = {"side": 1.0}
import torch, pyro
import pyro.distributions as dist
from torch.distributions import constraints

def model():
    humps = dist.Normal(torch.tensor([-3.0, 3.0]), 0.5)
    pyro.sample("z", dist.MixtureSameFamily(dist.Categorical(torch.tensor([0.01, 0.99])), humps))

def guide():
    loc = pyro.param("loc", torch.tensor(2.5 * settings["side"]))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))

optimizer = pyro.optim.ClippedAdam({"lr": 0.02, "lrd": 0.995})
"""


@pytest.mark.slow
def test_a_run_in_a_worse_mode_is_dropped_at_the_first_comparison(tmp_path: Path) -> None:
    of = halved(plan(str(write(tmp_path, TWO)), side(), steps=200))
    good, bad = swept(tmp_path / "out", of, seconds=60.0)
    assert (good.ending.kind, good.step) == ("steps", 200)
    assert (bad.ending.kind, bad.step) == ("dropped", 128)
    assert re.fullmatch(r"dropped: .* at least [34]\S* nats below side-1_seed-0", bad.ending.note)
    assert read(tmp_path / "out" / f"{bad.spec.name}.run").settings.step == bad.step


def side() -> tuple[RunSpec, ...]:
    return grid((0,), [parse_choice("side=1,-1,-2")], [])[:2]


def halved(of: Plan) -> Plan:
    return msgspec.structs.replace(of, goal=msgspec.structs.replace(of.goal, halving=True))


def test_a_sweep_drops_where_all_can_be_compared_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The looks are made up: the runs of lr 0.1 are far behind at step 8, and not yet at step 4."""
    monkeypatch.setattr("tui_elbo.many.folder.comparison_steps", lambda _: (4, 8))
    monkeypatch.setattr("tui_elbo.engine.scenario.release", lambda: None)
    monkeypatch.setattr(evaluation_of_runs, "evaluate", lambda *_: unevaluated("not asked for"))

    def look(self: chunk._Chunk) -> Look:
        step, (_, tuning) = self._session.steps_taken, self._session.tunings[0]
        value = -9.0 if tuning.lr == 0.1 and step == 8 else 0.0
        seen = evaluation(value, NOISE)
        return Look(step, Verdict("stationary", step, 0.1, left_high=0.05), seen, seen, False)

    monkeypatch.setattr(chunk._Chunk, "_look", look)
    monkeypatch.setattr(chunk._Chunk, "_verdict", lambda _: cannot_tell(0, "not asked for"))
    of = plan(str(write(tmp_path, small())), grid((0, 1), [parse_choice("lr=0.01,0.1")], []))
    swept(tmp_path / "plain", of, seconds=60.0)
    for stop in (None, 10):
        folder = tmp_path / f"out{stop}"
        if stop is not None:
            held = SweepFolder(folder, halved(of))
            sweep = Sweep(held, inline(), 60.0)

            def report(progress: Progress, sweep: Sweep = sweep, stop: int = stop) -> None:
                sweep.stopping = progress.steps >= stop

            sweep.run(report)
            held.close()
        found = swept(folder, halved(of), seconds=60.0)
        assert [(run.ending.kind, run.step) for run in found] == [
            ("steps", 12),
            ("steps", 12),
            ("dropped", 8),
            ("dropped", 8),
        ]
        kept = msgspec.structs.replace(of, runs=of.runs[:2])
        assert files(folder, kept) == files(tmp_path / "plain", kept)
