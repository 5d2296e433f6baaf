"""Can a calm ELBO hide half of the posterior?

The density of z has two humps, at -3 and at 3, each with half of the mass. The guide has one.

**Press** `50n` a few times, then `f`. `r` starts again.

**See**

- `loc` goes from 1 to 2.984, `scale` to 1.023, the width of one hump.
- The ELBO ends at -0.689 and hardly moves there (a draw's sd is 0.10), while log p(x) is 0.

**Why**

KL(q ‖ posterior) punishes q for being where the posterior is not, and forgives it for not being
where the posterior is. So q settles in one hump. The gap of 0.69 nats is log 2: q is right up to a
factor of two on the side it knows, and knows nothing of the other. No number that is measured with
draws of q can show that there is another side: the ELBO is as calm as if q were exact.

Put `loc` = 0.0 in the file and press `R`: that is another optimum. q straddles both humps with a
scale of about 3, and half of its draws fall in the valley between or beyond. It covers the truth
much better, yet it looks worse: the ELBO is -0.84, and a draw's sd is 1.7. A start at -1.0 finds
the left hump. Several starting points are what gives such a posterior away.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints


def model():
    side = dist.Categorical(torch.tensor([0.5, 0.5]))
    hump = dist.Normal(torch.tensor([-3.0, 3.0]), 1.0)
    pyro.sample("z", dist.MixtureSameFamily(side, hump))


def guide():
    loc = pyro.param("loc", torch.tensor(1.0))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


optimizer = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.997})
steps = 1000

# With no data the evidence is 1. The ELBO's maximum is by quadrature.
reference = {
    "log_evidence": 0.0,
    "elbo": -0.688769,
    "params": {"loc": 2.984306, "scale": 1.023368},
    "posterior": {"z": (0.0, 10**0.5)},
}
