"""Rules on the sites of model and guide: SVI012 to SVI019."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

import torch
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from tui_elbo.engine.checks.influence import influence
from tui_elbo.engine.checks.look import Look, Pass, Site, base_of
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.model.findings import Subject

DRAWS = 256
"""Further draws of each guide site whose support is checked."""

WHOLE_LINE = ("Normal", "StudentT", "Cauchy", "Laplace", "Gumbel", "Logistic")
"""Distributions that reach every real number, whatever their parameters."""

RARE = 6.0
"""A value so many standard deviations away is drawn about once in 10⁹ times, by a normal."""


def _site(name: str) -> Subject:
    return Subject("site", name)


def _missing_in_guide(look: Look) -> Iterator[Found]:
    told: set[str] = set()
    for one in look.passes:
        if one.error is not None or look.by_messenger:
            continue
        drawn = one.sites("guide")
        for name, site in one.sites("model").items():
            if site.observed or name in drawn or name in told or look.summed_out(site):
                continue
            if site.enumerate is not None:
                continue  # `enumerate-ignored` says more
            told.add(name)
            near = _nearest(name, set(drawn) - set(one.sites("model")))
            hint = f'rename the guide\'s "{near}" to "{name}"' if near else ""
            if not near and _has_no_data(site):
                hint = "pass the data as obs=, or add a pyro.sample of the same name to the guide"
            message = f'latent "{name}" of the model is not in the guide, so it is not fitted'
            yield Found(_site(name), message, hint, line=site.line)


def _has_no_data(site: Site) -> bool:
    return "obs" in site.node["kwargs"]


def _not_in_model(look: Look) -> Iterator[Found]:
    told: set[str] = set()
    for one in look.passes:
        if one.error is not None or look.by_messenger:
            continue
        model = one.model.nodes
        for name, site in one.sites("guide").items():
            if name in model or site.auxiliary or site.observed or name in told:
                continue
            told.add(name)
            latents = {n for n, s in one.sites("model").items() if not s.observed}
            near = _nearest(name, latents - set(one.sites("guide")))
            message = f'guide site "{name}" is no site of the model'
            hint = ""
            if near:
                message += f', whose latent "{near}" is not in the guide'
                hint = f'rename it to "{near}" if that is meant'
            yield Found(_site(name), message, hint, line=site.line)


def _nearest(name: str, names: set[str]) -> str:
    by_plain = {_plain(other): other for other in names}
    close = difflib.get_close_matches(_plain(name), by_plain, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else ""


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _observed_in_model(look: Look) -> Iterator[Found]:
    for name, site in look.guide_sites.items():
        if name in look.observed and not site.observed:
            message = f'the guide draws "{name}", which the model observes'
            evidence = "its parameters act on log q only"
            yield Found(_site(name), message, evidence=evidence, line=site.line)


def _off_support(look: Look) -> Iterator[Found]:
    told: set[str] = set()
    tried: dict[str, int] = {}
    outside: dict[str, int] = {}
    example: dict[str, tuple[Found, float]] = {}
    for one in look.passes:
        model = one.sites("model")
        for name, site in one.sites("guide").items():
            prior = model.get(name)
            if prior is None or prior.observed or site.observed:
                continue
            if _excludes_part_of_line(site, prior) and name not in told:
                told.add(name)
                possible = _reaching(site, prior, "can draw")
                if not _within_reach(site, prior):
                    possible = possible._replace(level="note")
                example.setdefault(name, (possible, 0.0))
            for value in [site.value, *_more(site)]:
                bad = _outside(prior.fn, value.detach())
                if bad is None:
                    continue
                tried[name] = tried.get(name, 0) + bad.numel()
                outside[name] = outside.get(name, 0) + int(bad.sum())
                if bool(bad.any()):
                    example[name] = _reaching(site, prior), _first(value, bad)
    for name, (found, number) in example.items():
        if outside.get(name):
            share = f"{outside[name]} of {tried[name]} draws are outside, such as {number:.4g}"
            yield found._replace(evidence=share, level="error")
        else:
            yield found._replace(evidence=f"none of {tried.get(name, 0)} draws is outside")


def _reaching(site: Site, prior: Site, verb: str = "draws") -> Found:
    support = _words(prior.fn.support)
    dist = type(base_of(site.fn)).__name__
    message = f'the guide {verb} "{site.name}" outside the support of the model\'s ({support})'
    hint = f"draw it from a distribution on that support, in place of {dist}"
    if dist == "Delta":
        hint = f"give the parameter a constraint, such as constraint=constraints.{support}"
    return Found(_site(site.name), message, hint, line=site.line)


def _within_reach(site: Site, prior: Site) -> bool:
    """Whether a value so many standard deviations away is outside, or that is not known."""
    try:
        mean, sd = site.fn.mean.detach(), site.fn.stddev.detach()
        found = [_outside(prior.fn, mean + sign * RARE * sd) for sign in (-1, 1)]
    except Exception:
        return True
    return not bool(torch.isfinite(sd).all()) or any(b is None or bool(b.any()) for b in found)


def _excludes_part_of_line(site: Site, prior: Site) -> bool:
    if type(base_of(site.fn)).__name__ not in WHOLE_LINE:
        return False
    try:
        ends = torch.tensor([-1e6, 1e6])
        shape = site.fn.batch_shape + site.fn.event_shape
        return any(not bool(prior.fn.support.check(end.expand(shape)).all()) for end in ends)
    except Exception:
        return False


def _more(site: Site) -> list[Tensor]:
    """Further draws from a guide's site, one by one as far as its shape goes."""
    if site.value.numel() > 10_000 or type(base_of(site.fn)).__name__ == "Delta":
        return []
    count = max(1, min(DRAWS, 20_000 // max(site.value.numel(), 1)) // 12)
    try:
        with torch.no_grad():
            return list(site.fn.sample(torch.Size([count])))
    except Exception:
        return []


def _outside(fn: Any, value: Tensor) -> Tensor | None:
    try:
        inside: Tensor = fn.support.check(value)
    except Exception:
        return None
    finite = torch.isfinite(value) if value.is_floating_point() else torch.ones_like(value).bool()
    while finite.dim() > inside.dim():
        finite = finite.all(-1)
    if not bool(finite.all()):
        return None
    return ~inside


def _first(value: Tensor, bad: Tensor) -> float:
    if value.dim() > bad.dim():
        value = value.reshape(*bad.shape, -1)
        rows = value[bad].reshape(-1)
        return float(rows[rows.abs().argmin()]) if rows.numel() else float("nan")
    return float(value.expand(bad.shape)[bad].reshape(-1)[0])


def _words(support: Any) -> str:
    base = support
    while hasattr(base, "base_constraint"):
        base = base.base_constraint
    name = str(base).partition("(")[0].rpartition(".")[2].strip("_")
    bounds = []
    for key in ("lower_bound", "upper_bound"):
        bound = getattr(base, key, None)
        if isinstance(bound, int | float):
            bounds.append(f"{bound:g}")
        elif isinstance(bound, Tensor) and bound.numel() == 1:
            bounds.append(f"{float(bound):g}")
    words = {
        "Positive": "positive",
        "GreaterThan": "positive" if bounds == ["0"] else "greater than",
        "GreaterThanEq": "nonnegative" if bounds == ["0"] else "at least",
        "UnitInterval": "unit_interval",
        "Interval": "unit_interval" if bounds == ["0", "1"] else "interval",
        "Simplex": "simplex",
        "IntegerInterval": "integers",
        "NonnegativeInteger": "nonnegative_integer",
    }
    found = words.get(name, name[:1].lower() + name[1:])
    plain = found in {"positive", "nonnegative", "unit_interval", "simplex", "nonnegative_integer"}
    return found if plain or not bounds else f"{found} {' to '.join(bounds)}"


def _invalid_argument(look: Look) -> Iterator[Found]:
    counts: dict[tuple[str, str, str], int] = {}
    first: dict[tuple[str, str, str], tuple[float, int]] = {}
    for one in look.passes:
        # Of a draw that is outside its support the guide is the cause, whatever comes of it.
        for side in ("guide",) if draws_outside(one) else ("guide", "model"):
            for name, site in one.sites(side).items():
                for arg, value in broken_arguments(site.fn).items():
                    key = name, arg, side
                    counts[key] = counts.get(key, 0) + 1
                    first.setdefault(key, (value, site.line))
    total = len(look.passes)
    for (name, arg, side), count in counts.items():
        value, line = first[name, arg, side]
        message = f'the {arg} of "{name}" in the {side} is not valid: {value:.4g}'
        evidence = f"in {count} of {total} runs of guide and model"
        yield Found(_site(name), message, evidence=evidence, line=line)


def draws_outside(now: Pass) -> bool:
    """Whether a latent is outside the support that the model gives it."""
    for site in now.sites("model").values():
        try:
            inside = site.observed or bool(site.fn.support.check(site.value).all())
        except Exception:
            continue
        if not inside:
            return True
    return False


def broken_arguments(fn: Any) -> dict[str, float]:
    """Arguments of a distribution that are beyond their bounds, with the worst value.

    A bound itself counts as within: an exponential may round to it.
    """
    found: dict[str, float] = {}
    base = base_of(fn)
    constraints_of = getattr(type(base), "arg_constraints", {})
    if not isinstance(constraints_of, dict):
        return found
    for arg, constraint in constraints_of.items():
        value = vars(base).get(arg)
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
            worst = beyond(constraint, value.detach())
            if worst is not None:
                found[arg] = worst
    for inner in ("base_dist", "_component_distribution", "_mixture_distribution"):
        part = getattr(base, inner, None)
        if part is not None and part is not base:
            found |= broken_arguments(part)
    return found


def beyond(constraint: Any, value: Tensor) -> float | None:
    """The value that lies farthest beyond the bounds of a constraint; None if none does."""
    value = value[torch.isfinite(value)] if not bool(torch.isfinite(value).all()) else value
    if not value.numel():
        return None
    while hasattr(constraint, "base_constraint"):
        constraint = constraint.base_constraint
    name = type(constraint).__name__.strip("_")
    if name in {"LowerCholesky"}:
        value, name = torch.diagonal(value, dim1=-2, dim2=-1), "Positive"
    if name == "PositiveDefinite":
        value, name = torch.linalg.eigvalsh(value.double()), "PositiveDefinite"
    low, high = _bounds(constraint, name)
    if low is not None:
        worst = float((value - low).min())
        slack = 1e-5 * float(value.abs().max()) if name == "PositiveDefinite" else 0.0
        if worst < -slack:
            return float(value.reshape(-1)[(value - low).reshape(-1).argmin()])
    if high is not None and float((value - high).max()) > 1e-5:
        return float(value.reshape(-1)[(value - high).reshape(-1).argmax()])
    return None


def _bounds(constraint: Any, name: str) -> tuple[Any, Any]:
    fixed = {"Positive": (0.0, None), "PositiveDefinite": (0.0, None), "Simplex": (0.0, None)}
    if name in fixed:
        return fixed[name]
    low = getattr(constraint, "lower_bound", None)
    high = getattr(constraint, "upper_bound", None)
    if isinstance(low, Tensor | int | float) or isinstance(high, Tensor | int | float):
        return _number(low), _number(high)
    return None, None


def _number(bound: Any) -> float | None:
    if isinstance(bound, int | float):
        return float(bound)
    return float(bound) if isinstance(bound, Tensor) and bound.numel() == 1 else None


def _unused_latent(look: Look) -> Iterator[Found]:
    seen = influence(look)
    if not seen.known or not look.observed:
        return
    targets = set(look.observed)
    shared = _read(look.main.model) & _read(look.main.guide)
    if shared:
        return  # The data may act on a latent through a parameter of its distribution.
    for name, site in look.latents.items():
        if not seen.reaches(name, targets) and not look.counts_nothing(name):
            message = f'latent "{name}" reaches no observed site: no data can move it'
            yield Found(_site(name), message, line=site.line)


def _read(trace: Any) -> set[str]:
    """The parameters that a trace reads."""
    return {name for name, node in trace.nodes.items() if node["type"] == "param"}


def _fixed_observed(look: Look) -> Iterator[Found]:
    if look.main.error is not None or look.by_messenger:
        return
    seen = influence(look)
    if look.latents and not seen.known:
        return
    fixed = [
        site
        for name, site in look.observed.items()
        if not seen.reached(name) and not _has_graph(look.main, site)
    ]
    alone = len(fixed) == len(look.observed)
    for site in fixed:
        message = f'observed site "{site.name}" depends on no latent and no parameter'
        level = "warning" if alone else "note"
        yield Found(_site(site.name), message, level=level, line=site.line)  # type: ignore[arg-type]


def _has_graph(_: Pass, site: Site) -> bool:
    try:
        with torch.enable_grad():
            return bool(site.fn.log_prob(site.node["value"]).requires_grad)
    except Exception:
        return True


def _no_data(look: Look) -> Iterator[Found]:
    if look.main.error is None and look.model_sites and not look.observed:
        yield Found(Subject("data"), "the model observes no data")


def _sites_change(look: Look) -> Iterator[Found]:
    sound = [one for one in look.passes if one.error is None]
    if len(sound) < 2:
        return
    if any(site_is_subsample(node) for node in look.main.model.nodes.values()):
        return  # other data may have other sites
    names = [
        {name for name, site in one.sites("model").items() if not look.summed_out(site)}
        for one in sound
    ]
    every, always = set[str]().union(*names), names[0].intersection(*names)
    changing = sorted(every - always)
    if changing:
        name, more = changing[0], len(changing) - 1
        message = f'site "{name}" of the model comes and goes' + (
            f", with {more} more" * (more > 0)
        )
        evidence = f"it is there in {sum(name in some for some in names)} of {len(names)} runs"
        line = next(o.sites("model")[name].line for o in sound if name in o.sites("model"))
        yield Found(_site(name), message, evidence=evidence, line=line)


def _shape_differs(look: Look) -> Iterator[Found]:
    for name, site in look.guide_sites.items():
        prior = look.latents.get(name)
        if prior is None or site.auxiliary or look.main.error is not None:
            continue
        own = tuple(prior.fn.batch_shape) + tuple(prior.fn.event_shape)
        given = tuple(site.value.shape)
        same = given == own or site.value.numel() == _size(own)
        if not same and not look.counts_nothing(name):
            message = f'the guide draws "{name}" with shape {given}, the model\'s has {own}'
            yield Found(_site(name), message, line=site.line)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for part in shape:
        size *= part
    return size


def _cannot_run(look: Look) -> Iterator[Found]:
    errors = [one.error for one in look.estimates]
    if not errors or any(error is None for error in errors):
        return
    error = errors[0]
    assert error is not None
    text = str(error)
    given = getattr(look.scenario.loss, "max_plate_nesting", float("inf"))
    frames = [f for s in look.model_sites.values() for f in s.node["cond_indep_stack"]]
    nesting = max([-frame.dim for frame in frames if frame.vectorized], default=0)
    if nesting > given:
        message = f"max_plate_nesting is {given}, and the plates take {nesting} dimensions"
        hint = f"give the estimator max_plate_nesting={nesting}"
        yield Found(Subject("estimator"), f"every step fails: {message}", hint)
        return
    named = _IN_ERROR.search(text)
    subject = _site(named[1]) if named else Subject("run")
    hint = next((hint for words, hint in _KNOWN_ERRORS if words in text), "")
    lines = [line.strip() for line in text.splitlines() if line.strip()][:2]
    message = f"every step fails: {type(error).__name__}: {' '.join(lines)}"
    yield Found(subject, message[:MOST_WORDS].rstrip(".:"), hint)


MOST_WORDS = 300
"""Characters of an error that are repeated."""

_IN_ERROR = re.compile(r"""(?:site|sites named|site named) ['"]([^'"]+)['"]""")

_KNOWN_ERRORS = (
    ("already in the trace as a param", "give the site and the parameter different names"),
    ("Multiple sample sites named", "give each pyro.sample a name of its own"),
    ("Multiple param sites named", "give each pyro.param a name of its own"),
    ("collide at dim", "give the plates different dims: pyro.plate(..., dim=-1) and dim=-2"),
    ("cast to the desired output type Long", "convert the data to floats: data.float()"),
    (
        "Continuous inference cannot handle discrete",
        "hide the site from the guide with poutine.block, and enumerate it with TraceEnum_ELBO",
    ),
    ("must be same", "give data and distribution the same shape"),
)
"""What an error says, and what to do."""


SVI = "https://pyro.ai/examples/svi_part_i.html"
SUPPORT = "https://pyro.ai/examples/svi_part_iv.html"

RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI012",
        name="missing-in-guide",
        level="warning",
        message="a latent of the model is not in the guide",
        why="The site is drawn from its prior at each step, so it is not fitted, and its draws are "
        "noise in every gradient.",
        remedy="add a pyro.sample of the same name to the guide",
        reference=SVI,
        fires="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(a + b, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("a", dist.Normal(loc, 1.0))
""",
        silent="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(a + b, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        check=_missing_in_guide,
    ),
    Rule(
        code="SVI002",
        name="not-in-model",
        level="error",
        message="a guide site is no site of the model",
        why="log p has no term for it, so its parameters only raise the entropy; the latent that "
        "was meant is drawn from its prior.",
        remedy="give it the name of the model's latent, or take it out of the guide",
        reference=SVI,
        fires="""
def model():
    rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    pyro.sample("x", dist.Poisson(rate), obs=torch.tensor(3.0))


def guide():
    a = pyro.param("a", torch.tensor(2.0), constraint=constraints.positive)
    pyro.sample("rat", dist.Gamma(a, 1.0))
""",
        silent="""
def model():
    rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    pyro.sample("x", dist.Poisson(rate), obs=torch.tensor(3.0))


def guide():
    a = pyro.param("a", torch.tensor(2.0), constraint=constraints.positive)
    pyro.sample("rate", dist.Gamma(a, 1.0))
""",
        check=_not_in_model,
    ),
    Rule(
        code="SVI003",
        name="observed-in-model",
        level="error",
        message="the guide draws a site that the model observes",
        why="The model keeps its data, so the guide's draw is used nowhere: its parameters act on "
        "log q only, and drift.",
        remedy="take the site out of the guide: a guide draws the latents only",
        reference=SVI,
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    z = pyro.sample("z", dist.Normal(loc, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0))
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))
""",
        check=_observed_in_model,
    ),
    Rule(
        code="SVI004",
        name="outside-support",
        level="warning",
        message="the guide draws values outside the support of the model's site",
        why="Such a draw has log p of minus infinity, or raises an error: the ELBO is minus "
        "infinity, however rare the draws are.",
        remedy="draw the site from a distribution on the support of the model's",
        reference=SUPPORT,
        fires="""
def model():
    sd = pyro.sample("sd", dist.HalfNormal(1.0))
    pyro.sample("x", dist.Normal(0.0, sd), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.5))
    pyro.sample("sd", dist.Normal(loc, 0.5))
""",
        silent="""
def model():
    sd = pyro.sample("sd", dist.HalfNormal(1.0))
    pyro.sample("x", dist.Normal(0.0, sd), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.5))
    pyro.sample("sd", dist.LogNormal(loc, 0.5))
""",
        check=_off_support,
    ),
    Rule(
        code="SVI005",
        name="invalid-argument",
        level="error",
        message="a distribution is given an argument that is not valid",
        why="A negative scale or a probability above 1 has no density: the step fails, or its loss "
        "is not a number.",
        remedy="pass the argument through exp, softplus or sigmoid, or draw it from a distribution "
        "on the right support",
        reference="https://pytorch.org/docs/stable/distributions.html",
        fires="""
def model():
    sd = pyro.sample("sd", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(0.0, sd), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        silent="""
def model():
    sd = pyro.sample("sd", dist.Normal(0.0, 1.0)).exp()
    pyro.sample("x", dist.Normal(0.0, sd), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        check=_invalid_argument,
    ),
    Rule(
        code="SVI006",
        name="unused-latent",
        level="warning",
        message="a latent reaches no observed site",
        why="No data can move it: its posterior is its prior, and fitting it is wasted, unless it "
        "was meant to be used.",
        remedy="use it in the likelihood, or take it out of model and guide",
        reference="https://docs.pyro.ai/en/stable/infer.util.html",
        fires="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(a, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        silent="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(a, 1.0))
    pyro.sample("x", dist.Normal(b, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        check=_unused_latent,
        slow=True,
    ),
    Rule(
        code="SVI007",
        name="constant-likelihood",
        level="warning",
        message="an observed site depends on no latent and no parameter",
        why="Its log probability is a constant: the data say nothing about what is fitted.",
        remedy="let its distribution depend on a latent or a parameter",
        reference=SVI,
        fires="""
def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(0.0, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        check=_fixed_observed,
        slow=True,
    ),
    Rule(
        code="SVI008",
        name="shape-differs",
        level="error",
        message="guide and model draw a site with different shapes",
        why="The model is given the guide's value: with another shape it is broadcast, and each "
        "copy counts as a latent or an observation of its own.",
        remedy="give both the same shape",
        reference="https://pyro.ai/examples/tensor_shapes.html",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.zeros(3))
    pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.zeros(3))
    pyro.sample("z", dist.Normal(loc, 1.0).to_event(1))
""",
        check=_shape_differs,
    ),
    Rule(
        code="SVI009",
        name="sites-change",
        level="note",
        message="a site of the model comes and goes",
        why="Its term is there in some steps only; a guide must draw it in the same steps, and an "
        "automatic guide cannot.",
        remedy="make sure that the guide draws it exactly when the model does",
        reference="https://pyro.ai/examples/intro_long.html",
        fires="""
def model():
    k = pyro.sample("k", dist.Bernoulli(0.5))
    z = pyro.sample("z", dist.Normal(0.0, 1.0)) if k else torch.tensor(0.0)
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.unit_interval)
    if pyro.sample("k", dist.Bernoulli(p)):
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))


loss = TraceGraph_ELBO()
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        check=_sites_change,
    ),
    Rule(
        code="SVI010",
        name="no-data",
        level="note",
        message="the model observes no data",
        why="Without an observed site the posterior is the prior, which is what a guide is then "
        "fitted to.",
        remedy="pass the data as obs= if there are any",
        reference=SVI,
        fires="""
def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))


guide = AutoNormal(model)
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        check=_no_data,
    ),
    Rule(
        code="SVI019",
        name="step-fails",
        level="error",
        message="every step fails",
        why="The estimator raises the same error each time that it is tried, so no step can be "
        "taken.",
        remedy="mend what the error names; the first step shows its place and its traceback",
        reference="https://pyro.ai/examples/tensor_shapes.html",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z @ z, 1.0), obs=torch.tensor(1.0))


def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z * z, 1.0), obs=torch.tensor(1.0))


def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))
""",
        check=_cannot_run,
    ),
)
