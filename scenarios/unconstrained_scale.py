"""Why does it fail when it is almost there?

Two hundred precise measurements of one length. All goes well at first.

**Press** `100n`, then `f`. `e` shows the error.

**See**

- `width` falls towards its best value, which is near 0.007.
- Adam's steps are longer than that: one of them ends below 0.

Find out what is wrong before you read on.

**Why**

`width` is a plain `pyro.param`: to the optimiser it is a real number like any other, and 0 is no
wall. A Normal with a negative scale does not exist, so the step fails; until then nothing is to be
seen.

`constraint=constraints.positive` optimises its logarithm, which cannot leave. This one can be known
before the first step: the rule moves each parameter as far as the optimiser could, in a copy.
"""

import pyro
import pyro.distributions as dist
import torch

lengths = 2.0 + 0.1 * torch.randn(200)


def model():
    length = pyro.sample("length", dist.Normal(0.0, 5.0))
    with pyro.plate("measurements", 200):
        pyro.sample("x", dist.Normal(length, 0.1), obs=lengths)


def guide():
    loc = pyro.param("loc", torch.tensor(1.0))
    width = pyro.param("width", torch.tensor(0.8))
    pyro.sample("length", dist.Normal(loc, width))


optimizer = pyro.optim.Adam({"lr": 0.05})
steps = 300
