"""Why is my parameter not optimised?

The probability of rain, with a Beta guide whose parameters are made once, at the top of the file.

**Press** `100n`, then `f`.

**See**

- `wet` moves and `dry` does not, although both are in the store.
- In the table of parameters one of them has no role.

Find out what is wrong before you read on.

**Why**

The optimiser is given the parameters that have a `pyro.param` statement in this step's traces of
model and guide. `dry` was made when the file was executed; the guide uses the Python variable,
which leaves no statement. It has a gradient, and nobody steps it.

Write `pyro.param("dry", ...)` in the guide. (`pyro.module` at the top of a file is the same trap.)
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

rain = (torch.rand(60) < 0.3).float()
dry = pyro.param("dry", torch.tensor(2.0), constraint=constraints.positive)


def model():
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    with pyro.plate("days", 60):
        pyro.sample("rain", dist.Bernoulli(p), obs=rain)


def guide():
    wet = pyro.param("wet", torch.tensor(2.0), constraint=constraints.positive)
    pyro.sample("p", dist.Beta(wet, dry))


optimizer = pyro.optim.Adam({"lr": 0.05})
steps = 600
