"""Why is my posterior too narrow?

A line through eight points. Its intercept and slope are correlated in the posterior (-0.84), and
`AutoNormal` takes them for independent.

**Press** `100n` a few times, then `f`. `r` starts again.

**See**

- Both `locs` end where they should: 0.125 and 0.975.
- Both `scales` end too small: 0.353 and 0.085, where the posterior has 0.644 and 0.154.
- The ELBO ends at -15.57, and stays 0.60 nats below log p(x) = -14.97.
- It goes on jumping even so: this guide never becomes the posterior.

**Why**

SVI makes KL(q ‖ posterior) small, and that punishes q for being where the posterior is not. To stay
inside a narrow slanted ridge, an upright q has to be as small as the ridge is narrow: its scales
are those of one weight while the other is *held fixed*. The 0.60 nats are -½ log(1 - 0.836²): what
the correlation is worth.

The error bars are too small by a factor of 1.8, and nothing in the ELBO itself says so.
`regression_full_rank` has the same model with a guide that knows of correlations.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

t = torch.arange(8.0)
y = torch.tensor([0.2, 1.1, 1.9, 3.2, 3.8, 5.1, 6.2, 6.8])


def model():
    intercept = pyro.sample("intercept", dist.Normal(0.0, 10.0))
    slope = pyro.sample("slope", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(t)):
        pyro.sample("y", dist.Normal(intercept + slope * t, 1.0), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.996})
steps = 1000

# With X = [1, t] the posterior is N(Λ⁻¹Xᵀy, Λ⁻¹), Λ = XᵀX + I/100; and y ~ N(0, I + 100 XXᵀ).
# The best independent normals have its mean, and the variances 1 / diag Λ.
reference = {
    "log_evidence": -14.968513,
    "elbo": -15.568966,
    "params": {
        "AutoNormal.locs.intercept": 0.12529,
        "AutoNormal.locs.slope": 0.97487,
        "AutoNormal.scales.intercept": 0.35333,
        "AutoNormal.scales.slope": 0.08451,
    },
    "posterior": {"intercept": (0.12529, 0.64410), "slope": (0.97487, 0.15406)},
}
