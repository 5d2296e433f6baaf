"""Why are all parameters nan after one step?

A series of temperatures with gaps, which are nan. The gaps are masked, as the tutorials say.

**Press** `n` twice.

**See**

- The loss of step 1 is a number like any other.
- The parameters after it are all nan, and so is step 2.

Find out what is wrong before you read on.

**Why**

A mask takes a term out of the sum, so the loss is finite. But autograd still multiplies: the
gradient of a term that is masked is 0 times nan, which is nan, and it is added to the others.

Fill the gaps before they are observed, with any number: `torch.nan_to_num(series)`. The mask then
takes the made-up terms out, and the gradients are finite.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal

series = 15.0 + torch.randn(24)
series[5:9] = float("nan")
measured = ~torch.isnan(series)


def model():
    mean = pyro.sample("mean", dist.Normal(10.0, 10.0))
    with pyro.plate("hours", 24), pyro.poutine.mask(mask=measured):
        likelihood = dist.Normal(mean, 1.0, validate_args=False)
        pyro.sample("temperature", likelihood, obs=series)


guide = AutoNormal(model)
optimizer = pyro.optim.Adam({"lr": 0.05})
steps = 100
