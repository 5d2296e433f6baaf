"""Why is my regression flat, and so sure of it?

A line through 30 points, y = 3 x. Each array has the shape that its library gave it.

**Press** `100n`, then `f`.

**See**

- The slope ends near 0, with an sd of 0.04.
- log p of `y` is near -3,800, for thirty points.

Find out what is wrong before you read on.

**Why**

`x` has shape (30, 1) and `y` has (30,). Their difference is broadcast to (30, 30): each observation
is compared with the prediction of every row. `to_event(2)` sums it all, so nothing is refused.

On average over all rows a line explains nothing: the slope is 0. And 900 terms make it very sure.
`x.squeeze(-1)`, or `y[:, None]`, gives both the same shape.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

x = torch.linspace(-1, 1, 30)[:, None]
y = 3.0 * x.squeeze(-1) + 0.3 * torch.randn(30)


def model():
    slope = pyro.sample("slope", dist.Normal(0.0, 5.0))
    pyro.sample("y", dist.Normal(slope * x, 0.7).to_event(2), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 500
