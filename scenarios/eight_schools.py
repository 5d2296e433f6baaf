"""Is my hierarchical model's answer right?

How much did coaching help in eight schools? Each school's effect is θ ~ N(μ, τ) (a latent variable
here, no parameter), with μ ~ N(0, 5) and τ ~ HalfCauchy(5). The guide is `AutoNormal`.

**Press** `100n` a few times, then `f`. `r` starts again. After `f`, `space` goes on and on.

**See**

- After 1,200 steps the ELBO seems to rest near -33.8, 2.5 nats below log p(x) = -31.31.
- The guide's mean of μ, `AutoNormal.locs.mu`, is near 2 by then; the posterior's is 4.4.
- It has not come to rest: `locs.mu` creeps on, and the ELBO creeps with it, below its own noise.

**Why**

When τ is small all effects lie close to μ, when it is large they spread: the posterior is a funnel.
Independent normals have one width each, whatever τ is, so the guide keeps out of the funnel's neck.

*Slow:* μ is tied to the eight effects and each of them to μ; none gets far before the others have
followed. *Wrong:* the best guide of this family, at an ELBO of -33.40, has a mean of μ of 4.28, but
an sd of 1.83 and not 3.32; and a mean of τ of 6.06, not 3.60. A flat-looking ELBO tells neither.
`eight_schools_non_centred` cures both.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
sigma = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def model():
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", len(y)):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, sigma), obs=y)


guide = AutoNormal(model)
optimizer = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.999})
loss = pyro.infer.Trace_ELBO(num_particles=10, vectorize_particles=True, max_plate_nesting=1)
steps = 1200

# By quadrature over μ and τ, with θ integrated out: y ~ N(μ, √(σ² + τ²)).
reference = {
    "log_evidence": -31.311347,
    "elbo": -33.404050,  # of the best AutoNormal, by Gauss-Hermite quadrature; far past `steps`
    "posterior": {"mu": (4.3968, 3.3177), "tau": (3.5977, 3.2200)},
}
