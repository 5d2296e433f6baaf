"""Rules on the estimator and the optimiser, and what they expect: SVI050 to SVI069."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pyro
import torch
from pyro.infer import (
    RenyiELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    TraceTMC_ELBO,
)
from pyro.optim import PyroLRScheduler
from torch import Tensor, nn
from torch.distributions import kl_divergence

from tui_elbo.engine.checks.influence import influence
from tui_elbo.engine.checks.look import Look, Pass, Site, base_of, log_prob
from tui_elbo.engine.checks.parameters import learning_rate
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.model.findings import Subject

SECONDS = 0.5
"""For stepping a scheduler to the end of the run."""

LATE = 0.9
"""Of a run: a rate that vanishes later was meant to."""

GONE = 0.9e-3
"""A learning rate multiplied by less is as good as none."""

_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_DROPOUT = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)


def _site(name: str) -> Subject:
    return Subject("site", name)


def _name(look: Look) -> str:
    return type(look.scenario.loss).__name__


def _estimates_score(look: Look) -> bool:
    """Whether the estimator takes the gradient through a discrete draw by its score alone."""
    loss = look.scenario.loss
    if isinstance(loss, TraceGraph_ELBO | TraceTMC_ELBO):
        return False
    return isinstance(loss, Trace_ELBO | TraceMeanField_ELBO | TraceEnum_ELBO | RenyiELBO)


def _not_differentiable(look: Look) -> Iterator[Found]:
    if not _estimates_score(look):
        return
    for name, site in look.guide_sites.items():
        fn = site.fn
        if site.observed or site.auxiliary or getattr(fn, "has_rsample", True):
            continue
        if look.summed_out(site) or "baseline" in site.node["infer"] or name not in look.latents:
            continue
        if not _depends_on_parameters(site):
            continue
        dist = type(base_of(fn)).__name__
        message = f'no gradient goes through the draws of "{name}" ({dist}), and it is not summed '
        message += f"out: {_name(look)} estimates it by the score, with a high variance"
        hint = "use TraceGraph_ELBO with a baseline, or more particles"
        if getattr(fn, "has_enumerate_support", False):
            hint = 'use TraceEnum_ELBO and infer={"enumerate": "parallel"}, or TraceGraph_ELBO'
        level: Any = "warning" if _mixes_rows(look, site) else "note"
        yield Found(_site(name), message, hint, line=site.line, level=level)


def _mixes_rows(look: Look, site: Site) -> bool:
    """Whether its score is multiplied with the terms of many rows, and not of its own alone."""
    own = {frame.name for frame in site.node["cond_indep_stack"]}
    return any(
        frame.size > 1 and frame.name not in own
        for other in look.observed.values()
        for frame in other.node["cond_indep_stack"]
    )


def _depends_on_parameters(site: Site) -> bool:
    try:
        return bool(site.fn.log_prob(site.node["value"]).requires_grad)
    except Exception:
        return False


def _enumerate_ignored(look: Look) -> Iterator[Found]:
    if look.enumerates:
        return
    sites = look.latents | {n: s for n, s in look.guide_sites.items() if n in look.latents}
    for name, site in sites.items():
        if site.enumerate is None or look.by_messenger:
            continue
        drawn = name in look.guide_sites
        message = f'"{name}" is marked for enumeration, and {_name(look)} does not enumerate'
        if not drawn:
            message += ": it is drawn from its prior at each step"
        yield Found(_site(name), message, line=site.line)


def _nothing_enumerated(look: Look) -> Iterator[Found]:
    if not isinstance(look.scenario.loss, TraceEnum_ELBO) or look.main.error is not None:
        return
    sites = [*look.latents.values(), *look.guide_sites.values()]
    if look.args:
        second = look.run(SEED, look.batch(2))  # such as rows without their label
        sites += [*second.sites("model").values(), *second.sites("guide").values()]
    if any(site.enumerate is not None for site in sites):
        return
    discrete = [s.name for s in look.latents.values() if _is_enumerable(s)]
    message = f"{_name(look)} has nothing to enumerate: no site is marked for it"
    if discrete:
        hint = f'mark "{discrete[0]}": decorate the model with config_enumerate'
        yield Found(Subject("estimator"), message, hint, level="warning")
    else:
        yield Found(Subject("estimator"), message, "use Trace_ELBO, which does the same faster")


def _is_enumerable(site: Site) -> bool:
    return bool(getattr(site.fn, "has_enumerate_support", False))


def _random_beyond_sites(look: Look) -> Iterator[Found]:
    if look.main.error is not None or look.by_messenger:
        return
    for side in ("guide", "model"):
        fixed = look.main.guide if side == "guide" else look.main.model
        run = look.run_guide if side == "guide" else look.run_model
        terms = [_terms(run(seed, fixed), side) for seed in (SEED, SEED, SEED + 1)]
        one, same, other = terms
        if one is None or same is None or other is None:
            continue
        dropout = _training(look.main, _DROPOUT)
        if one != same:
            name = next(n for n in one if one.get(n) != same.get(n))
            message = f"two runs of the {side} with the same random numbers differ, first at "
            message += f'"{name}"'
            hint = "keep no counter, iterator or buffer in it: make it a function of its arguments"
            yield Found(Subject("run", side), message, hint, level="note")
        elif one != other and dropout:
            message = f"{dropout} is in training mode in the {side}: its ELBO is random beyond its "
            message += "sites"
            hint = "call .eval() on the module where that is not meant"
            yield Found(Subject("module", dropout), message, hint, level="note")
        elif one != other:
            name = next(n for n in one if one.get(n) != other.get(n))
            message = f'the {side} is random beyond its sites: "{name}" differs between two runs '
            message += "in which all sites are the same"
            hint = "draw what is random with pyro.sample, or make it once outside"
            if side == "model":
                hint = "draw what is random with pyro.sample, and rows by the subsample of a plate"
            level: Any = "warning" if side == "guide" else "note"
            line = look.main.lines.get((side, name), 0)
            yield Found(Subject("run", side), message, hint, level=level, line=line)


def _terms(one: Pass, side: str) -> dict[str, Any] | None:
    if one.error is not None:
        return None
    found = {}
    for name, site in one.sites(side).items():
        if site.auxiliary:
            continue
        try:
            found[name] = log_prob(site).detach().double().nan_to_num(0.123).reshape(-1).tolist()
        except Exception:
            return None
    return found


def _training(one: Pass, kinds: tuple[type[nn.Module], ...]) -> str:
    """The class of a module of these kinds in training mode; empty if none is called so."""
    for module in one.modules:
        if module.training and isinstance(module, kinds) and getattr(module, "p", True):
            return type(module).__name__
    return ""


def _batch_norm(look: Look) -> Iterator[Found]:
    name = _training(look.main, _BATCH_NORM)
    if name:
        message = f"{name} is in training mode: a row's term depends on the other rows of its batch"
        yield Found(Subject("module", name), message)


def _unbounded_map(look: Look) -> Iterator[Found]:
    """A point estimate of both a latent and the scale of its prior has no maximum."""
    if look.main.error is not None or look.by_messenger:
        return
    points = {
        name: site
        for name, site in look.latents.items()
        if name in look.guide_sites and _is_point(look, name)
    }
    seen = influence(look)
    if not seen.known:
        return
    for name, site in points.items():
        if not site.value.is_floating_point() or not _is_positive(site):
            continue
        below = [n for n in seen.edges.get(name, ()) if n in points and n != name]
        below = [n for n in below if points[n].value.is_floating_point()]
        rise = _rises(look, name, below) if below else None
        if rise is not None:
            message = f'the log joint has no maximum: it rises without end as "{name}", the scale '
            message += f'of "{below[0]}", goes to 0'
            evidence = f"{rise:.3g} nats more for each thousandth of it"
            yield Found(_site(name), message, evidence=evidence, line=site.line)


def _is_point(look: Look, name: str) -> bool:
    """Whether the guide has a Delta there, at the same value in each run."""
    sites = [one.sites("guide").get(name) for one in look.passes]
    if any(site is None or type(base_of(site.fn)).__name__ != "Delta" for site in sites):
        return False
    first = look.guide_sites[name].value
    return all(site is not None and torch.equal(site.value, first) for site in sites)


def _is_positive(site: Site) -> bool:
    try:
        low, high = site.value.new_full(site.value.shape, -1.0), torch.full_like(site.value, 9.0)
        support = site.fn.support
        return not bool(support.check(low).any()) and bool(support.check(high).all())
    except Exception:
        return False


def _rises(look: Look, name: str, below: list[str]) -> float | None:
    """How much the log joint rises when a scale shrinks to a thousandth; None if it need not."""
    totals = []
    for size in (1e-3, 1e-6, 1e-9):
        fixed = look.main.model.copy()
        node = fixed.nodes[name]
        fixed.nodes[name] = {**node, "value": torch.full_like(torch.as_tensor(node["value"]), size)}
        # The latents below the scale sit where their prior is highest, which it moves itself.
        for _ in range(2):
            now = look.run_model(SEED, fixed)
            if now.error is not None:
                return None
            for other in below:
                site = now.sites("model")[other]
                centre = getattr(site.fn, "mean", None)
                if not isinstance(centre, Tensor) or not bool(torch.isfinite(centre).all()):
                    return None
                fixed.nodes[other] = {**fixed.nodes[other], "value": centre.detach().clone()}
        now = look.run_model(SEED, fixed)
        terms = _terms(now, "model")
        if terms is None:
            return None
        totals.append(sum(math.fsum(values) for values in terms.values()))
    first, second = totals[1] - totals[0], totals[2] - totals[1]
    return second if first > 1.0 and second > 1.0 and math.isfinite(second) else None


def _rate_dies(look: Look) -> Iterator[Found]:
    step, rate = rate_gone(look), learning_rate(look.optimizer)
    # A rate that ends at zero with the run is meant to.
    if step is None or step > LATE * look.scenario.steps or rate is None:
        return
    message = f"the learning rate is a thousandth from step {step} of {look.scenario.steps} on"
    evidence = f"it begins with {rate:.4g}"
    yield Found(Subject("optimizer"), message, evidence=evidence)


def rate_gone(look: Look) -> int | None:
    """The step after which the learning rate is a thousandth of its largest; None if none is."""
    optimizer, steps = look.optimizer, look.scenario.steps
    every = max(1, getattr(look.scenario, "scheduler_every", 1))
    if isinstance(optimizer, PyroLRScheduler):
        found = _scheduled(optimizer, steps // every)
        return None if found is None else found * every
    args = getattr(optimizer, "pt_optim_args", None)
    decay = args.get("lrd") if isinstance(args, dict) else None
    if isinstance(decay, int | float) and 0 < decay < 1:
        gone = math.ceil(math.log(GONE) / math.log(decay))
        return gone if gone < steps else None
    return None


def _scheduled(optimizer: PyroLRScheduler, steps: int) -> int | None:
    rate, given = learning_rate(optimizer), optimizer.kwargs
    if rate is None or not rate > 0:
        return None
    began = time.process_time()
    try:
        dummy = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
        scheduler = optimizer.pt_scheduler_constructor(dummy, **given)
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            return None
        rates: list[float] = []
        while len(rates) < steps and time.process_time() - began < SECONDS:
            rates.append(float(dummy.param_groups[0]["lr"]))
            scheduler.step()
    except Exception:
        return None
    most = max(rates, default=0.0)
    # It counts once it is gone for good, not where a cycle begins anew.
    alive = [index for index, one in enumerate(rates) if one >= GONE * most]
    last = alive[-1] + 1 if alive else 0
    return last if 0 < last < len(rates) else None


def _no_parameters(look: Look) -> Iterator[Found]:
    if look.main.error is None and not len(pyro.get_param_store()):
        yield Found(Subject("run"), "there is no parameter: nothing is optimised")


def _rate_zero(look: Look) -> Iterator[Found]:
    if learning_rate(look.optimizer) == 0.0 and not _warms_up(look.optimizer):
        yield Found(Subject("optimizer"), "the learning rate is 0: no parameter ever moves")


def _warms_up(optimizer: Any) -> bool:
    """Whether a scheduler may set another rate than the one that is given."""
    return isinstance(optimizer, PyroLRScheduler)


def _analytic_kl_wrong(look: Look) -> Iterator[Found]:
    """The precise condition of `TraceMeanField_ELBO`: no parent in the model is a descendant in
    the guide. (Pyro itself compares the order of the sites, and warns of some that are right.)
    """
    if not isinstance(look.scenario.loss, TraceMeanField_ELBO):
        return
    in_model, in_guide = influence(look), influence(look, "guide")
    if not (in_model.known and in_guide.known):
        return
    for name, site in look.latents.items():
        if name not in look.guide_sites or not _has_analytic_kl(look, name):
            continue
        for parent in in_model.edges:
            if name in in_model.edges[parent] and in_guide.reaches(name, {parent}):
                message = f'the KL of "{name}" is wrong: it is taken over "{name}" with "{parent}" '
                message += f'held fixed, and the guide draws "{parent}" from "{name}"'
                yield Found(_site(name), message, line=site.line)
                break


def _has_analytic_kl(look: Look, name: str) -> bool:
    """Whether the estimator integrates over the site, rather than to take its draw."""
    try:
        kl_divergence(look.guide_sites[name].fn, look.latents[name].fn)
    except NotImplementedError:
        return False
    return True


ENUMERATION = "https://pyro.ai/examples/enumeration.html"
MODULES = "https://pyro.ai/examples/modules.html"
MODEL = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))

"""
GUIDE = """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))

"""

RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI050",
        name="not-differentiable",
        level="warning",
        message="a latent is drawn in a way that no gradient goes through",
        why="Without a reparameterised draw the gradient is that of the score function, whose "
        "variance is often so high that nothing is learnt.",
        remedy="enumerate the site with TraceEnum_ELBO, use TraceGraph_ELBO with a baseline, or "
        "draw from a distribution that is reparameterised",
        reference="https://pyro.ai/examples/svi_part_iii.html",
        fires="""
def model():
    k = pyro.sample("k", dist.Bernoulli(0.5))
    pyro.sample("x", dist.Normal(k, 1.0), obs=torch.tensor(1.0))


def guide():
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.unit_interval)
    pyro.sample("k", dist.Bernoulli(p))
""",
        silent="""
def model():
    k = pyro.sample("k", dist.Bernoulli(0.5))
    pyro.sample("x", dist.Normal(k, 1.0), obs=torch.tensor(1.0))


def guide():
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.unit_interval)
    pyro.sample("k", dist.Bernoulli(p), infer={"enumerate": "parallel"})


loss = TraceEnum_ELBO()
""",
        check=_not_differentiable,
    ),
    Rule(
        code="SVI051",
        name="enumerate-ignored",
        level="warning",
        message="a site is marked for enumeration, and the estimator does not enumerate",
        why="The site is drawn like any other: from its prior if the guide leaves it out, and its "
        "distribution is then never fitted.",
        remedy="use TraceEnum_ELBO",
        reference=ENUMERATION,
        fires="""
@config_enumerate
def model():
    loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
    k = pyro.sample("k", dist.Bernoulli(0.5))
    pyro.sample("x", dist.Normal(loc + k, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(poutine.block(model, hide=["k"]))
""",
        silent="""
@config_enumerate
def model():
    loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
    k = pyro.sample("k", dist.Bernoulli(0.5))
    pyro.sample("x", dist.Normal(loc + k, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(poutine.block(model, hide=["k"]))
loss = TraceEnum_ELBO()
""",
        check=_enumerate_ignored,
    ),
    Rule(
        code="SVI052",
        name="nothing-to-enumerate",
        level="note",
        message="an enumerating estimator has nothing to enumerate",
        why="Only sites that are marked are enumerated; others are drawn.",
        remedy="mark discrete sites with config_enumerate, or use Trace_ELBO",
        reference=ENUMERATION,
        fires=MODEL + GUIDE + "loss = TraceEnum_ELBO()\n",
        silent=MODEL + GUIDE,
        check=_nothing_enumerated,
    ),
    Rule(
        code="SVI053",
        name="random-beyond-sites",
        level="warning",
        message="model or guide is random beyond its sites, or no function of its arguments",
        why="What is random outside of pyro.sample is in neither log q nor log p: the ELBO is then "
        "that of another model and guide each time. Chance in the guide is a warning; in the model "
        "(rows drawn without a plate), by dropout or by a state that calls change, it is a note.",
        remedy="draw what is random with pyro.sample, and keep no state in model or guide",
        reference="https://pyro.ai/examples/svi_part_i.html",
        fires=MODEL
        + """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc + torch.randn(()), 1.0))
""",
        silent=MODEL + GUIDE,
        check=_random_beyond_sites,
        slow=True,
    ),
    Rule(
        code="SVI054",
        name="batch-norm-training",
        level="note",
        message="batch normalisation is in training mode",
        why="It normalises by the rows of the batch: a row's term depends on the others, and its "
        "running statistics change whenever the model is run.",
        remedy="call .eval() on the module before it is evaluated, or use LayerNorm",
        reference="https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html",
        fires="""
net = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))


def model():
    pyro.module("net", net)
    with pyro.plate("n", 4):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(net(z[:, None]).squeeze(-1), 1.0), obs=torch.zeros(4))


guide = AutoNormal(model)
""",
        silent="""
net = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Tanh())


def model():
    pyro.module("net", net)
    with pyro.plate("n", 4):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(net(z[:, None]).squeeze(-1), 1.0), obs=torch.zeros(4))


guide = AutoNormal(model)
""",
        check=_batch_norm,
    ),
    Rule(
        code="SVI055",
        name="unbounded-map",
        level="warning",
        message="a point estimate of a latent and of the scale of its prior has no maximum",
        why="With the latents at their prior's centre, the density rises without end as the scale "
        "goes to 0: the run ends there, whatever the data.",
        remedy="give the scale a guide that is not a Delta, a prior that vanishes at 0 (LogNormal, "
        "InverseGamma), or write the latents non-centred",
        reference="https://mc-stan.org/docs/stan-users-guide/problematic-posteriors.html",
        fires="""
def model():
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    with pyro.plate("n", 4):
        z = pyro.sample("z", dist.Normal(0.0, tau))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.linspace(-1.0, 1.0, 4))


guide = AutoDelta(model)
""",
        silent="""
def model():
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    with pyro.plate("n", 4):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z * tau, 1.0), obs=torch.linspace(-1.0, 1.0, 4))


guide = AutoDelta(model)
""",
        check=_unbounded_map,
        slow=True,
    ),
    Rule(
        code="SVI056",
        name="rate-will-vanish",
        level="note",
        message="the learning rate will be as good as zero before the run ends",
        why="A decay that is meant for epochs is often stepped after every step: the parameters "
        "then stop wherever they are.",
        remedy="decay more slowly, or set scheduler_every to the number of steps of an epoch",
        reference="https://docs.pyro.ai/en/stable/optimization.html",
        fires=MODEL
        + GUIDE
        + """
optimizer = pyro.optim.ExponentialLR(
    {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}, "gamma": 0.9}
)
""",
        silent=MODEL
        + GUIDE
        + """
optimizer = pyro.optim.ExponentialLR(
    {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}, "gamma": 0.999}
)
""",
        check=_rate_dies,
    ),
    Rule(
        code="SVI057",
        name="no-parameters",
        level="warning",
        message="there is no parameter to optimise",
        why="SVI fits what is in the param store; with nothing there, each step only draws.",
        remedy="read a parameter with pyro.param in the guide, or use an AutoGuide",
        reference="https://pyro.ai/examples/svi_part_i.html",
        fires=MODEL
        + """
def guide():
    pyro.sample("z", dist.Normal(0.0, 1.0))
""",
        silent=MODEL + GUIDE,
        check=_no_parameters,
    ),
    Rule(
        code="SVI058",
        name="rate-zero",
        level="error",
        message="the learning rate is 0",
        why="An optimiser multiplies each step by its learning rate: with 0 nothing is fitted.",
        remedy="give the optimiser a learning rate above 0, such as 0.01 for Adam",
        reference="https://docs.pyro.ai/en/stable/optimization.html",
        fires=MODEL + GUIDE + 'optimizer = pyro.optim.Adam({"lr": 0.0})\n',
        silent=MODEL + GUIDE + 'optimizer = pyro.optim.Adam({"lr": 0.01})\n',
        check=_rate_zero,
    ),
    Rule(
        code="SVI059",
        name="analytic-kl-wrong",
        level="warning",
        message="the analytic KL of TraceMeanField_ELBO is wrong for this guide",
        why="It is taken over one site with the others held fixed. Where a parent of the site in "
        "the model depends on the site in the guide, that is not the KL, and the optimum is that "
        "of another bound.",
        remedy="use Trace_ELBO, or draw the sites in the guide in the order of the model",
        reference="https://docs.pyro.ai/en/stable/inference_algos.html"
        "#pyro.infer.trace_mean_field_elbo.TraceMeanField_ELBO",
        fires="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(a, 1.0))
    pyro.sample("x", dist.Normal(b, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    b = pyro.sample("b", dist.Normal(loc, 1.0))
    pyro.sample("a", dist.Normal(0.5 * b, 1.0))


loss = TraceMeanField_ELBO()
""",
        silent="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(a, 1.0))
    pyro.sample("x", dist.Normal(b, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    a = pyro.sample("a", dist.Normal(loc, 1.0))
    pyro.sample("b", dist.Normal(0.5 * a, 1.0))


loss = TraceMeanField_ELBO()
""",
        check=_analytic_kl_wrong,
        slow=True,
    ),
)
