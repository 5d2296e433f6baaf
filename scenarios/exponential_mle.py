"""What does SVI do without a latent variable?

Five waiting times x ~ Exponential(a), and `a` is a `pyro.param`. There is nothing to infer, so the
guide is empty. What SVI does then is plain gradient ascent on the likelihood.

**Press** `50n` a few times, then `f`. `r` starts again.

**See**

- `a` is a θ, and the only parameter. It goes from 0.2 to 1.0417.
- log q is 0 at every step: the guide draws nothing.
- log p, the ELBO and the log likelihood are one curve. It is smooth: no draw, no luck.

**Why**

With no z the ELBO, E_q[log p(x, z) - log q(z)], is log p(x; a) and nothing else:

    5 log a - a Σx,   Σx = 4.8,   largest at   a = n / Σx = 1.0417

where it is -4.7959. Every other scenario is this one plus latent variables: θ is then judged by the
average over the guide's draws, and φ moves them.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = torch.tensor([0.5, 1.2, 0.3, 2.0, 0.8])


def model():
    a = pyro.param("a", torch.tensor(0.2), constraint=constraints.positive)
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Exponential(a), obs=x)


def guide():
    pass


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 500

# n log(n / Σx) - n at the maximum; with nothing to integrate out, that is the evidence as well.
reference = {"log_evidence": -4.7958902, "elbo": -4.7958902, "params": {"a": 5 / 4.8}}
