"""Does SVI find the right answer for a coin?

Six heads and four tails, a prior Beta(10, 10) on the fairness, and a guide that is a Beta, too. So
the guide can become the posterior, Beta(16, 14).

**Press** `100n` a few times, then `f`. `r` starts again.

**See**

- `alpha_q` goes from 15 to 16, `beta_q` from 15 to 14: a small step, from a mean of 0.5 to 0.533.
- The ELBO gains just 0.069 nats on average, from -7.138 to -7.069. One draw's luck hides that at
  first; by the end there is hardly any luck left.

**Why**

Ten tosses say little against a prior worth twenty, so there is not much to learn. But look at the
*spread* of the ELBO. At the posterior log p(x, f) - log q(f) = log p(x) for every draw f, so the
estimate has no noise at all. Noise in the ELBO is a sign of a guide that is not the posterior.

The mean is found sooner than the two numbers: Beta(160, 140) has the mean of Beta(16, 14) as well,
and only its width tells them apart. `coin_map` has the same model with a point for a guide.
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
    alpha_q = pyro.param("alpha_q", torch.tensor(15.0), constraint=constraints.positive)
    beta_q = pyro.param("beta_q", torch.tensor(15.0), constraint=constraints.positive)
    pyro.sample("latent_fairness", dist.Beta(alpha_q, beta_q))


optimizer = pyro.optim.ClippedAdam({"lr": 0.005, "lrd": 0.998})
steps = 1000

# log B(16, 14) - log B(10, 10); a Beta(α, β) has variance αβ / ((α + β)² (α + β + 1)).
reference = {
    "log_evidence": -7.0693745,
    "elbo": -7.0693745,
    "params": {"alpha_q": 16.0, "beta_q": 14.0},
    "posterior": {"latent_fairness": (16 / 30, (16 * 14 / (30**2 * 31)) ** 0.5)},
}
