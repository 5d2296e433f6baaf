"""Rules on what a run at rest has come to: its latents, its likelihood, its guide; SVI120 on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tui_elbo.engine.checks.examination import Divergence, Examination
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.engine.checks.running import Running
from tui_elbo.model.estimate import significant
from tui_elbo.model.findings import Subject

SETTLED_STEPS = 100
"""Before so many steps nothing is said of where a run has come to."""

UNUSED, USED = 0.02, 0.1
"""KL of a dimension from its prior in nats: below the first it carries nothing, above the second
it does. (Measured: collapsed 0.006, healthy 2.67.)"""

MISFIT = 8.0
"""Mean squared z of the data under the likelihood. (Measured: settled healthy runs 0.4 to 2.3,
faulty ones 16 and more.)"""

FALLEN, FALLING = 1.0, 5e-5
"""The log of a parameter has fallen by the first since the start, and by the second each step of
the last ones: it is well on its way to 0, and not at rest. (Not measured.)"""

POSITIVE = ("positive", "greaterthan(lower_bound=0.0", "softpluspositive")
"""What the constraints of a positive parameter are called, in small letters."""

OUTLYING, MANY = 8.0, 20
"""Standard deviations of one observation, among at least so many. (Not measured: a normal goes as
far once in 1e15.)"""

SLOW = 50.0
"""Times what 100 more steps gain, a misfit has to cost to be no matter of waiting."""


def _collapse(run: Running) -> Iterator[Found]:
    """A latent of a model with θ is drawn from its prior: it carries nothing."""
    seen = run.seen
    if seen is None or not _settled(run, seen):
        return
    for one in seen.divergences:
        if not _has_theta(run) or _fewer(run.before, one.site) or "prior-collapses" in run.faults:
            continue
        kl = [value + 2 * error for value, error in zip(one.kl, one.error, strict=True)]
        unused = sum(value < UNUSED for value in kl)
        if unused == len(kl) and one.rows >= 2:
            largest = max(*one.kl, 0.0)
            message = (
                f'"{one.site}" carries nothing: the guide draws it from its prior '
                f"(KL at most {significant(largest, 2)} nats a dimension)"
            )
            evidence = f"{len(kl)} dimensions, {one.rows} rows, step {seen.step}"
            yield Found(Subject("site", one.site), message, "", evidence, since=seen.step)
        elif unused and sum(value > USED for value in one.kl) + unused == len(kl) and one.rows > 1:
            message = f'{unused} of the {len(kl)} dimensions of "{one.site}" carry nothing'
            evidence = f"KL below {UNUSED} nats each, step {seen.step}"
            subject = Subject("site", one.site)
            yield Found(subject, message, "", evidence, level="note", since=seen.step)


def _prior_collapse(run: Running) -> Iterator[Found]:
    """A parameter of a prior goes on to 0, and the guide is that prior."""
    seen = run.seen
    if seen is None or seen.step < SETTLED_STEPS or run.evidence.layout is None:
        return
    roles = {info.name: info for info in run.evidence.layout.params}
    for one in seen.divergences:
        # Of draws so few, the mean is known to one or two hundredths.
        largest = max(value - error for value, error in zip(one.kl, one.error, strict=True))
        for name in one.params if largest < UNUSED else ():
            info = roles.get(name)
            if info is None or info.role not in ("model", "both"):
                continue
            if not info.constraint.lower().startswith(POSITIVE):
                continue
            fallen = _still_falling(run, name)
            if fallen > FALLEN:
                message = f'"{name}" goes to 0, and the prior of "{one.site}" with it: the guide '
                message += f"is its prior (KL about {max(*one.kl, 0.0):.1g} nats)"
                evidence = f"it is {math.exp(-fallen):.2g} times what it began with, and falling"
                yield Found(Subject("param", name), message, "", evidence, since=seen.step)


def _still_falling(run: Running, name: str) -> float:
    """By how much the log of a positive parameter has fallen since the start; 0 if it rests."""
    after, _ = run.evidence.recent(name)
    began = run.evidence.started.get(name)
    if began is None or len(after) < 64 or not after.shape[1] or not np.isfinite(after).all():
        return 0.0
    part = len(after) // 4
    drop = after[:part].mean(0) - after[-part:].mean(0)
    if not (drop > FALLING * len(after)).all():
        return 0.0
    return float((began - after[-part:].mean(0)).min())


def _misfit(run: Running) -> Iterator[Found]:
    """At rest, the data lie many standard deviations from where the likelihood puts them."""
    seen = run.seen
    if seen is None or seen.step < SETTLED_STEPS or run.faults:
        return
    gain = _gain(seen)
    for one in seen.fits:
        cost = 0.5 * one.count * (one.z2 - 1)
        if not one.z2 > MISFIT or not math.isfinite(gain) or cost < SLOW * max(gain, 0.0):
            continue
        if _is_slow(seen, gain):
            continue  # It only looks as if it were at rest.
        message = (
            f'the data of "{one.site}" lie {math.sqrt(one.z2):.3g} sd from where the model puts '
            f"them: its sd is {one.scale:.2g}, and they scatter by {one.scatter:.2g}"
        )
        evidence = f"mean squared z {one.z2:.3g} at step {seen.step}, where 1 is a fit"
        yield Found(Subject("site", one.site), message, "", evidence, since=seen.step)


def _outlier(run: Running) -> Iterator[Found]:
    """At rest, a single observation is where a normal likelihood never puts one."""
    seen = run.seen
    if seen is None or run.faults or not _settled(run, seen):
        return
    for one in seen.fits:
        if not (one.farthest > OUTLYING and one.z2 < MISFIT and one.count >= MANY):
            continue
        message = f'an observation of "{one.site}" lies {one.farthest:.2g} sd from where the model '
        message += f"puts it, and the {one.count} together {math.sqrt(one.z2):.2g}"
        evidence = f"mean over draws at step {seen.step}; a normal has none beyond 8 in 1e15"
        yield Found(Subject("site", one.site), message, "", evidence, since=seen.step)


def _unbounded(run: Running) -> Iterator[Found]:
    """The further a parameter goes, the higher the ELBO: there is no best value."""
    seen = run.seen
    if seen is None:
        return
    for one in seen.edges:
        if len(one.gains) < 3 or not all(map(math.isfinite, one.gains)):
            continue
        first, second, third = one.gains
        if not (first > 1 and second - first > 0.8 * first and third - second > 1.6 * first):
            continue
        if _gain(seen) > third:
            continue  # The run is still far from where all else would be.
        where = "grows" if one.sign > 0 else "shrinks"
        message = (
            f'the ELBO has no maximum: the more "{one.param}" {where}, the higher it is '
            f"(now {one.value:.3g})"
        )
        evidence = f"e^4, e^8 and e^16 times as far it is {first:.3g}, {second:.3g} and "
        evidence += f"{significant(third)} nats higher"
        yield Found(Subject("param", one.param), message, "", evidence, since=seen.step)


def _settled(run: Running, seen: Examination) -> bool:
    """Whether the run is old, and no longer gains what could matter."""
    first = run.evidence.first_elbo
    gained = abs(seen.elbo - first) if math.isfinite(first) else 0.0
    gain = _gain(seen)
    return seen.step >= SETTLED_STEPS and math.isfinite(gain) and gain < max(1.0, 0.01 * gained)


def _gain(seen: Examination) -> float:
    """What as many steps again as were tried gain at the present rate: nats; NaN if not known."""
    return math.nan if seen.trial is None else seen.trial.same.elbo - seen.elbo


def _is_slow(seen: Examination, gain: float) -> bool:
    """Whether a higher rate clearly gains many times what the present one does."""
    if seen.trial is None or seen.trial.higher is None:
        return False
    same, higher = seen.trial.same, seen.trial.higher
    more = higher.elbo - seen.elbo - 2 * math.hypot(same.error, higher.error)
    return more > max(1.0, SLOW * gain)


def _has_theta(run: Running) -> bool:
    layout = run.evidence.layout
    return layout is not None and any(info.role in ("model", "both") for info in layout.params)


def _fewer(before: Examination | None, site: str) -> bool:
    """Whether the site still carried something at the examination before."""
    found: list[Divergence] = [] if before is None else list(before.divergences)
    return any(one.site == site and max(one.kl) > USED for one in found) and before is not None


RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI123",
        name="prior-collapses",
        level="warning",
        message="the prior of a latent collapses to a point",
        why="The data are so little spread that the best prior is the narrowest: the ELBO rises "
        "while nothing is learnt of the latent any more.",
        remedy="give the parameter a prior and infer it, fix it, or bound it from below; with more "
        "data of more groups it need not collapse",
        reference="https://mc-stan.org/docs/stan-users-guide/problematic-posteriors.html",
        fires="""
def model():
    sigma = pyro.param("sigma", torch.tensor(1.5), constraint=constraints.positive)
    z = pyro.sample("z", dist.Normal(0.0, sigma))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.ClippedAdam({"lr": 0.03})
loss = Trace_ELBO(num_particles=100, vectorize_particles=True, max_plate_nesting=0)
""",
        silent="""
def model():
    sigma = pyro.param("sigma", torch.tensor(1.5), constraint=constraints.positive)
    z = pyro.sample("z", dist.Normal(0.0, sigma))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(2.0))


def guide():
    loc = pyro.param("loc", torch.tensor(1.0))
    scale = pyro.param("scale", torch.tensor(0.9), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.ClippedAdam({"lr": 0.03})
loss = Trace_ELBO(num_particles=100, vectorize_particles=True, max_plate_nesting=0)
""",
        check=_prior_collapse,
        when="running",
        steps=120,
    ),
    Rule(
        code="SVI120",
        name="latent-collapsed",
        level="warning",
        message="a latent carries nothing: its guide is its prior",
        why="The model has learned to explain the data without it, so its posterior tells nothing "
        "of them (posterior collapse).",
        remedy="give the latent something to do: a smaller noise scale in the likelihood, a weaker "
        "decoder, or a weight on the KL that grows from 0 (poutine.scale)",
        reference="https://arxiv.org/abs/1511.06349",
        fires="""
x = torch.randn(64, 1) @ torch.randn(1, 6) + 0.1 * torch.randn(64, 6)
enc, dec = torch.nn.Linear(6, 4), torch.nn.Linear(2, 6)


def model():
    pyro.module("dec", dec)
    with pyro.plate("n", 64):
        z = pyro.sample("z", dist.Normal(torch.zeros(64, 2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(dec(z), 3.0).to_event(1), obs=x)


def guide():
    pyro.module("enc", enc)
    with pyro.plate("n", 64):
        m, s = enc(x).chunk(2, -1)
        pyro.sample("z", dist.Normal(m, s.exp()).to_event(1))


optimizer = pyro.optim.Adam({"lr": 0.02})
""",
        silent="""
x = torch.randn(64, 1) @ torch.randn(1, 6) + 0.1 * torch.randn(64, 6)
enc, dec = torch.nn.Linear(6, 2), torch.nn.Linear(1, 6)


def model():
    pyro.module("dec", dec)
    with pyro.plate("n", 64):
        z = pyro.sample("z", dist.Normal(torch.zeros(64, 1), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(dec(z), 0.3).to_event(1), obs=x)


def guide():
    pyro.module("enc", enc)
    with pyro.plate("n", 64):
        m, s = enc(x).chunk(2, -1)
        pyro.sample("z", dist.Normal(m, s.exp()).to_event(1))


optimizer = pyro.optim.Adam({"lr": 0.02})
""",
        check=_collapse,
        when="running",
        steps=500,
    ),
    Rule(
        code="SVI121",
        name="likelihood-misfit",
        level="warning",
        message="at rest, the data do not fit the likelihood",
        why="A likelihood far too narrow carries all of the loss: it drowns the prior and every "
        "other site, and makes the posterior far too narrow as well.",
        remedy="give the scale of the likelihood a prior or make it a parameter, or see whether "
        "the data have the unit that the model expects",
        reference="https://pyro.ai/examples/bayesian_regression.html",
        fires="""
y = 2.0 + 0.5 * torch.randn(80)


def model():
    r = pyro.sample("r", dist.Normal(0.0, 3.0))
    with pyro.plate("n", 80):
        pyro.sample("y", dist.Normal(r, 1e-2), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.02})
""",
        silent="""
y = 2.0 + 0.5 * torch.randn(80)


def model():
    r = pyro.sample("r", dist.Normal(0.0, 3.0))
    with pyro.plate("n", 80):
        pyro.sample("y", dist.Normal(r, 0.5), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.02})
""",
        check=_misfit,
        when="running",
        steps=400,
    ),
    Rule(
        code="SVI124",
        name="outlier",
        level="note",
        message="an observation is far out where a normal likelihood never puts one",
        why="A normal likelihood gives it a weight that grows with the distance: it draws the "
        "whole fit to itself.",
        remedy="look at that observation, or use a likelihood with heavy tails such as StudentT",
        reference="https://mc-stan.org/docs/stan-users-guide/regression.html#robust-noise-models",
        fires="""
y = torch.cat([0.5 * torch.randn(79), torch.tensor([6.0])])


def model():
    r = pyro.sample("r", dist.Normal(0.0, 3.0))
    with pyro.plate("n", 80):
        pyro.sample("y", dist.Normal(r, 0.5), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        silent="""
y = torch.cat([0.5 * torch.randn(79), torch.tensor([6.0])])


def model():
    r = pyro.sample("r", dist.Normal(0.0, 3.0))
    with pyro.plate("n", 80):
        pyro.sample("y", dist.StudentT(3.0, r, 0.5), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        check=_outlier,
        when="running",
        steps=100,
    ),
    Rule(
        code="SVI122",
        name="no-maximum",
        level="warning",
        message="the ELBO has no maximum",
        why="The parameter goes on for ever, and where the run stops is chance.",
        remedy="see what should hold it back: a prior, a latent that the model has too, or data",
        reference="https://pyro.ai/examples/svi_part_i.html",
        fires="""
def model():
    with pyro.plate("n", 20):
        pyro.sample("x", dist.Normal(20.0, 2.0), obs=torch.randn(20) + 20.0)


def guide():
    sd = pyro.param("sd", torch.tensor(1.0), constraint=constraints.positive)
    with pyro.plate("n", 20):
        pyro.sample("other", dist.Normal(0.0, sd))
""",
        silent="""
def model():
    other = pyro.sample("other", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 20):
        pyro.sample("x", dist.Normal(20.0 + other, 2.0), obs=torch.randn(20) + 20.0)


def guide():
    sd = pyro.param("sd", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("other", dist.Normal(0.0, sd))
""",
        check=_unbounded,
        when="running",
        steps=40,
    ),
)
