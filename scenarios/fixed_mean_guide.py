"""Must log p rise when the ELBO does?

The guide is N(1, φ), the model N(0, 1). Only φ can move, and the best φ makes log p *lower*.

**Press** `50n` four times, then `f`. `r` starts again.

**See**

- φ goes from 0.2 to about 1 within 150 steps.
- log q falls most, from 0.19 to -1.42; log p falls from -1.44 to -1.92; so the ELBO, which is
  their difference, *rises* from -1.63 to -0.50.
- From there on all three only wander with the draw of z.

**Why**

SVI does not raise log p. It raises the ELBO, E_q[log p(z)] - E_q[log q(z)], and here

    E_q[log p] = -½ log 2π - ½(1 + φ²)      E_q[log q] = -½ log 2πe - log φ

A wider guide pays ½φ² in log p and earns log φ in -log q; the two balance at φ = 1. On the way
there the ELBO gains 1.129 nats, E_q[log q] falls by 1.609 and E_q[log p] by 0.480: all of it φ's
doing, since there is no θ.

At φ = 1 one draw's log p still has a standard deviation of 1.22, and log p - log q of 1: that
is the luck of the draw, and it never ends. φ itself wanders by about 0.1, because each of its
steps trusts a single draw. The ELBO stops at -0.5, half a nat below log p(x) = 0, because this
guide can never become the posterior N(0, 1): its mean is fixed at 1, and KL(q ‖ posterior) = ½.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints


def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))


def guide():
    phi = pyro.param("phi", torch.tensor(0.2), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(1.0, phi))


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 900

# d/dφ of the ELBO, log φ - ½(1 + φ²) + ½, is zero at φ = 1. With no data the evidence is 1.
reference = {
    "log_evidence": 0.0,
    "elbo": -0.5,
    "params": {"phi": 1.0},
    "posterior": {"z": (0.0, 1.0)},
}
