"""Why is the loss in the millions?

Fifty weights near 3, read off scales that are good to 0.5; the model says 0.001.

**Press** `100n`, then `f`.

**See**

- log p of `weight` is all of the loss; the prior and log q are lost beside it.
- The posterior is narrower than 0.001, at a value that few data are near.

Find out what is wrong before you read on.

**Why**

The likelihood's sd is a constant, 500 times smaller than the scatter of the data. Each observation
is hundreds of its sds away from any value, so the likelihood drowns all else, and the answer is far
too sure of itself.

Let the noise be a latent: `pyro.sample("noise", dist.HalfNormal(1.0))`.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

weights = 3.0 + 0.5 * torch.randn(50)


def model():
    true = pyro.sample("true", dist.Gamma(3.0, 1.0))
    with pyro.plate("scales", 50):
        pyro.sample("weight", dist.Normal(true, 0.001), obs=weights)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.01})
steps = 600
