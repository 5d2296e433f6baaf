"""Scenarios of which the best ELBO can be found out: those of the rule's own bench, and others.

Each is a model, a guide and its optimisers: a usual rate, one that is too small to arrive, one that
decays to nothing too early, and one that is hot.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD = """
import math
import pyro
import pyro.distributions as dist
import torch
from torch.distributions import constraints
from pyro.infer.autoguide import (
    AutoDelta, AutoDiagonalNormal, AutoMultivariateNormal, AutoNormal, init_to_median,
)
"""

NORMAL_GUIDE = """
def guide():
    m = pyro.param("m", torch.tensor({m}))
    s = pyro.param("s", torch.tensor({s}), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(m, s))
"""


@dataclass(frozen=True)
class Problem:
    """A scenario without its optimiser."""

    group: str
    """`lab`: as in the bench that the rule was made on; `new`; `example`: after one of Pyro's."""
    text: str
    best: float | None = None
    """The ELBO at the best of the family, in closed form; None: that of a long search."""
    rates: tuple[float, float, float] = (0.1, 0.01, 0.001)
    """Of Adam: large, usual, small."""

    def scenario(self, optimizer: str) -> str:
        """The file's text."""
        return f"{HEAD}{self.text}\noptimizer = {optimizer}\nsteps = 4096\n"

    def optimizers(self) -> dict[str, str]:
        """The optimisers' expressions, by name."""
        large, usual, small = self.rates
        return {
            "large": f'pyro.optim.Adam({{"lr": {large}}})',
            "usual": f'pyro.optim.Adam({{"lr": {usual}}})',
            "small": f'pyro.optim.Adam({{"lr": {small}}})',
            "decayed": f'pyro.optim.ClippedAdam({{"lr": {usual}, "lrd": 0.98}})',
        }


PROBLEMS: dict[str, Problem] = {
    "normal": Problem(
        "lab",
        """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))
"""
        + NORMAL_GUIDE.format(m=-1.0, s=0.1),
        best=-1.5155121,
    ),
    "spread": Problem(
        "lab",
        """
def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    phi = pyro.param("phi", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(1.0, phi))
""",
        best=-0.5,
    ),
    "eight schools": Problem(
        "lab",
        """
y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
sigma = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])

def model():
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", 8):
        eta = pyro.sample("eta", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mu + tau * eta, sigma), obs=y)

guide = AutoNormal(model)
""",
        best=-31.5973,
    ),
    "logistic": Problem(
        "lab",
        """
g = torch.Generator().manual_seed(1)
X = torch.randn(200, 20, generator=g)
X = 0.7 * X + 0.7 * X[:, :1]
y = (torch.rand(200, generator=g) < torch.sigmoid(X @ torch.randn(20, generator=g))).float()

def model():
    w = pyro.sample("w", dist.Normal(torch.zeros(20), 2.0).to_event(1))
    with pyro.plate("data", 200):
        logits = (w @ X.T).squeeze(-2) if w.dim() > 1 else X @ w
        pyro.sample("y", dist.Bernoulli(logits=logits), obs=y)

guide = AutoDiagonalNormal(model)
""",
    ),
    "poisson": Problem(
        "lab",
        """
g = torch.Generator().manual_seed(2)
X = torch.cat([torch.ones(60, 1), torch.randn(60, 3, generator=g)], 1)
y = torch.poisson((X @ torch.tensor([1.0, 0.6, -0.5, 0.3])).exp(), generator=g)

def model():
    w = pyro.sample("w", dist.Normal(torch.zeros(4), 1.0).to_event(1))
    with pyro.plate("data", 60):
        rate = (w @ X.T).squeeze(-2) if w.dim() > 1 else X @ w
        pyro.sample("y", dist.Poisson(rate.clamp(max=20.0).exp()), obs=y)

guide = AutoDiagonalNormal(model)
""",
        rates=(0.5, 0.05, 0.005),
    ),
    "saddle": Problem(
        "lab",
        """
def model():
    w = pyro.sample("w", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    c = pyro.sample("c", dist.Normal(torch.tensor([3.0, -3.0, 3.0]), 0.5).to_event(1))
    pyro.sample("y", dist.Normal(w[..., 0] * w[..., 1], 0.5), obs=torch.tensor(2.0))

def guide():
    m = pyro.param("m", torch.tensor([0.05, 0.05, 0.0, 0.0, 0.0]))
    s = pyro.param("s", torch.full((5,), 0.6), constraint=constraints.positive)
    pyro.sample("w", dist.Normal(m[:2], s[:2]).to_event(1))
    pyro.sample("c", dist.Normal(m[2:], s[2:]).to_event(1))
""",
    ),
    "coin": Problem(
        "new",
        """
tosses = torch.tensor([1.0] * 6 + [0.0] * 4)

def model():
    f = pyro.sample("f", dist.Beta(10.0, 10.0))
    with pyro.plate("data", 10):
        pyro.sample("x", dist.Bernoulli(f), obs=tosses)

def guide():
    a = pyro.param("a", torch.tensor(3.0), constraint=constraints.positive)
    b = pyro.param("b", torch.tensor(6.0), constraint=constraints.positive)
    pyro.sample("f", dist.Beta(a, b))
""",
        best=-7.0693745,
    ),
    "dice": Problem(
        "new",
        """
counts = torch.tensor([3.0, 7.0, 2.0, 9.0, 4.0])

def model():
    p = pyro.sample("p", dist.Dirichlet(torch.ones(5)))
    pyro.sample("x", dist.Multinomial(25, p), obs=counts)

def guide():
    c = pyro.param("c", torch.full((5,), 2.0), constraint=constraints.positive)
    pyro.sample("p", dist.Dirichlet(c))
""",
        # log of n! Γ(5) / Γ(n + 5): all counts are equally probable under a flat prior.
        best=-10.0753799,
    ),
    "rate": Problem(
        "new",
        """
x = torch.tensor([1.0, 3.0, 0.0, 2.0, 4.0])

def model():
    r = pyro.sample("r", dist.Gamma(2.0, 1.0))
    with pyro.plate("data", 5):
        pyro.sample("x", dist.Poisson(r), obs=x)

def guide():
    a = pyro.param("a", torch.tensor(1.5), constraint=constraints.positive)
    b = pyro.param("b", torch.tensor(3.0), constraint=constraints.positive)
    pyro.sample("r", dist.Gamma(a, b))
""",
        best=-9.6617663,
    ),
    "two humps": Problem(
        "new",
        """
def model():
    mix = dist.Categorical(torch.tensor([0.5, 0.5]))
    z = pyro.sample("z", dist.MixtureSameFamily(mix, dist.Normal(torch.tensor([-3.0, 3.0]), 1.0)))
"""
        # Further left the run goes to another mode, across both humps, of ELBO -0.837073.
        + NORMAL_GUIDE.format(m=2.0, s=0.5),
        best=-0.688769,
    ),
    "prior width": Problem(
        "new",
        """
def model():
    sigma = pyro.param("sigma", torch.tensor(0.3), constraint=constraints.positive)
    z = pyro.sample("z", dist.Normal(0.0, sigma))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(2.0))
"""
        + NORMAL_GUIDE.format(m=0.0, s=0.5),
        best=-2.1120857,
    ),
    "point": Problem(
        "new",
        """
x = torch.tensor([1.0, 3.0, 0.0, 2.0, 4.0])

def model():
    a = pyro.sample("a", dist.Gamma(2.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 3.0))
    with pyro.plate("data", 5):
        pyro.sample("x", dist.Normal(b, a), obs=x)

guide = AutoDelta(model)
""",
    ),
    "robust": Problem(
        "new",
        """
t = torch.arange(12.0) / 4
y = 0.5 + 1.5 * t + 0.2 * torch.sin(9 * t)
y[7] += 8.0

def model():
    a = pyro.sample("a", dist.Normal(0.0, 5.0))
    b = pyro.sample("b", dist.Normal(0.0, 5.0))
    s = pyro.sample("s", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", 12):
        pyro.sample("y", dist.StudentT(3.0, a + b * t, s), obs=y)

guide = AutoMultivariateNormal(model)
""",
    ),
    "regression": Problem(
        "example",
        """
t = torch.arange(8.0)
y = torch.tensor([0.2, 1.1, 1.9, 3.2, 3.8, 5.1, 6.2, 6.8])

def model():
    a = pyro.sample("a", dist.Normal(0.0, 10.0))
    b = pyro.sample("b", dist.Normal(0.0, 10.0))
    with pyro.plate("data", 8):
        pyro.sample("y", dist.Normal(a + b * t, 1.0), obs=y)

guide = AutoMultivariateNormal(model)
""",
        best=-14.968513,
    ),
    "eight schools, centred": Problem(
        "example",
        """
y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
sigma = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])

def model():
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", 8):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, sigma), obs=y)

guide = AutoNormal(model)
""",
        best=-33.404,
    ),
    "batting": Problem(
        "example",
        """
hits = torch.tensor([18.0, 14.0, 12.0, 11.0, 9.0, 7.0])

def model():
    with pyro.plate("players", 6):
        p = pyro.sample("p", dist.Beta(1.0, 1.0))
        pyro.sample("hits", dist.Binomial(45, p), obs=hits)

def guide():
    a = pyro.param("a", torch.full((6,), 2.0), constraint=constraints.positive)
    b = pyro.param("b", torch.full((6,), 2.0), constraint=constraints.positive)
    with pyro.plate("players", 6):
        pyro.sample("p", dist.Beta(a, b))
""",
        # 6 log(1/46): under a flat prior each count is equally probable.
        best=-22.9718482,
    ),
    "documents": Problem(
        "new",
        """
counts = torch.tensor([[6.0, 1.0, 0.0, 3.0], [0.0, 4.0, 5.0, 1.0], [2.0, 2.0, 3.0, 3.0]])

def model():
    with pyro.plate("documents", 3):
        p = pyro.sample("p", dist.Dirichlet(torch.full((4,), 0.5)))
        pyro.sample("words", dist.Multinomial(10, p), obs=counts)

def guide():
    c = pyro.param("c", torch.full((3, 4), 1.5), constraint=constraints.positive)
    with pyro.plate("documents", 3):
        pyro.sample("p", dist.Dirichlet(c))
""",
        best=-18.2188701,
    ),
    "local level": Problem(
        "new",
        """
t = torch.arange(12.0)
K = 1.0 + 0.25 * torch.minimum(t[:, None], t[None, :])
y = torch.tensor([0.3, 0.9, 0.1, 1.4, 2.0, 1.2, 2.4, 2.1, 3.0, 2.2, 1.9, 2.6])

def model():
    z = pyro.sample("z", dist.MultivariateNormal(torch.zeros(12), K))
    pyro.sample("y", dist.Normal(z, 0.7).to_event(1), obs=y)

guide = AutoMultivariateNormal(model)
""",
        best=-14.2294,
    ),
    "survival": Problem(
        "new",
        """
x = torch.linspace(-1.0, 1.0, 20)
g = torch.Generator().manual_seed(3)
time = (0.5 + x).exp() * (-torch.rand(20, generator=g).log()) ** (1 / 1.5)

def model():
    a = pyro.sample("a", dist.Normal(0.0, 2.0))
    b = pyro.sample("b", dist.Normal(0.0, 2.0))
    k = pyro.sample("k", dist.LogNormal(0.0, 1.0))
    with pyro.plate("patients", 20):
        pyro.sample("time", dist.Weibull((a + b * x).exp(), k), obs=time)

guide = AutoNormal(model)
""",
    ),
    "autoregression": Problem(
        "example",
        """
g = torch.Generator().manual_seed(4)
series = [1.0]
for noise in torch.randn(40, generator=g):
    series.append(0.3 + 0.8 * series[-1] + 0.4 * float(noise))
series = torch.tensor(series)

def model():
    c = pyro.sample("c", dist.Normal(0.0, 1.0))
    phi = pyro.sample("phi", dist.Normal(0.0, 1.0))
    s = pyro.sample("s", dist.HalfNormal(1.0))
    with pyro.plate("time", 40):
        pyro.sample("x", dist.Normal(c + phi * series[:-1], s), obs=series[1:])

guide = AutoDiagonalNormal(model)
""",
    ),
    "learned noise": Problem(
        "new",
        """
t = torch.arange(10.0) / 3
y = 1.0 - 0.7 * t + 0.3 * torch.cos(11 * t)

def model():
    s = pyro.param("s", torch.tensor(2.0), constraint=constraints.positive)
    a = pyro.sample("a", dist.Normal(0.0, 3.0))
    b = pyro.sample("b", dist.Normal(0.0, 3.0))
    with pyro.plate("data", 10):
        pyro.sample("y", dist.Normal(a + b * t, s), obs=y)

guide = AutoDiagonalNormal(model)
""",
    ),
    "funnel": Problem(
        "new",
        """
def model():
    s = pyro.sample("s", dist.Normal(0.0, 1.5))
    with pyro.plate("x_plate", 4):
        pyro.sample("x", dist.Normal(0.0, (s / 2).exp()))

guide = AutoNormal(model)
""",
    ),
    "sparse regression": Problem(
        "example",
        """
g = torch.Generator().manual_seed(5)
X = torch.randn(40, 8, generator=g)
y = X[:, 0] * 1.5 - X[:, 3] + 0.5 * torch.randn(40, generator=g)

def model():
    tau = pyro.sample("tau", dist.HalfCauchy(0.3))
    with pyro.plate("features", 8):
        lam = pyro.sample("lam", dist.HalfCauchy(1.0))
        w = pyro.sample("w", dist.Normal(0.0, tau * lam))
    with pyro.plate("data", 40):
        mean = (X * w.unsqueeze(-2)).sum(-1) if w.dim() > 1 else X @ w
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)

guide = AutoNormal(model)
""",
    ),
    "item response": Problem(
        "example",
        """
g = torch.Generator().manual_seed(6)
right = (torch.rand(10, 6, generator=g) < 0.6).float()

def model():
    with pyro.plate("items", 6, dim=-1):
        hard = pyro.sample("hard", dist.Normal(0.0, 1.0))
    with pyro.plate("students", 10, dim=-2):
        able = pyro.sample("able", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 10, dim=-2), pyro.plate("columns", 6, dim=-1):
        pyro.sample("right", dist.Bernoulli(logits=able - hard), obs=right)

guide = AutoNormal(model)
""",
    ),
}
