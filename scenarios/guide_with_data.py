"""Why does log q fall without end?

Measured heights, and a guide that looks just like the model.

**Press** `100n`, then `f`.

**See**

- The ELBO rises and rises: log p stays as it is, log q falls.
- `mean` does not move, and `width` grows past any sensible value.

Find out what is wrong before you read on.

**Why**

The guide draws `height`, which the model observes. The model keeps its data, so the draw is used
nowhere; what is left of the objective is -log q, which is larger the wider the guide is. An ELBO
that rises so says nothing.

A guide draws the latents, and them alone. This model has none: what there is to learn should be a
latent, or a `pyro.param` of the model.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

heights = 170.0 + 8.0 * torch.randn(100)


def model():
    with pyro.plate("people", 100):
        pyro.sample("height", dist.Normal(170.0, 8.0), obs=heights)


def guide():
    mean = pyro.param("mean", torch.tensor(165.0))
    width = pyro.param("width", torch.tensor(2.0), constraint=constraints.positive)
    with pyro.plate("people", 100):
        pyro.sample("height", dist.Normal(mean, width))


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 500
