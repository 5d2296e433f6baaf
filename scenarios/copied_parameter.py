"""Why does my location never move?

The level of 50 readings. The guide clips its location by hand before it uses it.

**Press** `100n`, then `f`.

**See**

- `scale` moves, and `loc` stays at exactly 0.
- The gradient of `loc` is missing, not small.

Find out what is wrong before you read on.

**Why**

`torch.tensor(min(float(loc), 100.0))` makes a new tensor from a number: autograd sees no way from
the loss back to `loc`. The same happens with `.item()`, `.detach()`, `.data` and NumPy.

`loc.clamp(max=100.0)` clips and keeps the graph; a constraint, such as
`constraints.less_than(100.0)`, does so without clipping.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

readings = 5.0 + torch.randn(50)


def model():
    level = pyro.sample("level", dist.Normal(0.0, 10.0))
    with pyro.plate("readings", 50):
        pyro.sample("reading", dist.Normal(level, 1.0), obs=readings)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    clipped = torch.tensor(min(float(loc), 100.0))
    pyro.sample("level", dist.Normal(clipped, scale))


optimizer = pyro.optim.Adam({"lr": 0.05})
steps = 400
