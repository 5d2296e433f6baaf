"""Rules on the noise of the gradient, and on what parameters differ in; SVI115 on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from tui_elbo.engine.checks.estimates import Noise, Noises
from tui_elbo.engine.checks.movement import EACH, GAIN, SHARE
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.engine.checks.running import Running
from tui_elbo.engine.checks.trials import MANY, MANY_STEPS
from tui_elbo.model.estimate import significant
from tui_elbo.model.findings import Level, Subject

AHEAD = 0.3
"""Of what less noise gains, what the run's own steps gain at most where noise holds them."""

ERRORS = 3.0
"""Standard errors."""

CALMER = 5.0
"""So many times less variance is worth another estimator."""

BY_DATA = 2.0
"""Times the noise of the draws, that of the choice of data is said to be the larger."""

FAR_APART = 1e4
"""Between the standard deviations of two latents."""


class _Held(NamedTuple):
    """A run that noise holds."""

    param: str
    noise: Noise
    gain: float
    plain: float
    error: float
    steps: int


def _held(run: Running) -> _Held | None:
    """Steps without noise get clearly ahead where the run's own do not."""
    seen = run.seen
    if seen is None or seen.noise is None or seen.calm is None or seen.trial is None:
        return None
    calm, same = seen.calm, seen.trial.same
    error = math.hypot(calm.error, same.error)
    first = run.evidence.first_elbo
    gained = abs(seen.elbo - first) if math.isfinite(first) else 0.0
    # As for a rate that is too high.
    if not calm.elbo - same.elbo - ERRORS * error > max(GAIN, SHARE * gained, EACH * run.numbers):
        return None
    if same.elbo - seen.elbo > AHEAD * (calm.elbo - seen.elbo):
        return None
    params = {name: one for name, one in seen.noise.params.items() if one.sd > 0}
    if not params:
        return None
    calls = seen.noise.calls
    name = max(params, key=lambda name: params[name].most(calls) * (params[name].snr < AHEAD))
    gain, plain = calm.elbo - seen.elbo, same.elbo - seen.elbo
    return _Held(name, params[name], gain, plain, error, seen.trial.steps)


def _words(held: _Held) -> str:
    return (
        f"{held.steps} steps change the ELBO by {significant(held.plain, 2, signed=True)} nats, "
        f"and {MANY_STEPS} steps by the mean of {MANY} gradients each by "
        f"{significant(held.gain, signed=True)}"
    )


def _noise_dominates(run: Running) -> Iterator[Found]:
    held = _held(run)
    seen = run.seen
    if held is None or seen is None or seen.noise is None or seen.noise.scored:
        return
    message = f'the noise of the gradient holds the run, most of all at "{held.param}": '
    message += _words(held)
    evidence = f"signal over noise {held.noise.snr:.2g} a gradient, tried at step {seen.step}"
    hint = ""
    if _by_data(held.noise) > BY_DATA:
        hint = "take larger minibatches: the noise is mostly that of the choice of data"
    # A lower rate is the same remedy, and said already.
    level: Level = "note" if "rate-too-high" in run.faults else "warning"
    yield Found(Subject("param", held.param), message, hint, evidence, level=level, since=seen.step)


def _score_variance(run: Running) -> Iterator[Found]:
    """The score function's gradient is all noise, or another estimator's has far less."""
    seen = run.seen
    if seen is None or seen.noise is None or not seen.noise.scored:
        return
    noise, held = seen.noise, _held(run)
    site = noise.sites[0]
    subject = Subject("site", site)
    better = noise.by_graph > 2 and math.isfinite(noise.by_graph)
    hint = ""
    if better:
        hint = f"use TraceGraph_ELBO: its gradient has {noise.by_graph:.2g} times less variance"
        hint += " here; or enumerate the site, or give it a baseline"
    if held is not None:
        message = f'the noise of the score-function gradient of "{site}" holds the run: '
        message += _words(held)
        evidence = f"signal over noise {held.noise.snr:.2g} a gradient, tried at step {seen.step}"
        yield Found(subject, message, hint, evidence, since=seen.step)
    elif better and noise.by_graph > CALMER:
        message = f'the score-function gradient of "{site}" has {noise.by_graph:.2g} times the '
        message += "variance that TraceGraph_ELBO's has"
        evidence = f"by {noise.calls} gradients of each at step {seen.step}"
        yield Found(subject, message, hint, evidence, level="note", since=seen.step)


def _by_data(noise: Noise) -> float:
    """Noise of the choice of data over that of the draws; NaN where data do not change."""
    if not noise.draws > 0:
        return math.nan
    return math.sqrt(max(noise.sd**2 - noise.draws**2, 0.0)) / noise.draws


def _minibatch_noise(run: Running) -> Iterator[Found]:
    """At most parameters the choice of data is the larger noise."""
    seen = run.seen
    noise: Noises | None = seen.noise if seen is not None else None
    if seen is None or noise is None:
        return
    ratios = {name: _by_data(one) for name, one in noise.params.items() if one.draws > 0}
    large = [name for name, ratio in ratios.items() if ratio > BY_DATA]
    if not large or 2 * len(large) < len(noise.params):
        return
    name = max(large, key=lambda name: ratios[name])
    message = f"the choice of the minibatch is {ratios[name]:.2g} times the noise of the draws in "
    message += f'the gradient of "{name}": more particles do not help'
    evidence = f"sd {noise.params[name].sd:.3g}, with the same data {noise.params[name].draws:.3g}"
    yield Found(Subject("data"), message, "", evidence, since=seen.step)


def _scales_differ(run: Running) -> Iterator[Found]:
    """One latent's standard deviation is a tiny part of another's."""
    seen = run.seen
    spreads = seen.spreads if seen is not None else {}
    if seen is None or len(spreads) < 2:
        return
    small, large = min(spreads, key=spreads.__getitem__), max(spreads, key=spreads.__getitem__)
    if not spreads[large] > FAR_APART * spreads[small] > 0:
        return
    message = f'under the guide, the sd of "{large}" is {spreads[large]:.2g}, and that of '
    message += f'"{small}" {spreads[small]:.2g}: one learning rate hardly suits both'
    yield Found(Subject("site", large), message, "", "", since=seen.step)


RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI115",
        name="noise-dominates",
        level="warning",
        message="the noise of the gradient holds the run",
        why="Where a gradient is mostly noise, steps cancel each other and the run gets nowhere.",
        remedy="use more particles (num_particles, vectorize_particles=True), start the guide with "
        "smaller scales (init_scale), or use TraceMeanField_ELBO",
        reference="https://docs.pyro.ai/en/stable/inference_algos.html#pyro.infer.elbo.ELBO",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 100.0))
    pyro.sample("y", dist.Normal(torch.sin(6.0 * z) * 3.0 + 0.3 * z, 0.3), obs=torch.tensor(6.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 4.0))


optimizer = pyro.optim.Adam({"lr": 0.1})
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 100.0))
    pyro.sample("y", dist.Normal(0.3 * z, 0.3), obs=torch.tensor(6.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))


optimizer = pyro.optim.Adam({"lr": 0.1})
""",
        check=_noise_dominates,
        when="running",
        steps=100,
    ),
    Rule(
        code="SVI116",
        name="score-variance",
        level="warning",
        message="the noise of a score-function gradient holds the run",
        why="Where no gradient goes through a draw, the whole log p and log q of the draw are "
        "multiplied with the score, and their size is noise.",
        remedy="use TraceGraph_ELBO with a baseline, enumerate the site (TraceEnum_ELBO), put what "
        "is independent into plates, or draw from a distribution that is reparameterised",
        reference="https://pyro.ai/examples/svi_part_iii.html",
        fires="""
y = torch.tensor([0.0, 3.0, 0.0, 3.0, 3.0])


def model():
    for i in range(5):
        k = pyro.sample(f"k_{i}", dist.Bernoulli(0.5))
        pyro.sample(f"y_{i}", dist.Normal(3.0 * k, 1.0), obs=y[i])


def guide():
    p = pyro.param("p", torch.full((5,), 0.4), constraint=constraints.unit_interval)
    for i in range(5):
        pyro.sample(f"k_{i}", dist.Bernoulli(p[i]))
""",
        silent="""
y = torch.tensor([0.0, 3.0, 0.0, 3.0, 3.0])


def model():
    for i in range(5):
        k = pyro.sample(f"k_{i}", dist.Bernoulli(0.5))
        pyro.sample(f"y_{i}", dist.Normal(3.0 * k, 1.0), obs=y[i])


def guide():
    p = pyro.param("p", torch.full((5,), 0.4), constraint=constraints.unit_interval)
    for i in range(5):
        pyro.sample(f"k_{i}", dist.Bernoulli(p[i]))


loss = TraceGraph_ELBO()
""",
        check=_score_variance,
        when="running",
        steps=20,
    ),
    Rule(
        code="SVI117",
        name="minibatch-noise",
        level="note",
        message="the choice of the minibatch is the larger part of the gradient's noise",
        why="More draws a step then cost time and change nothing.",
        remedy="larger minibatches, or a learning rate that decays",
        reference="https://pyro.ai/examples/svi_part_ii.html",
        fires="""
data = 3.0 * torch.randn(200)


def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 200, subsample=x):
        pyro.sample("x", dist.Normal(z, 3.0), obs=x)


def guide(x):
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 0.2))


optimizer = pyro.optim.Adam({"lr": 0.005})


def batch(step):
    return (data[(10 * step) % 200 : (10 * step) % 200 + 10],)
""",
        silent="""
data = 3.0 * torch.randn(200)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 200):
        pyro.sample("x", dist.Normal(z, 3.0), obs=data)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 0.2))


optimizer = pyro.optim.Adam({"lr": 0.005})
""",
        check=_minibatch_noise,
        when="running",
        steps=100,
    ),
    Rule(
        code="SVI118",
        name="scales-differ",
        level="note",
        message="latents differ in scale by more than 10,000",
        why="A step that is short for one is far too long for the other, and Adam gives both the "
        "same length.",
        remedy="standardise the data, or give each parameter its own learning rate",
        reference="https://docs.pyro.ai/en/stable/optimization.html",
        fires="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 5000.0))
    b = pyro.sample("b", dist.Normal(0.0, 0.05))
    pyro.sample("y", dist.Normal(a + 1e4 * b, 3000.0), obs=torch.tensor(100.0))


def guide():
    a = pyro.param("a_loc", torch.tensor(0.0))
    b = pyro.param("b_loc", torch.tensor(0.0))
    pyro.sample("a", dist.Normal(a, 2500.0))
    pyro.sample("b", dist.Normal(b, 0.05))
""",
        silent="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 5.0))
    b = pyro.sample("b", dist.Normal(0.0, 0.5))
    pyro.sample("y", dist.Normal(a + b, 3.0), obs=torch.tensor(1.0))


def guide():
    a = pyro.param("a_loc", torch.tensor(0.0))
    b = pyro.param("b_loc", torch.tensor(0.0))
    pyro.sample("a", dist.Normal(a, 2.5))
    pyro.sample("b", dist.Normal(b, 0.5))
""",
        check=_scales_differ,
        when="running",
        steps=40,
    ),
)
