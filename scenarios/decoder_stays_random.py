"""Why does my autoencoder not learn to decode?

A small variational autoencoder: 64 rows of six numbers that lie near a line.

**Press** `100n`, then `f`.

**See**

- The loss falls, and then it is stuck far above what the noise allows.
- In the table of parameters there are `encoder` weights, and no others.

Find out what is wrong before you read on.

**Why**

SVI optimises what is in the param store. `pyro.module("encoder", encoder)` puts the encoder's
weights there; the decoder is used like any function, and stays as it was made. The encoder does
what it can with a random decoder.

`pyro.module("decoder", decoder)` in the model mends it.
"""

import pyro
import pyro.distributions as dist
import torch

torch.manual_seed(3)
x = torch.randn(64, 1) @ torch.randn(1, 6) + 0.1 * torch.randn(64, 6)
encoder, decoder = torch.nn.Linear(6, 2), torch.nn.Linear(1, 6)


def model():
    with pyro.plate("rows", 64):
        z = pyro.sample("z", dist.Normal(torch.zeros(64, 1), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(decoder(z), 0.3).to_event(1), obs=x)


def guide():
    pyro.module("encoder", encoder)
    with pyro.plate("rows", 64):
        loc, log_scale = encoder(x).chunk(2, -1)
        pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))


optimizer = pyro.optim.Adam({"lr": 0.02})
steps = 500
