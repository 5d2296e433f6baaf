"""Why does the guide's scale only grow?

The rate of 30 counts, with a Gamma prior and a LogNormal guide.

**Press** `100n`, then `f`.

**See**

- `loc` and `scale` move, and the counts have no say in it.
- The table of sites has three names where the model has two.

Find out what is wrong before you read on.

**Why**

The guide draws `rates`, the model `rate`. To Pyro these are two sites: the model's is drawn from
its prior, the guide's has a log q and no log p. All that the guide's parameters can still do is to
raise the entropy of a site that nobody reads.

Names are all that connects guide and model. The finding names the nearest one.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

counts = torch.poisson(4.0 * torch.ones(30))


def model():
    rate = pyro.sample("rate", dist.Gamma(2.0, 0.5))
    with pyro.plate("days", 30):
        pyro.sample("count", dist.Poisson(rate), obs=counts)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.2), constraint=constraints.positive)
    pyro.sample("rates", dist.LogNormal(loc, scale))


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 500
