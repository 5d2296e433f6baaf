"""Why does my learned prior's width go to 0?

One observation, x = 0.5 ~ N(z, 1), and a prior z ~ N(0, σ) whose σ is a `pyro.param`. Fitting the
prior to so little data ends at the edge: σ → 0.

**Press** `100n` a few times, then `f`. `r` starts again.

**See**

- `sigma`, a θ, falls from 2 quickly at first, then ever more slowly, and never turns back; the
  guide's `scale` follows it.
- log p keeps rising, and so does log q.
- Their difference, the ELBO, rises no higher than -1.044.

**Why**

z can be integrated out by hand: x ~ N(0, √(1 + σ²)). The best variance for x is x² = 0.25, but it
cannot be less than the noise's own 1. So the evidence is largest at σ = 0, at the edge:

    log p(x; σ) = -½ log 2π(1 + σ²) - ½ x² / (1 + σ²)   →   -1.0439     as σ → 0

The prior and the guide become ever narrower spikes at 0. A spike's density has no upper limit, so
log p and log q both grow without one: **a rising log p alone proves nothing**. Only their
difference is bounded by the evidence, and it is all but still long before σ is.

A prior of width 0 says "z is 0, whatever x may be": nothing is learned about z any more. Put x = 2
in the file and press `R`: then x² - 1 = 3 is left for the prior, and σ comes to rest at √3 = 1.73.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = torch.tensor(0.5)


def model():
    sigma = pyro.param("sigma", torch.tensor(2.0), constraint=constraints.positive)
    z = pyro.sample("z", dist.Normal(0.0, sigma))
    pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.999})
# With one draw a step, the noise in loc alone would keep σ from going below 0.3.
loss = pyro.infer.Trace_ELBO(num_particles=400, vectorize_particles=True, max_plate_nesting=0)
steps = 1500

# The limits as σ → 0: log N(0.5; 0, 1), and the prior that has become a point.
reference = {
    "log_evidence": -1.0439385,
    "elbo": -1.0439385,
    "params": {"sigma": 0.0},
    "posterior": {"z": (0.0, 0.0)},
}
