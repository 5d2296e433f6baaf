"""How can the ELBO be above log p(x)?

The model of `coin`, and a Delta guide: SVI now finds the posterior's peak, the MAP estimate.

**Press** `50n` a few times, then `f`. `r` starts again.

**See**

- `f_map` goes from 0.3 to 0.5357. It is the guide's, so it is φ.
- log q is 0 at every step; log p and the ELBO are one smooth curve.
- The ELBO ends at -5.600: *above* log p(x) = -7.069, which no true ELBO can be.

**Why**

The ELBO is a lower bound on log p(x) when q is a density. A Delta has none: it would be infinite at
its point, and Pyro counts it as 1, so that log q = 0. What remains is log p(x, f), the logarithm of
the joint density, and that may lie anywhere: it would change if f were measured in percent. So
compare such an "ELBO" with another of the same model and guide, never with log p(x).

    log p(x, f) = 15 log f + 13 log(1 - f) - log B(10, 10)     is largest at   f = 15/28 = 0.5357

The posterior, Beta(16, 14), has its mean at 16/30 = 0.5333, and a width of 0.09 that a point lacks.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

tosses = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])


def model():
    f = pyro.sample("latent_fairness", dist.Beta(10.0, 10.0))
    with pyro.plate("data", len(tosses)):
        pyro.sample("obs", dist.Bernoulli(f), obs=tosses)


def guide():
    f_map = pyro.param("f_map", torch.tensor(0.3), constraint=constraints.unit_interval)
    pyro.sample("latent_fairness", dist.Delta(f_map))


optimizer = pyro.optim.Adam({"lr": 0.01})
steps = 500

reference = {
    "log_evidence": -7.0693745,
    "elbo": -5.6004036,
    "params": {"f_map": 15 / 28},
    "posterior": {"latent_fairness": (16 / 30, (16 * 14 / (30**2 * 31)) ** 0.5)},
}
