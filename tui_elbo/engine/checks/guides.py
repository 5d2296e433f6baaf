"""Rules on the guide of a run at rest, from importance weights of its draws; SVI130 on.

No threshold here has been measured on a bench but that of the bound; they are set so that what is
said is seen well beyond its noise, and that a guide of another family would do clearly better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tui_elbo.engine.checks.examination import Examination
from tui_elbo.engine.checks.fit import SETTLED_STEPS
from tui_elbo.engine.checks.peak import Peak, Place
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.engine.checks.running import Running
from tui_elbo.engine.checks.weighing import Pair, Spread, Weighed
from tui_elbo.model.estimate import one_digit, significant
from tui_elbo.model.findings import Subject

REST = 0.05
"""Nats that neither more steps nor another rate may gain: half of the tolerance of the verdict."""

WORTH = 0.05
"""Nats that the gap must have: half of the tolerance of the verdict."""

FACTOR, GRAVE = 1.2, 2.5
"""Of a standard deviation: noted beyond the first, warned of beyond the second. (A normal guide
whose standard deviation is 1.6 times too small has k̂ 0.6; narrower ones cannot be weighed.)"""

CORRELATED = 0.4
"""By which a correlation differs."""

BELOW = 1.0
"""Nats below a trusted bound. (Measured: faulty runs 242 and more; a mean-field guide of a
correlated posterior can have more than 1, so that it is a note.)"""

NEGATIVE = 0.1
"""Nats by which a KL is below 0."""

OWN = {"guide-too-narrow", "guide-too-wide"}
"""Faults beside which the others are still reported: there was none before the first of them."""

ERRORS = 3.0
"""Standard errors."""


def _examined(run: Running) -> Examination | None:
    """The newest examination of a run without another fault; None of any other."""
    seen = run.seen
    if seen is None or (run.faults and not run.faults & OWN):
        return None
    return seen if seen.step >= SETTLED_STEPS and math.isfinite(seen.elbo) else None


def _rests(seen: Examination) -> bool:
    if seen.trial is None:
        return False
    trials = (seen.trial.same, seen.trial.lower, seen.trial.higher)
    return not any(
        other is not None and other.elbo - seen.elbo > REST + 2 * other.error for other in trials
    )


def _at_rest(run: Running) -> Weighed | None:
    """The weights of a run at rest without another fault; None of any other."""
    seen = _examined(run)
    return seen.weighed if seen is not None and _rests(seen) else None


def _beside(run: Running) -> Peak | None:
    """The posterior near the peak of log p, where the weights of the guide's draws say nothing."""
    seen = _examined(run)
    return seen.peak if seen is not None and seen.weighed is None else None


def _too_narrow(run: Running) -> Iterator[Found]:
    yield from _spreads(run, 1)
    yield from _narrow_beside(run)


def _narrow_beside(run: Running) -> Iterator[Found]:
    """Sites far narrower than a guide without correlations would have to be."""
    peak, seen = _beside(run), run.seen
    if peak is None or seen is None or not _rests(seen):
        return
    worst: dict[str, tuple[float, Place]] = {}
    for place, spread in zip(peak.places, peak.weighed.spreads, strict=True):
        times = min(place.alone / place.own, spread.ratio)
        # The guide has to be where that peak is.
        near = abs(place.guide - place.mean) < ERRORS * place.sd
        grave = math.log(times) - ERRORS * spread.error > math.log(GRAVE)
        if near and grave and times > worst.get(place.site, (0.0,))[0]:
            worst[place.site] = times, place
    for site, (_, place) in worst.items():
        message = (
            f'the guide of "{site}" is too narrow: its sd is {significant(place.own, 2)}, and '
        )
        message += f"that of the posterior {significant(place.sd, 2)}"
        evidence = _of(peak.weighed, beside=True)
        yield Found(Subject("site", site), message, "", evidence, "warning", run.step)


def _of(weighed: Weighed, *, beside: bool) -> str:
    """How that is known."""
    whose = " of a normal at the peak of log p" if beside else ""
    khat = f", k̂ {weighed.khat:.2f}" if math.isfinite(weighed.khat) else ""
    return f"by importance weights of {weighed.draws} draws{whose}{khat}"


def _too_wide(run: Running) -> Iterator[Found]:
    yield from _spreads(run, -1)


def _spreads(run: Running, sign: int) -> Iterator[Found]:
    """Sites whose standard deviation the weights make larger (1) or smaller (−1)."""
    weighed = _at_rest(run)
    if weighed is None or weighed.bound - weighed.elbo - ERRORS * weighed.error < WORTH:
        return
    worst: dict[str, Spread] = {}
    for one in weighed.spreads:
        least = sign * math.log(one.ratio) - ERRORS * one.error
        best = worst.get(one.site)
        if least > math.log(FACTOR) and (best is None or one.ratio**sign > best.ratio**sign):
            worst[one.site] = one
    correlated = {name for pair in _missing(weighed) for name in (pair.one, pair.other)}
    for site, one in worst.items():
        times = one.ratio**sign
        grave = times > GRAVE and sign * math.log(one.ratio) - ERRORS * one.error > math.log(2)
        word = "narrow" if sign > 0 else "wide"
        message = f'the guide of "{site}" is too {word}: its sd is {1 / one.ratio:.2g} times that '
        message += "of the posterior"
        evidence = _of(weighed, beside=False)
        hint = ""
        if site in correlated:
            hint = "its correlations are missing: use AutoMultivariateNormal"
        yield Found(
            Subject("site", site),
            message,
            hint,
            evidence,
            level="warning" if grave and site not in correlated else "note",
            since=run.step,
        )


def _missing(weighed: Weighed) -> list[Pair]:
    return [
        one
        for one in weighed.pairs
        if abs(one.weighted - one.guide) - ERRORS * one.error > CORRELATED
        and abs(one.weighted) > abs(one.guide)
    ]


def _missing_correlation(run: Running) -> Iterator[Found]:
    """The posterior is correlated where the guide is not."""
    weighed, peak = _at_rest(run), _beside(run)
    if peak is not None and peak.independent:
        weighed = peak.weighed  # Such a guide never has one, at rest or not.
    pairs = _missing(weighed) if weighed is not None else []
    if weighed is None or not pairs:
        return
    one = max(pairs, key=lambda pair: abs(pair.weighted - pair.guide))
    what = f'"{one.one}" and "{one.other}"'
    if one.one == one.other:
        what = f'elements of "{one.one}"'
    message = f"{what} have a correlation of {one.weighted:.2f} in the posterior and "
    message += f"{one.guide:.2f} in the guide"
    evidence = f"± {one_digit(one.error)}, {_of(weighed, beside=peak is not None)}"
    yield Found(Subject("site", one.one), message, "", evidence, since=run.step)


def _below_bound(run: Running) -> Iterator[Found]:
    """At rest, the ELBO is clearly below the importance-weighted bound."""
    weighed, peak, seen = _at_rest(run), _beside(run), run.seen
    # A guide that could fit, and that its weights do not speak of, may only be slow.
    cannot = peak is not None and (peak.independent or "guide-too-narrow" in run.faults)
    if cannot and seen is not None and _rests(seen) and peak is not None:
        weighed = peak.weighed
    if weighed is None or weighed.bound - weighed.elbo - ERRORS * weighed.error < BELOW:
        return
    gap = weighed.bound - weighed.elbo
    message = f"at rest the ELBO is {significant(gap, 2)} nats below log p(x): the guide does not "
    message += "fit the posterior"
    evidence = f"± {one_digit(weighed.error)}, {_of(weighed, beside=peak is not None)}"
    yield Found(Subject("run", "guide"), message, "", evidence, since=run.step)


def _above_bound(run: Running) -> Iterator[Found]:
    """E[log q − log p] of the latents is a KL, and cannot be negative."""
    seen = run.seen
    if seen is None or seen.divergence is None or run.faults:
        return
    kl, error = seen.divergence
    if not (math.isfinite(kl) and kl + 5 * error < -NEGATIVE):
        return
    message = (
        f"E[log q − log p] of the latents is {significant(kl)} nats, and a KL is never negative: "
    )
    message += "model and guide do not count the same latents the same number of times"
    evidence = f"± {one_digit(error)}, {seen.draws} draws at step {seen.step}"
    yield Found(Subject("run"), message, "", evidence, since=seen.step)


_GUIDES = "https://docs.pyro.ai/en/stable/infer.autoguide.html"
_PSIS = "https://arxiv.org/abs/1802.02538"

RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI130",
        name="guide-too-narrow",
        level="note",
        message="at rest, the guide is narrower than the posterior",
        why="Intervals from the guide are too short. A mean-field guide is so wherever latents are "
        "correlated; another one has a scale that is fixed or not fitted.",
        remedy="make the scale of the guide a parameter, or use a guide with more freedom",
        reference=_PSIS,
        fires="""
y = torch.randn(3)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 0.4))


optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        silent="""
y = torch.randn(3)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        check=_too_narrow,
        when="running",
        steps=300,
    ),
    Rule(
        code="SVI131",
        name="guide-too-wide",
        level="note",
        message="at rest, the guide is wider than the posterior",
        why="The ELBO would be higher with a smaller scale, which the guide cannot have.",
        remedy="make the scale of the guide a parameter, or give each latent its own",
        reference=_PSIS,
        fires="""
y = torch.randn(20)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 20):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))


optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        silent="""
y = torch.randn(20)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 20):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        check=_too_wide,
        when="running",
        steps=300,
    ),
    Rule(
        code="SVI132",
        name="missing-correlation",
        level="note",
        message="the posterior has a correlation that the guide has not",
        why="A mean-field guide draws its latents independently: each is too narrow, and what "
        "depends on two of them has a wrong spread.",
        remedy="use AutoMultivariateNormal or AutoLowRankMultivariateNormal, or write the model so "
        "that the latents are less correlated (centre the predictors)",
        reference=_GUIDES,
        fires="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(a + b, 0.8), obs=torch.tensor(0.0))


def guide():
    a = pyro.param("a_loc", torch.tensor(0.0))
    b = pyro.param("b_loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.6), constraint=constraints.positive)
    pyro.sample("a", dist.Normal(a, scale))
    pyro.sample("b", dist.Normal(b, scale))


optimizer = pyro.optim.Adam({"lr": 0.005})
""",
        silent="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(a + b, 0.8), obs=torch.tensor(0.0))


guide = AutoMultivariateNormal(model, init_loc_fn=init_to_median, init_scale=0.6)
optimizer = pyro.optim.Adam({"lr": 0.005})
""",
        check=_missing_correlation,
        when="running",
        steps=300,
    ),
    Rule(
        code="SVI133",
        name="below-a-trusted-bound",
        level="note",
        message="at rest, the ELBO is far below an importance-weighted bound on log p(x)",
        why="The ELBO is no estimate of log p(x) then, and models cannot be compared by it.",
        remedy="use a guide with more freedom, or compare models by the bound",
        reference="https://arxiv.org/abs/1509.00519",
        fires="""
y = torch.randn(20)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 20):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))


optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        silent="""
y = torch.randn(20)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 20):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        check=_below_bound,
        when="running",
        steps=300,
    ),
    Rule(
        code="SVI134",
        name="negative-kl",
        level="warning",
        message="log p and log q do not count the same: a KL is negative",
        why="The ELBO is then no lower bound of log p(x), and rises above it.",
        remedy="see that poutine.scale, poutine.mask and plates are around the same latents in "
        "model and guide",
        reference="https://docs.pyro.ai/en/stable/poutine.html#pyro.poutine.handlers.scale",
        fires="""
def model():
    with poutine.scale(scale=0.1):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(0.5))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))
""",
        silent="""
def model():
    with poutine.scale(scale=0.1):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(0.5))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    with poutine.scale(scale=0.1):
        pyro.sample("z", dist.Normal(loc, scale))
""",
        check=_above_bound,
        when="running",
        steps=40,
    ),
)
