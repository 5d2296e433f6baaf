"""Is a full-rank guide wide enough?

The model of `regression`, and an `AutoMultivariateNormal` guide. The posterior of a linear
regression *is* a multivariate normal, so nothing is in the way.

**Press** `100n` a few times, then `f`. `r` starts again.

**See**

- The ELBO reaches log p(x) = -14.9685, and its noise dies away.
- `AutoMultivariateNormal.loc` goes to (0.125, 0.975).
- `scale` (two numbers) and `scale_tril` (the correlation's half of a matrix) share the covariance.

**Why**

The mean-field guide of `regression` lost 0.60 nats to a correlation of -0.84. This one has a
parameter for it, and the gap closes: what was missing was the *family* of the guide, not steps.

The price: the covariance of d latent numbers takes d(d + 1)/2 parameters instead of d. With two
latents that is nothing; with a thousand it is half a million. `AutoLowRankMultivariateNormal` lies
in between.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoMultivariateNormal

t = torch.arange(8.0)
y = torch.tensor([0.2, 1.1, 1.9, 3.2, 3.8, 5.1, 6.2, 6.8])


def model():
    intercept = pyro.sample("intercept", dist.Normal(0.0, 10.0))
    slope = pyro.sample("slope", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(t)):
        pyro.sample("y", dist.Normal(intercept + slope * t, 1.0), obs=y)


guide = AutoMultivariateNormal(model)
optimizer = pyro.optim.ClippedAdam({"lr": 0.1, "lrd": 0.995})
loss = pyro.infer.Trace_ELBO(num_particles=10, vectorize_particles=True, max_plate_nesting=1)
steps = 1000

# With X = [1, t] the posterior is N(Λ⁻¹Xᵀy, Λ⁻¹), Λ = XᵀX + I/100; and y ~ N(0, I + 100 XXᵀ).
reference = {
    "log_evidence": -14.968513,
    "elbo": -14.968513,
    "params": {"AutoMultivariateNormal.loc": [0.12529, 0.97487]},
    "posterior": {"intercept": (0.12529, 0.64410), "slope": (0.97487, 0.15406)},
}
