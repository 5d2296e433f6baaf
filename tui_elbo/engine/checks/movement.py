"""Rules on how the parameters of a running run move, and whether they can: SVI110 on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tui_elbo.engine.checks.evidence import ParamTrack
from tui_elbo.engine.checks.examination import Examination
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.engine.checks.running import Running
from tui_elbo.model.estimate import one_digit, significant
from tui_elbo.model.findings import Subject

STILL_STEPS = 10
"""A parameter that has not moved in so many steps never does."""

DECAYED, CLEAR, WORTH = 1e-3, 4.0, 1.0
"""A rate is gone: the update is below this share of the largest, the gradient this many standard
errors from 0, and one more of the largest updates would gain so many nats. (Measured: faulty runs
22 nats and more, healthy decays 0.32.)"""

GAIN, SHARE = 1.0, 0.003
"""A lower rate gains more than so many nats, and than this share of what the run has gained."""

EACH = 0.05
"""And than so many nats for each number that is optimised: half the mean square of how far it lies
from its best, in standard deviations of its posterior. (Measured after 400 steps of Adam, gain over
numbers, on two regressions of 4 numbers and one of 8: 0.002 to 0.014 at a rate of 0.01, 0.04 to
0.08 at 0.03, 0.18 to 0.20 at 0.1; on the first of them 1.0 at a rate of 1.)"""

OUTSIDE_NATS, OUTSIDE_SD, OUTSIDE_STEPS = 10.0, 3.0, 1e5
"""A latent does not get there: the ELBO is more than the first below log p(x), its mean more than
the second from the posterior's, and that takes more steps than the third at its present speed."""

FAR, BEHIND = 2.0, 50.0
"""A higher rate gains more than so many nats in the time in which the present one gains this much
less."""


def _never_moves(run: Running) -> Iterator[Found]:
    """Every update of a parameter was exactly zero."""
    if "rate-zero" in run.faults:
        return
    for name, track in run.evidence.tracks.items():
        if track.steps < STILL_STEPS or track.still < track.steps or 0 in track.info.shape:
            continue
        if "__baseline" in name or _is_fixed(track):
            continue
        why, hint = _why_still(run, track)
        message = f'"{name}" never moves: {why}'
        yield Found(Subject("param", name), message, hint, since=track.first)


def _part_never_moves(run: Running) -> Iterator[Found]:
    """Some elements of a parameter stand still while others move."""
    for name, track in run.evidence.tracks.items():
        started = run.evidence.started.get(name)
        still = track.still == track.steps
        # A network may mask weights, or visit the rows of a table when their turn comes.
        if "$$$" in name or "." in name or not _by_element(track):
            continue
        if started is None or still or track.steps < PART_STEPS:
            continue
        after, grads = run.evidence.recent(name)
        if len(grads) < STILL_STEPS or grads.shape[1] != len(started) or len(started) < 2:
            continue
        stuck = (after[-1] == started) & (after == after[:1]).all(0) & (grads == 0.0).all(0)
        if not stuck.any() or stuck.all():
            continue
        shape = tuple(track.info.shape)
        first = np.unravel_index(int(np.flatnonzero(stuck)[0]), shape or (len(started),))
        place = ", ".join(str(int(one)) for one in first)
        count = int(stuck.sum())
        few = f"{name}[{place}] has"
        if count > 1:
            few = f"{name}[{place}] and {count - 1} more of {len(started)} elements have"
        message = f"{few} not moved since step {track.first}: "
        message += f"the gradient there was exactly 0 at each of the last {len(grads)} steps"
        yield Found(Subject("param", name), message, since=track.first)


def _by_element(track: ParamTrack) -> bool:
    """Whether each element of the parameter is moved by one number of its own."""
    constraint = track.info.constraint.lower()
    return not any(word in constraint for word in ("cholesky", "simplex", "corr", "ordered", "def"))


def _is_fixed(track: ParamTrack) -> bool:
    """Whether its constraint leaves it a single value, such as a 1 × 1 unit triangle."""
    constraint, shape = track.info.constraint.lower(), track.info.shape
    bound = any(word in constraint for word in ("cholesky", "simplex", "corr"))
    return bound and bool(shape) and shape[-1] == 1 and track.largest_gradient == 0.0


def _why_still(run: Running, track: ParamTrack) -> tuple[str, str]:
    name, rates = track.name, run.rates
    if rates is not None and name not in rates:
        if track.info.role == "none":
            return (
                "neither model nor guide reads it by pyro.param, so the optimiser never gets it",
                f'call pyro.param("{name}", ...) inside the model or the guide that uses it',
            )
        return (
            "the optimiser was never given it",
            "give it to the optimiser; see that requires_grad is set, and that the same tensor is "
            "read at each step",
        )
    if track.without == track.steps:
        return (
            "no gradient reaches it",
            "look between the parameter and the loss for what cuts the graph: float(), .item(), "
            ".data, .detach(), torch.tensor(...), torch.no_grad() or argmax",
        )
    if track.largest_gradient == 0.0:
        return (
            "its gradient is exactly 0 at every step",
            "the loss does not depend on it there: look for a value that is rounded or clamped, a "
            "unit that is never active, or a site that reaches no data",
        )
    return _why_no_update(track, None if rates is None else rates[name])


def _why_no_update(track: ParamTrack, rate: float | None) -> tuple[str, str]:
    """Why nothing comes of its gradient.

    Args:
        track: the parameter.
        rate: its learning rate; None where nobody knows what updates it.
    """
    if rate == 0.0:
        return "its learning rate is 0", "set a learning rate above 0 for it"
    gradient = f"(gradient up to {track.largest_gradient:.3g})"
    if rate is None:
        return (
            f"no update changes it {gradient}",
            "see that the optimiser holds this very tensor, and that its learning rate is not 0",
        )
    return (
        f"its updates are lost in rounding {gradient}",
        "raise its learning rate, or write it as a small number times a constant",
    )


def _rate_decayed(run: Running) -> Iterator[Found]:
    """The updates have become nothing while the gradient still points somewhere."""
    worst: tuple[float, ParamTrack, float] | None = None
    for name, track in run.evidence.tracks.items():
        if track.steps < 2 * STILL_STEPS or track.still == track.steps:
            continue
        if not track.update < DECAYED * track.largest_update:
            continue
        norm, clear = _mean_gradient(run, name)
        gain = norm * track.largest_update
        if clear > CLEAR and gain > WORTH and (worst is None or gain > worst[0]):
            worst = gain, track, norm
    if worst is None:
        return
    gain, track, norm = worst
    share = track.update / track.largest_update
    message = (
        f'the learning rate is gone before the run is done: the updates of "{track.name}" are '
        f"{share:.1g} of the largest, and its mean gradient is still {norm:.3g}"
    )
    if track.update == 0.0:
        message = (
            f'the learning rate is gone before the run is done: "{track.name}" stands still, and '
            f"its mean gradient is still {norm:.3g}"
        )
    evidence = f"one more of its largest updates would gain about {significant(gain)} nats"
    yield Found(Subject("param", track.name), message, "", evidence, since=run.step)


def _mean_gradient(run: Running, name: str) -> tuple[float, float]:
    """The norm of the mean of the newest gradients, and how many standard errors it has."""
    _, grads = run.evidence.recent(name)
    seen = run.seen
    if len(grads) >= 32 and np.isfinite(grads).all():
        mean = grads.mean(0)
        error = math.sqrt(float((grads.var(0, ddof=1) / len(grads)).sum()))
        norm = float(np.linalg.norm(mean))
        return norm, norm / error if error > 0 else math.inf if norm > 0 else 0.0
    pull = seen.pulls.get(name) if seen is not None and seen.step == run.step else None
    if pull is None or not math.isfinite(pull.norm) or seen is None:
        return 0.0, 0.0
    return pull.norm, pull.snr * math.sqrt(seen.draws)


def _rate_too_high(run: Running) -> Iterator[Found]:
    """The copy that went on at a tenth of the rate ends clearly higher."""
    seen = run.seen
    if seen is None or seen.trial is None or seen.trial.lower is None:
        return
    trial, lower = seen.trial, seen.trial.lower
    gain, error = lower.elbo - trial.same.elbo, math.hypot(lower.error, trial.same.error)
    gained = _gained(run, seen)
    if not gain - 2 * error > max(GAIN, SHARE * gained, EACH * run.numbers):
        return
    # A run that is on its way gains by its own rate, and never by a lower one.
    names = _moving(run)
    message = (
        f"the learning rate is too high: {trial.steps} steps at a tenth of it end "
        f"{significant(gain)} nats higher than as many at the present one"
    )
    evidence = f"± {one_digit(error)} nats, tried in a copy at step {seen.step}; "
    evidence += f"moving most: {names}"
    yield Found(Subject("optimizer"), message, "", evidence, since=seen.step)


def _rate_too_low(run: Running) -> Iterator[Found]:
    yield from _slower_than_a_copy(run)
    yield from _out_of_reach(run)


def _out_of_reach(run: Running) -> Iterator[Found]:
    """A latent is on its way to where it will not be in time: its numbers are far too large."""
    seen, rates = run.seen, [rate for rate in (run.rates or {}).values() if rate > 0]
    if seen is None or seen.peak is None or seen.trial is None or not rates or run.faults:
        return
    trial, worst = seen.trial.same, None
    if not seen.peak.weighed.bound - seen.elbo > OUTSIDE_NATS:
        return
    for one in seen.peak.places:
        ends = trial.means.get(one.site, ())
        if one.site not in seen.peak.real or not one.index < len(ends):
            continue
        moved, away = ends[one.index] - one.guide, one.mean - one.guide
        # A run that rests elsewhere goes to and fro.
        goes = moved * away > 0 and abs(moved) > 0.05 * max(rates) * trial.steps
        steps = abs(away) / max(abs(moved) / trial.steps, *rates)
        far = abs(away) > OUTSIDE_SD * one.sd and steps > max(OUTSIDE_STEPS, 20 * run.planned)
        if goes and far and (worst is None or steps > worst[0]):
            worst = steps, one, abs(moved) / trial.steps
    if worst is None:
        return
    steps, one, speed = worst
    message = (
        f'the learning rate is far too low for "{one.site}": its mean is {significant(one.guide)} '
        f"and goes {significant(speed, 2)} a step, and the posterior is at "
        f"{significant(one.mean)}: about {significant(steps, 1)} steps away at the least"
    )
    evidence = (
        f"tried in a copy at step {seen.step}; the posterior has a sd of {significant(one.sd, 2)}"
    )
    hint = "scale the data, so that latents are about 1; or start near where the data are"
    yield Found(Subject("site", one.site), message, hint, evidence, since=1)


def _slower_than_a_copy(run: Running) -> Iterator[Found]:
    """The copy that went on at a hundred times the rate got much further."""
    seen = run.seen
    if seen is None or seen.trial is None or seen.trial.higher is None:
        return
    trial, higher = seen.trial, seen.trial.higher
    gain, own = higher.elbo - seen.elbo, max(trial.same.elbo - seen.elbo, 0.0)
    error = math.hypot(higher.error, trial.same.error)
    left = max(run.planned - seen.step, 0) / max(trial.steps, 1)
    if not (gain - 2 * error > FAR and gain - 2 * error > BEHIND * own):
        return
    if gain < 2 * own * left or higher.elbo - 2 * error <= trial.same.elbo:
        return
    if any(edge.gains and edge.gains[-1] > GAIN for edge in seen.edges):
        return  # Where there may be no maximum, a higher rate only gets further on the way to it.
    if "rate-decayed" in run.faults or any("never" in fault for fault in run.faults):
        return
    message = (
        f"the learning rate is far too low: {trial.steps} steps at 100 times the rate gain "
        f"{significant(gain)} nats, as many at the present one {significant(own, 2)}"
    )
    evidence = f"± {one_digit(error)} nats, tried in a copy at step {seen.step}"
    yield Found(Subject("optimizer"), message, "", evidence, since=1)


def _gained(run: Running, seen: Examination) -> float:
    first = run.evidence.first_elbo
    return abs(seen.elbo - first) if math.isfinite(first) else 0.0


def _moving(run: Running) -> str:
    """The parameters that move most, in words."""
    tracks = sorted(run.evidence.tracks.values(), key=lambda one: -np.nan_to_num(one.update))
    return ", ".join(track.name for track in tracks[:2])


def _equal_rows(run: Running) -> Iterator[Found]:
    """Rows of a parameter hold the same numbers, and would do better apart."""
    seen = run.seen
    for one in seen.equal if seen is not None else ():
        track = run.evidence.tracks.get(one.param)
        if track is None or track.still == track.steps or track.steps < STILL_STEPS:
            continue
        if not one.gain - 2 * one.error > GAIN:
            continue
        few = ", ".join(map(str, one.rows[:4])) + (", …" if len(one.rows) > 4 else "")
        message = (
            f'rows {few} of "{one.param}" are equal at every step and get the same gradient, so '
            "they never part"
        )
        evidence = f"moved apart a little and fitted in a copy they gain {one.gain:.3g} nats"
        yield Found(Subject("param", one.param), message, "", evidence, since=track.first)


PART_STEPS = 100
"""So many steps are to be taken before a part of a parameter is said not to move."""

_START = "https://pyro.ai/examples/svi_part_iv.html"

RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI110",
        name="never-moves",
        level="warning",
        message="a parameter never moves",
        why="What is not moved is not fitted: the other parameters make up for it as they can.",
        remedy="see what cuts it off from the loss or from the optimiser",
        reference="https://docs.pyro.ai/en/stable/primitives.html#pyro.primitives.param",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(3.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc.detach(), scale))
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(3.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))
""",
        check=_never_moves,
        when="running",
        steps=20,
    ),
    Rule(
        code="SVI119",
        name="part-never-moves",
        level="warning",
        message="some elements of a parameter never move",
        why="No site uses them, or nothing of what uses them reaches the loss: they stay where "
        "they start, beside others that are fitted.",
        remedy="see that every index is used, and that data reach each of them",
        reference="https://docs.pyro.ai/en/stable/primitives.html#pyro.primitives.param",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    w = pyro.sample("w", dist.Normal(0.0, 10.0))
    pyro.sample("y", dist.Normal(z + 2.0 * w, 1.0), obs=torch.tensor(3.0))


def guide():
    locs = pyro.param("locs", torch.zeros(2))
    pyro.sample("z", dist.Normal(locs[0], 0.5))
    pyro.sample("w", dist.Normal(locs[0], 0.5))
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    w = pyro.sample("w", dist.Normal(0.0, 10.0))
    pyro.sample("y", dist.Normal(z + 2.0 * w, 1.0), obs=torch.tensor(3.0))


def guide():
    locs = pyro.param("locs", torch.zeros(2))
    pyro.sample("z", dist.Normal(locs[0], 0.5))
    pyro.sample("w", dist.Normal(locs[1], 0.5))
""",
        check=_part_never_moves,
        when="running",
        steps=110,
    ),
    Rule(
        code="SVI111",
        name="rate-decayed",
        level="warning",
        message="the learning rate has decayed to nothing before the run is done",
        why="The run looks converged, and has only been stopped: the gradient still points "
        "somewhere.",
        remedy="decay more slowly: lrd and gamma apply at every step, so gamma = final ** (1 / "
        "steps), or step the scheduler once an epoch (scheduler_every)",
        reference=_START,
        fires="""
y = 10.0 + torch.randn(50)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 20.0))
    with pyro.plate("n", 50):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.9})
""",
        silent="""
y = 10.0 + torch.randn(50)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 20.0))
    with pyro.plate("n", 50):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.999})
""",
        check=_rate_decayed,
        when="running",
        steps=250,
    ),
    Rule(
        code="SVI112",
        name="rate-too-high",
        level="warning",
        message="the learning rate is too high: the parameters never come to rest",
        why="The iterates jump about the optimum, and each jump costs ELBO; the last of them is "
        "what is used in the end.",
        remedy="lower the learning rate by ten, or let it decay (ClippedAdam with lrd, or a "
        "scheduler)",
        reference=_START,
        fires="""
x = torch.linspace(-1, 1, 60)
y = torch.poisson(torch.exp(1.0 + 1.5 * x))


def model():
    a = pyro.sample("a", dist.Normal(0.0, 3.0))
    b = pyro.sample("b", dist.Normal(0.0, 3.0))
    with pyro.plate("n", 60):
        pyro.sample("y", dist.Poisson(torch.exp(a + b * x)), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 1.0})
""",
        silent="""
x = torch.linspace(-1, 1, 60)
y = torch.poisson(torch.exp(1.0 + 1.5 * x))


def model():
    a = pyro.sample("a", dist.Normal(0.0, 3.0))
    b = pyro.sample("b", dist.Normal(0.0, 3.0))
    with pyro.plate("n", 60):
        pyro.sample("y", dist.Poisson(torch.exp(a + b * x)), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.01})
""",
        check=_rate_too_high,
        when="running",
        steps=300,
    ),
    Rule(
        code="SVI113",
        name="rate-too-low",
        level="warning",
        message="the learning rate is far too low",
        why="The curve looks flat, and the run is only slow.",
        remedy="raise the learning rate, by ten at a time; or start nearer to where the data are, "
        "or scale the data",
        reference=_START,
        fires="""
y = 10.0 + torch.randn(50)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 20.0))
    with pyro.plate("n", 50):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 1e-5})
""",
        silent="""
y = 10.0 + torch.randn(50)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 20.0))
    with pyro.plate("n", 50):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.02})
""",
        check=_rate_too_low,
        when="running",
        steps=100,
    ),
    Rule(
        code="SVI114",
        name="equal-rows",
        level="warning",
        message="rows of a parameter are equal, and stay so",
        why="Components that start alike get the same gradient for ever: the mixture has one "
        "component, the layer one unit.",
        remedy="start them apart: init_to_sample, torch.randn, or a component each at another "
        "quantile of the data",
        reference="https://pyro.ai/examples/gmm.html",
        fires="""
data = torch.cat([torch.randn(30) - 4.0, torch.randn(30) + 4.0])


def model():
    locs = pyro.param("locs", torch.zeros(2))
    mix = dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Normal(locs, 1.0))
    with pyro.plate("n", 60):
        pyro.sample("x", mix, obs=data)


def guide():
    pass
""",
        silent="""
data = torch.cat([torch.randn(30) - 4.0, torch.randn(30) + 4.0])


def model():
    locs = pyro.param("locs", torch.tensor([-1.0, 1.0]))
    mix = dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Normal(locs, 1.0))
    with pyro.plate("n", 60):
        pyro.sample("x", mix, obs=data)


def guide():
    pass
""",
        check=_equal_rows,
        when="running",
        steps=60,
    ),
)
