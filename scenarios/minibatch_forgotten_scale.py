"""Why is my posterior too wide with minibatches?

The same data as in `minibatch`, but the plate is as long as the batch. So the model believes that
there are ten data points, other ten at every step.

**Press** `100n` a few times, then `f`. `r` starts again.

**See**

- `loc` finds the mean of the thousand all the same, near 3.
- `scale` goes up from 0.1, to 0.316, where it should go down to 0.0316: ten times too wide.
- In the table of sites, x's log p is that of ten points, about -14 and not -1,400.

**Why**

On average over the batches each step pulls as ten data points would, against a prior that counts in
full. With n points the posterior's sd is 1/√(n + 1/100): 0.316 for ten, 0.0316 for a thousand. No
error is raised, the fit looks fine, and the uncertainty is that of a hundredth of the data.

The cure is to say how many there are: `pyro.plate("data", len(x), subsample=rows)`. A look at the
sites' log p shows the mistake at once: it should not depend on the size of the batch.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = 3.0 + torch.randn(1000)


def model(rows):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(rows)):  # forgotten: the plate is longer than the batch
        pyro.sample("x", dist.Normal(z, 1.0), obs=x[rows])


def guide(rows):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


def batch(step):
    return (torch.arange(10 * step, 10 * step + 10) % len(x),)


adam = {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.1}}
optimizer = pyro.optim.ExponentialLR({**adam, "gamma": 0.996})
scheduler_every = 1
loss = pyro.infer.Trace_ELBO(num_particles=10, vectorize_particles=True, max_plate_nesting=1)
steps = 1200

# What ten points at a time lead to; and what the thousand would say.
total = x.double().sum().item()
reference = {
    "params": {"loc": total / 100 / 10.01, "scale": 10.01**-0.5},
    "posterior": {"z": (total / 1000.01, 1000.01**-0.5)},
}
