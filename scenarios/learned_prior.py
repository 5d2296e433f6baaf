"""Should I learn my prior with pyro.param?

Five counts, each with a rate of its own that is drawn from Exponential(a), where `a` is a
`pyro.param` of the model. Now SVI fits the prior to the data, too.

**Press** `100n` a few times, then `f`. `r` starts again.

**See**

- `a` is marked θ, for the model reads it; `concentration` and `rate` are φ.
- log p rises from about -23 to -16, and the ELBO from -18 to -9.55.
- `a` falls from 2 to about 0.5 within 100 steps, and comes to rest there.

**Why**

SVI moves whatever is in the param store, so log p rises for two reasons: φ moves the draws, and θ
moves the density that they are measured with. θ goes where the evidence is largest,

    log p(x; a) = 5 log a - 15 log(1 + a)      (Σx = 10, five counts)

which is at a = 0.5: empirical Bayes, or type-II maximum likelihood. This guide can be the exact
posterior, zᵢ ~ Gamma(xᵢ + 1, 1 + a), so at the end the ELBO *is* log p(x; 0.5) = -9.5477.

The prior's mean is then 1/a = 2, which is the mean of the counts: the prior has been fitted to the
very data that it is used with.

**Should I, then?**

- Yes, where much data bears on the parameter, such as a scale that hundreds of groups share: they
  leave little doubt about it, and one value is enough.
- Not with data as few as here: a = 0.25 and a = 1 are only 0.73 and 0.85 nats less probable than
  0.5, yet SVI goes on as if a were known. With less still, the prior collapses: `prior_collapse`.
- A hyperprior is better then: `a = pyro.sample("a", ...)` in the model, and a guide for it. A
  `Delta` guide (AutoDelta) keeps one value of `a`, the MAP estimate: `hyperprior_map`. A guide with
  a width (AutoNormal) also keeps how uncertain `a` is.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints

x = torch.tensor([1.0, 3.0, 0.0, 2.0, 4.0])


def model():
    a = pyro.param("a", torch.tensor(2.0), constraint=constraints.positive)
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Exponential(a))
        pyro.sample("x", dist.Poisson(z), obs=x)


def guide():
    ones = torch.ones(len(x))
    concentration = pyro.param("concentration", ones, constraint=constraints.positive)
    rate = pyro.param("rate", ones, constraint=constraints.positive)
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Gamma(concentration, rate))


# Each step is 0.996 times as long as the one before, so that the parameters come to rest.
optimizer = pyro.optim.ClippedAdam({"lr": 0.1, "lrd": 0.996})
loss = pyro.infer.Trace_ELBO(num_particles=10, vectorize_particles=True, max_plate_nesting=1)
steps = 1200

# ∫ Exponential(z; a) Poisson(x; z) dz = a / (1 + a)^(x + 1), largest at a = n / Σx.
a_best = 0.5
reference = {
    "log_evidence": -9.5477125,
    "elbo": -9.5477125,
    "params": {"a": a_best},
    "posterior": {
        "z": (
            [(k + 1) / (1 + a_best) for k in x.tolist()],
            [(k + 1) ** 0.5 / (1 + a_best) for k in x.tolist()],
        ),
    },
}
