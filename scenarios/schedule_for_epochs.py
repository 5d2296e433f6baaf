"""Why does it stop half way?

The level of 40 readings near 8, and a learning rate that falls by a tenth, again and again.

**Press** `100n`, then `f`.

**See**

- `loc` moves for some forty steps, then ever less, and stays near 1.
- The loss is flat, as if it were done; the gradient is not small at all.

Find out what is wrong before you read on.

**Why**

A schedule that multiplies by 0.9 is meant for epochs. Here it is stepped after every step: after 60
of them the rate is 2e-3 of what it was, after 100 nothing. What looks like convergence is an
optimiser that has no step left.

Set `scheduler_every` to the steps of an epoch, or decay more slowly: 0.995 loses a tenth in 20
steps.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

readings = 8.0 + torch.randn(40)


def model():
    level = pyro.sample("level", dist.Normal(0.0, 10.0))
    with pyro.plate("readings", 40):
        pyro.sample("reading", dist.Normal(level, 1.0), obs=readings)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("level", dist.Normal(loc, scale))


adam = {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.1}}
optimizer = pyro.optim.ExponentialLR({**adam, "gamma": 0.9})
steps = 400
