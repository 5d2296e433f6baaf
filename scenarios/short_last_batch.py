"""Why does the fourth step fail?

Forty-six rows in batches of 12, the last of which has 10. Each row has a latent of its own.

**Press** `n` four times. `e` shows the error.

**See**

- Three steps are taken, and the fourth fails, on shapes.
- The guide has 12 locations: as many as the first batch has rows.

Find out what is wrong before you read on.

**Why**

An AutoGuide makes one location for each element of the plate at the first step, twelve here. The
last batch has ten rows. (And the same twelve locations would stand for other rows in each batch.)

If every row is to have parameters of its own, the plate has to know all of them:
`pyro.plate("rows", 46, subsample=index)` and the same index in the guide. Or let a network compute
them from the row.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

rows = torch.randn(46)


def model(x):
    with pyro.plate("rows", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 0.5), obs=x)


guide = AutoNormal(model)


def batch(step):
    first = 12 * ((step - 1) % 4)
    return (rows[first : first + 12],)


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 200
