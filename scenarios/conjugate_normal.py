"""When does the noise of the ELBO die away?

The model of `no_theta` with an `AutoNormal` guide. A normal prior and normal data have a normal
posterior, so this guide can be exact, and one can see when it is.

**Press** `50n` a few times, then `f`. `r` starts again.

**See**

- `AutoNormal.locs.z` goes to 1, `AutoNormal.scales.z` to 0.447.
- log p and log q go on jumping by 0.7 nats from draw to draw.
- The ELBO becomes a flat line at -5.7305: their jumps are the same.

**Why**

log p(x, z) = log p(z | x) + log p(x). When q(z) is the posterior p(z | x), the difference
log p(x, z) - log q(z) is log p(x) whatever z is drawn: a single draw tells it exactly. The less the
ELBO scatters, the closer the guide is. (Not the other way round for its mean: a guide that misses
half of the posterior can look calm as well. See `two_modes`.)

The steps get shorter and shorter here (`lrd`), or the line would keep a little thickness: every
step trusts one draw, and nudges `loc` off its place again.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

x = torch.tensor([1.0, 2.0, 0.5, 1.5])


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


guide = AutoNormal(model)
optimizer = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.997})
steps = 1000

# The posterior has precision 1 + 4 and mean Σx / 5. The evidence is that of x ~ N(0, I + 11ᵀ):
# -(4 log 2π + log 5 + Σx² - (Σx)² / 5) / 2.
reference = {
    "log_evidence": -5.7304731,
    "elbo": -5.7304731,
    "params": {"AutoNormal.locs.z": 1.0, "AutoNormal.scales.z": 5**-0.5},
    "posterior": {"z": (1.0, 5**-0.5)},
}
