"""My model has networks: what is θ then?

Pictures of 8 × 8 pixels, each of one bar, are squeezed through two numbers z and drawn again. The
decoder is part of the model, the encoder part of the guide; both are `nn.Module`s.

**Press** `100n` a few times, then `f` (some seconds). `r` starts again.

**See**

- `pyro.module("decoder", ...)` puts the decoder's weights in the param store: `decoder$$$0.weight`
  and its like are θ. The encoder's, `encoder$$$...`, are φ.
- The ELBO climbs from about -14,600 to about -3,300: quickly while the decoder learns that most
  pixels are dark, more slowly while it learns the bars.
- log q rises as well: each kind of bar gets a place of its own in the plane of z.

**Why**

Both networks are trained by the same ELBO: θ raises log p(x, z), by drawing better and by placing
the pictures where the prior expects them; φ does as in every other guide. Nothing tells the two
apart but who reads the weight, the model or the guide.

A step sees 32 of the 320 pictures, those that `batch(step)` names; `subsample=rows` makes the plate
scale their terms by 10, so that each step estimates the ELBO of all 320.

How good can it get? Which of 16 bars a picture shows is worth log 16 = 2.77 nats, and which of its
pixels are flipped 6.27: 9.05 apiece, so about -2,895 for all. A model that takes each pixel for a
coin gets 64 log ½ = -44.4 apiece, -14,196 for all, and that is where this one starts.
"""

import pyro
import pyro.distributions as dist
import torch
from torch import nn

# A bar in one of 8 places, across or upright; then one pixel in fifty is flipped.
place = torch.randint(8, (320, 1, 1))
across = torch.rand(320, 1, 1) < 0.5
lit = torch.where(across, torch.arange(8).view(8, 1) == place, torch.arange(8) == place)
images = (lit ^ (torch.rand(320, 8, 8) < 0.02)).float().flatten(1)

decoder = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 64))
encoder = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 4))


def model(rows):
    pyro.module("decoder", decoder)
    with pyro.plate("images", len(images), subsample=rows):
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        pyro.sample("pixels", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=images[rows])


def guide(rows):
    pyro.module("encoder", encoder)
    loc, log_scale = encoder(images[rows]).chunk(2, dim=-1)
    with pyro.plate("images", len(images), subsample=rows):
        pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))


def batch(step):
    return (torch.arange(32 * step, 32 * step + 32) % len(images),)


def full_batch():
    return (torch.arange(len(images)),)


optimizer = pyro.optim.Adam({"lr": 0.01})
steps = 2000
