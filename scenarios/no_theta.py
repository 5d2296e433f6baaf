"""No pyro.param in my model: why does log p rise?

*My model has no `pyro.param`. Why does `model_trace.log_prob_sum()` rise while SVI runs?*

**Press** `50n` a few times, then `f` to finish. `r` starts again.

**See**

- There is no θ in the table of parameters: `loc` and `scale` are both φ, the guide's.
- log p(x, z) climbs from about -48 to about -6 (a step shows one draw: at first it jumps a lot).
- `loc` goes from -3 to 1, `scale` from 1 to 0.447; the ELBO goes to -5.73.
- Near the end log p and log q still jump, yet together: the ELBO hardly moves.

**Why**

SVI raises an estimate of the ELBO, E_q[log p(x, z) - log q(z)], by moving whatever is in the
param store. Nothing in this model can move, but log p(x, z) is a function of z, and z is drawn
from the guide. φ carries the draws from around -3, where the data are improbable, to around 1,
where they are probable. In expectation log p gains 42.0 nats that way, all of them by φ, and
log q 0.8: so the ELBO gains 41.2.

At the end the guide is the posterior, N(1, 0.447). Then log p(x, z) - log q(z) = log p(x) =
-5.7305 for *every* z: what a lucky draw adds to log p it adds to log q as well.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = torch.tensor([1.0, 2.0, 0.5, 1.5])


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide():
    loc = pyro.param("loc", torch.tensor(-3.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 1000

# The posterior has precision 1 + 4 and mean sum(x) / 5. The evidence is that of x ~ N(0, I + 11ᵀ):
# -(4 log 2π + log 5 + Σx² - (Σx)² / 5) / 2.
reference = {
    "log_evidence": -5.7304731,
    "elbo": -5.7304731,
    "params": {"loc": 1.0, "scale": 5**-0.5},
    "posterior": {"z": (1.0, 5**-0.5)},
}
