"""Why does my slope stay as unsure as its prior?

A line through 40 points, y = 2 - 1.5 x with little noise. The intercept is fitted by hand.

**Press** `100n`, then `f`. `o` shows what Pyro warns of.

**See**

- The loss is lower than at first, and noisy: it jumps by hundreds of nats to the end.
- `intercept` has a row in the table of sites with both log p and log q; `slope` has log p alone.

Find out what is wrong before you read on.

**Why**

The guide has no site `slope`. A latent that the guide leaves out is drawn from its prior at each
step: the model sees another slope, of sd 4, each time. Nothing is fitted to it, and its luck is the
noise of the loss.

The cure is a second `pyro.sample("slope", ...)` in the guide, with parameters of its own; or an
AutoGuide, which forgets none.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = torch.linspace(-2, 2, 40)
y = 2.0 - 1.5 * x + 0.4 * torch.randn(40)


def model():
    intercept = pyro.sample("intercept", dist.Normal(0.0, 4.0))
    slope = pyro.sample("slope", dist.Normal(0.0, 4.0))
    with pyro.plate("points", 40):
        pyro.sample("y", dist.Normal(intercept + slope * x, 0.4), obs=y)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("intercept", dist.Normal(loc, scale))


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 600
