"""The scenarios of the parity suite: every estimator, every stock guide, each way of particles.

A scenario is a file, so each combination is the text of one. `REFUSALS` says which combinations
plain Pyro itself does not run, and with which exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

PRELUDE = '''"""{title}"""
from functools import partial

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.contrib.gp.kernels import RBF
from pyro.distributions import constraints
from pyro.distributions.transforms import block_autoregressive, iterated
from pyro.infer import *
from pyro.infer.autoguide import *

'''

CONTINUOUS = """
data = torch.tensor([0.3, 1.2, -0.4])

def model():
    noise = pyro.param("noise", lambda: torch.tensor(0.8), constraint=constraints.positive)
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    tau = pyro.sample("tau", dist.LogNormal(0.0, 0.5))
    with pyro.plate("groups", 3):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("x", dist.Normal(theta, noise), obs=data)
"""

DISCRETE = """
data = torch.tensor([0.3, 2.2, -0.4, 1.9])

def model():
    locs = pyro.param("locs", lambda: torch.tensor([-0.5, 1.5]))
    with pyro.plate("points", 4):
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.4, 0.6])))
        pyro.sample("x", dist.Normal(locs[k], 1.0), obs=data)
"""

MIXED = """
data = torch.tensor([0.3, 2.2, -0.4, 1.9])

def model():
    scale = pyro.param("scale", lambda: torch.tensor(0.9), constraint=constraints.positive)
    weight = pyro.sample("weight", dist.Beta(2.0, 3.0))
    shift = pyro.sample("shift", dist.Normal(0.0, 1.0))
    with pyro.plate("points", 4):
        k = pyro.sample("k", dist.Bernoulli(weight))
        pyro.sample("x", dist.Normal(shift + 2.0 * k, scale), obs=data)
"""

BY_HAND = """
def {name}({args}):
    m = pyro.param("m", lambda: torch.tensor([0.1, -0.2]))
    s = pyro.param("s", lambda: torch.tensor([0.3, 0.4]), constraint=constraints.positive)
    t = pyro.param("t", lambda: torch.zeros(3))
    mu = pyro.sample("mu", dist.Normal(m[0], s[0]))
    pyro.sample("tau", dist.LogNormal(m[1], s[1]))
    with pyro.plate("groups", 3):
        pyro.sample("theta", dist.Normal(0.5 * mu + t, 0.6))
"""

GUIDES = {
    "by_hand": (CONTINUOUS, BY_HAND.format(name="guide", args="observations=None")),
    "AutoCallable": (
        CONTINUOUS,
        BY_HAND.format(name="part", args="") + "guide = AutoCallable(model, part)",
    ),
    "AutoDelta": (CONTINUOUS, "guide = AutoDelta(model)"),
    "AutoNormal": (CONTINUOUS, "guide = AutoNormal(model)"),
    "AutoDiagonalNormal": (CONTINUOUS, "guide = AutoDiagonalNormal(model)"),
    "AutoMultivariateNormal": (CONTINUOUS, "guide = AutoMultivariateNormal(model)"),
    "AutoLowRankMultivariateNormal": (
        CONTINUOUS,
        "guide = AutoLowRankMultivariateNormal(model, rank=2)",
    ),
    "AutoIAFNormal": (CONTINUOUS, "guide = AutoIAFNormal(model, hidden_dim=[6])"),
    "AutoNormalizingFlow": (
        CONTINUOUS,
        "guide = AutoNormalizingFlow(model, partial(iterated, 2, block_autoregressive))",
    ),
    "AutoLaplaceApproximation": (CONTINUOUS, "guide = AutoLaplaceApproximation(model)"),
    "AutoGaussian": (CONTINUOUS, "guide = AutoGaussian(model)"),
    "AutoStructured": (CONTINUOUS, "guide = AutoStructured(model)"),
    "AutoNormalMessenger": (CONTINUOUS, "guide = AutoNormalMessenger(model)"),
    "AutoHierarchicalNormalMessenger": (
        CONTINUOUS,
        "guide = AutoHierarchicalNormalMessenger(model)",
    ),
    "AutoRegressiveMessenger": (CONTINUOUS, "guide = AutoRegressiveMessenger(model)"),
    "AutoDiscreteParallel": (DISCRETE, "guide = AutoDiscreteParallel(model)"),
    "AutoGuideList": (
        MIXED,
        """
guide = AutoGuideList(model)
guide.append(AutoDiagonalNormal(poutine.block(model, hide=["k"])))
guide.append(AutoDiscreteParallel(poutine.block(model, expose=["k"])))
""",
    ),
}
"""Every stock guide, and one by hand: the model that it is for, and its own text."""

ESTIMATORS = {
    name: f"{name}({{particles}})"
    for name in (
        "Trace_ELBO",
        "TraceEnum_ELBO",
        "TraceGraph_ELBO",
        "TraceMeanField_ELBO",
        "TraceTailAdaptive_ELBO",
        "TraceTMC_ELBO",
        "RenyiELBO",
        "ReweightedWakeSleep",
        "JitTrace_ELBO",
        "JitTraceEnum_ELBO",
        "JitTraceGraph_ELBO",
        "JitTraceMeanField_ELBO",
    )
} | {"Trace_MMD": "Trace_MMD(kernel=RBF(input_dim=1), {particles})"}
"""Every subclass of `ELBO` that `pyro.infer` exports."""

PARTICLES = {
    "one": "num_particles=1, vectorize_particles=False",
    "looped": "num_particles=4, vectorize_particles=False",
    "vectorised": "num_particles=4, vectorize_particles=True",
}


JIT = {name for name in ESTIMATORS if name.startswith("Jit")}
MESSENGERS = {name for name in GUIDES if name.endswith("Messenger")}
FLOWS = {"AutoIAFNormal", "AutoNormalizingFlow"}
WITH_DISCRETE = {"AutoDiscreteParallel", "AutoGuideList"}
ENUM = {"TraceEnum_ELBO", "JitTraceEnum_ELBO"}
MEAN_FIELD = {"TraceMeanField_ELBO", "JitTraceMeanField_ELBO"}

_Some = set[str] | None

REFUSALS: tuple[tuple[_Some, _Some, _Some, type[Exception]], ...] = (
    ({"ReweightedWakeSleep"}, None, {"one"}, AssertionError),
    ({"TraceTailAdaptive_ELBO"}, None, {"one", "looped"}, NotImplementedError),
    ({"TraceTailAdaptive_ELBO"}, WITH_DISCRETE, None, NotImplementedError),
    (MEAN_FIELD, WITH_DISCRETE, None, NotImplementedError),
    ({"Trace_MMD"}, WITH_DISCRETE, None, ValueError),
    (ENUM | {"ReweightedWakeSleep"}, MESSENGERS, None, NotImplementedError),
    # Wake-sleep detaches the guide's draws, and a block autoregressive flow then has no inverse.
    ({"ReweightedWakeSleep"}, {"AutoNormalizingFlow"}, None, KeyError),
    # A flow's parameters are made while the tracer runs, so they are not those that it captured.
    (JIT, FLOWS, None, AssertionError),
)
"""Estimators, guides, particles (None: all of them) and what plain Pyro raises; first match wins.

The first of them is raised while the file is executed, the others by the first step.
"""


@dataclass(frozen=True)
class Combo:
    """One estimator, one guide, one way of particles."""

    estimator: str
    guide: str
    particles: str

    def __str__(self) -> str:
        return f"{self.estimator}-{self.guide}-{self.particles}"

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """What meets what in it, if plain Pyro runs it."""
        names = (self.estimator, self.guide, self.particles)
        return set() if self.refusal else set(combinations(names, 2))

    @property
    def refusal(self) -> type[Exception] | None:
        """What plain Pyro raises; None if it runs."""
        names = (self.estimator, self.guide, self.particles)
        for *some, exception in REFUSALS:
            if all(s is None or name in s for s, name in zip(some, names, strict=True)):
                return exception
        return None

    @property
    def text(self) -> str:
        """The scenario's file."""
        model, guide = GUIDES[self.guide]
        loss = ESTIMATORS[self.estimator].format(particles=PARTICLES[self.particles])
        return scenario(model, guide, loss=loss, title=str(self))


def scenario(*parts: str, loss: str = "", optimizer: str = "", title: str = "a test") -> str:
    """The text of a scenario's file.

    Args:
        parts: statements, in order.
        loss: an expression; empty for `Trace_ELBO()`.
        optimizer: an expression; empty for Adam with learning rate 0.02.
        title: the docstring.
    """
    return "\n".join(
        (
            PRELUDE.format(title=title),
            *parts,
            f"loss = {loss or 'Trace_ELBO()'}",
            f"optimizer = {optimizer or 'pyro.optim.Adam(dict(lr=0.02))'}",
            "",
        )
    )


def write(folder: Path, text: str, name: str = "scenario.py") -> str:
    """Write the text to a file of that name and return its path."""
    path = folder / name
    path.write_text(text)
    return str(path)


EVERY = tuple(Combo(*names) for names in product(ESTIMATORS, GUIDES, PARTICLES))


_JIT_WAYS = {"AutoDelta": "looped", "AutoNormal": "vectorised", "by_hand": "vectorised"}


def _pairs() -> list[Combo]:
    """Each estimator with each guide, in a way of particles that takes turns.

    So each estimator and each guide meet each way of particles as well. A way that Pyro runs is
    preferred. A compiled estimator meets several particles with three guides only: they take the
    compiler long.
    """
    chosen = []
    for (i, estimator), (j, guide) in product(enumerate(ESTIMATORS), enumerate(GUIDES)):
        ways = [list(PARTICLES)[(i + j + k) % 3] for k in range(3)]
        if estimator in JIT:
            ways = [_JIT_WAYS.get(guide, "one")]
        combos = [Combo(estimator, guide, way) for way in ways]
        chosen.append(next((c for c in combos if c.refusal is None), combos[0]))
    met = {pair for combo in chosen for pair in combo.pairs}
    for combo in EVERY:
        if not met.issuperset(combo.pairs):
            chosen.append(combo)
            met.update(combo.pairs)
    return chosen


PAIRS = tuple(_pairs())
"""Each estimator × guide, estimator × particles and guide × particles at least once, where run."""
