"""Why do my two components never part?

A mixture of two Normals, whose clusters are at -4 and 4. Both components start at 0.

**Press** `100n`, then `f`.

**See**

- Both elements of `means` are the same number at every step.
- `width` grows until one component covers both clusters.

Find out what is wrong before you read on.

**Why**

The model does not change when its components change places. Where both start alike they have the
same gradient, and take the same step, for ever: a saddle of the objective, on which the symmetry
holds them.

Start them apart: a little noise is enough.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = torch.cat([torch.randn(30) - 4.0, torch.randn(30) + 4.0])


def model():
    means = pyro.param("means", torch.zeros(2))
    width = pyro.param("width", torch.tensor(1.0), constraint=constraints.positive)
    halves = dist.Categorical(torch.tensor([0.5, 0.5]))
    with pyro.plate("points", 60):
        mixture = dist.MixtureSameFamily(halves, dist.Normal(means, width))
        pyro.sample("x", mixture, obs=x)


def guide():
    pass


optimizer = pyro.optim.Adam({"lr": 0.05})
steps = 400
