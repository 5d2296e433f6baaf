"""Why does one penalty count fifty times?

A probability that is pulled towards 1/2 by a penalty, and fifty tosses, 40 of them heads.

**Press** `100n`, then `f`.

**See**

- `p` stays near 0.51, although 80 % of the tosses are heads.
- log p of `penalty` is fifty times what the formula gives.

Find out what is wrong before you read on.

**Why**

`pyro.factor` stands inside of the plate. A plate of fifty is fifty independent copies of what is in
it: the one number is repeated fifty times, and summed.

It belongs outside, before the `with`. A term for each row belongs inside, with a tensor of fifty.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

tosses = (torch.arange(50) < 40).float()


def model():
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    with pyro.plate("tosses", 50):
        pyro.factor("penalty", -200.0 * (p - 0.5) ** 2)
        pyro.sample("toss", dist.Bernoulli(p), obs=tosses)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 500
