"""May I train on minibatches?

A thousand x ~ N(z, 1) with z ~ N(0, 10), of which a step sees ten. The plate knows that there are a
thousand, and scales the ten's log p by 100.

**Press** `100n` a few times, then `f`. `r` starts again.

**See**

- `loc` goes to the mean of the thousand, near 3; `scale` from 0.1 to 0.0316.
- log p jumps from step to step: every batch is another sample of the data.
- In the table of sites, x's log p is that of a thousand points.

**Why**

`pyro.plate("data", 1000, subsample=rows)` multiplies what is inside by 1000/10. So each step's ELBO
is an unbiased estimate of the whole data's, noisier than it but a hundred times cheaper. The noise
of the batch comes on top of that of the draw, and unlike the draw's it does not fade
where the guide is exact: only shorter steps (`ExponentialLR`) make the parameters come to rest.

The posterior has precision 1000 + 1/100, so its sd is 0.0316. `minibatch_forgotten_scale` is the
same file without the scaling.
"""

import math

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = 3.0 + torch.randn(1000)


def model(rows):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(x), subsample=rows):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x[rows])


def guide(rows):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


def batch(step):
    return (torch.arange(10 * step, 10 * step + 10) % len(x),)


def full_batch():
    return (torch.arange(len(x)),)


adam = {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.1}}
optimizer = pyro.optim.ExponentialLR({**adam, "gamma": 0.996})
scheduler_every = 1
loss = pyro.infer.Trace_ELBO(num_particles=10, vectorize_particles=True, max_plate_nesting=1)
steps = 1200

# The posterior's precision is n + 1/100 and its mean Σx over that; x ~ N(0, I + 100 · 11ᵀ).
n, total, squares = len(x), x.double().sum(), x.double().square().sum()
precision = n + 0.01
misfit = (squares - total**2 / precision).item()
log_evidence = -0.5 * (n * math.log(2 * math.pi) + math.log(100 * precision) + misfit)
reference = {
    "log_evidence": log_evidence,
    "elbo": log_evidence,
    "params": {"loc": total.item() / precision, "scale": precision**-0.5},
    "posterior": {"z": (total.item() / precision, precision**-0.5)},
}
