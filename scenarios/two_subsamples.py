"""Why do all groups look alike?

Sixty groups, half of them at -3 and half at 3, fitted by batches of 12 that the loop chooses.

**Press** `100n`, then `f`.

**See**

- The loss never settles, and the locations of all groups stay near 0.
- Each group's data are far from 0, and there is hardly any noise.

Find out what is wrong before you read on.

**Why**

The model is given the groups that a step is about: `subsample=rows`. The guide's plate is not, and
chooses twelve of its own. Replay puts the guide's choice over the model's, so the latents of some
groups meet the data of others.

Give the guide's plate the same rows. For an AutoGuide: `AutoNormal(model, create_plates=...)` with
a function that makes the plate with `subsample=rows`.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

truth = torch.cat([torch.full((30,), -3.0), torch.full((30,), 3.0)])
data = truth + 0.2 * torch.randn(60)


def model(rows):
    with pyro.plate("groups", 60, subsample=rows):
        level = pyro.sample("level", dist.Normal(0.0, 4.0))
        pyro.sample("x", dist.Normal(level, 0.4), obs=data[rows])


guide = AutoNormal(model)


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return (torch.randperm(60, generator=generator)[:12],)


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 800
