"""Why do all groups become the same?

Eight groups with three measurements each; the most probable value of everything, by AutoDelta.

**Press** `100n`, then `f`.

**See**

- `spread` falls and falls, and all levels move to one value.
- The ELBO goes on rising for as long as the run does.

Find out what is wrong before you read on.

**Why**

With all levels at their common mean, the density of the prior grows as spread^-8 when the spread
goes to 0: the joint density has no maximum. A point estimate runs into that corner, whatever the
data say. The corner has no volume, so a guide with a width of its own does not go there.

Take AutoNormal; or a prior for the spread that vanishes at 0, such as LogNormal; or write the
levels non-centred.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoDelta

truth = torch.linspace(-2.0, 2.0, 8)[:, None]
x = truth + 0.5 * torch.randn(8, 3)


def model():
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    spread = pyro.sample("spread", dist.HalfCauchy(1.0))
    with pyro.plate("groups", 8, dim=-2):
        level = pyro.sample("level", dist.Normal(mean, spread))
        with pyro.plate("measurements", 3, dim=-1):
            pyro.sample("x", dist.Normal(level, 2.0), obs=x)


guide = AutoDelta(model)
optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 600
