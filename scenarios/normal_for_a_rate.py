"""Why does a step fail now and then?

A Gamma prior for the rate of 25 waiting times, and a Normal guide, which is simplest.

**Press** `n`, then `100n`. `e` shows the error.

**See**

- It runs for some steps, and then a step fails, with a negative rate.
- Which step that is depends on the seed.

Find out what is wrong before you read on.

**Why**

A Normal reaches every real number. The prior has no density below 0, and neither has an Exponential
with a negative rate: sooner or later a draw ends there, and Pyro refuses it. With validation
switched off, the loss would be nan instead.

Draw the rate from a distribution on the same support: LogNormal, Gamma, or an AutoGuide, which
transforms a Normal onto it.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

waits = torch.distributions.Exponential(0.8).sample((25,))


def model():
    rate = pyro.sample("rate", dist.Gamma(2.0, 2.0))
    with pyro.plate("waits", 25):
        pyro.sample("wait", dist.Exponential(rate), obs=waits)


def guide():
    loc = pyro.param("loc", torch.tensor(1.0))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("rate", dist.Normal(loc, scale))


optimizer = pyro.optim.Adam({"lr": 0.01})
steps = 300
