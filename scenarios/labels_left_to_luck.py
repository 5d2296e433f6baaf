"""Why do both clusters sit in the middle?

Two clusters, at -3 and 3. The label of each point is to be summed out, so the guide has none.

**Press** `100n`, then `f`.

**See**

- Both means end near 0, where there are no data.
- The loss jumps by a hundred nats from step to step.

Find out what is wrong before you read on.

**Why**

`config_enumerate` only marks the labels. The estimator that sums over them is `TraceEnum_ELBO`;
this scenario takes the default, `Trace_ELBO`, which draws each label from its prior at each step: a
coin toss that knows nothing of the data. The mean of all points is then the best that both can do.

`loss = TraceEnum_ELBO(max_plate_nesting=1)` mends it.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import config_enumerate
from pyro.infer.autoguide import AutoNormal

x = torch.cat([torch.randn(25) - 3.0, torch.randn(25) + 3.0])


@config_enumerate
def model():
    means = pyro.sample("means", dist.Normal(torch.tensor([-1.0, 1.0]), 4.0).to_event(1))
    with pyro.plate("points", 50):
        label = pyro.sample("label", dist.Bernoulli(0.5))
        pyro.sample("x", dist.Normal(means[label.long()], 1.0), obs=x)


guide = AutoNormal(pyro.poutine.block(model, hide=["label"]))
optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 600
