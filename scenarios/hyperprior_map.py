"""Is a hyperprior with a Delta guide just MLE?

The model of `learned_prior` with `a` made a latent variable, a ~ Gamma(2, 1), whose guide is a
point, `Delta(a_map)`: the usual advice for a prior that is to be learned.

**Press** `100n` a few times, then `f`. `r` starts again.

**See**

- There is no θ any more: `a_map` is a parameter of the guide, so it is φ.
- `a_map` settles at 0.568, where `learned_prior` had 0.5.
- The ELBO goes from -19.3 to -10.709. `a` is among the sites; its log q is 0 at every step.

**Why**

A Delta guide has log q = 0, so for `a` the ELBO keeps log p alone: SVI maximises
log p(x; a) + log Gamma(a; 2, 1), the posterior density of `a`. That is the MAP estimate. Here

    5 log a - 15 log(1 + a)  +  log a - a     is largest at   a = -5 + √31 = 0.5678

The hyperprior peaks at 1 and pulls `a` up from 0.5. **MAP equals maximum likelihood only when the
hyperprior is flat** in `a`: put `dist.ImproperUniform(constraints.positive, (), ())` in its place,
press `R`, and `a_map` goes back to 0.5. (Flat in log a is not flat in a: MAP depends on the scale.)

A point has no spread: the true posterior of `a` has mean 0.78 and sd 0.39. Nor is this ELBO a bound
on log p(x) = -10.9626: it comes out above it, since q(a) is a density only in name.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = torch.tensor([1.0, 3.0, 0.0, 2.0, 4.0])


def model():
    a = pyro.sample("a", dist.Gamma(2.0, 1.0))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Exponential(a))
        pyro.sample("x", dist.Poisson(z), obs=x)


def guide():
    a_map = pyro.param("a_map", torch.tensor(2.0), constraint=constraints.positive)
    pyro.sample("a", dist.Delta(a_map))
    ones = torch.ones(len(x))
    concentration = pyro.param("concentration", ones, constraint=constraints.positive)
    rate = pyro.param("rate", ones, constraint=constraints.positive)
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Gamma(concentration, rate))


# Each step is 0.996 times as long as the one before, so that the parameters come to rest.
optimizer = pyro.optim.ClippedAdam({"lr": 0.1, "lrd": 0.996})
loss = pyro.infer.Trace_ELBO(num_particles=10, vectorize_particles=True, max_plate_nesting=1)
steps = 1200

# p(x, a) = a⁶ (1 + a)⁻¹⁵ e⁻ᵃ: at its mode for the ELBO; the integral, mean and sd by quadrature.
reference = {
    "log_evidence": -10.9625920,
    "elbo": -10.7088166,
    "params": {"a_map": 31**0.5 - 5},
    "posterior": {"a": (0.7799357, 0.3901471)},
}
