"""Why does it start so far away?

A fit in a notebook: another model was fitted in an earlier cell.

**Press** `n`, then `f`.

**See**

- The file says that `loc` starts at 0; after one step it is near 80.
- With this learning rate it does not come back within the run.

Find out what is wrong before you read on.

**Why**

Parameters live in one store for the whole process, by name. `pyro.param("loc", torch.tensor(0.0))`
sets the value only if the store has none of that name, and here the earlier fit has left one.

`pyro.clear_param_store()` before a fit forgets all of them; or give the parameters of two models
different names.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

pyro.param("loc", torch.tensor(80.0))  # what an earlier fit has left
pyro.param("scale", torch.tensor(0.05), constraint=constraints.positive)

x = 1.0 + torch.randn(20)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 2.0))
    with pyro.plate("data", 20):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 400
