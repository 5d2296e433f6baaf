"""An ELBO as a module of Lightning, with parameters that its modules keep for themselves."""

import argparse
import logging
import warnings

import lightning.pytorch as pl
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Line(PyroModule):
    """A line through points that come in minibatches."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x, y=None):
        """Draw the points' heights."""
        slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
        offset = pyro.sample("offset", dist.Normal(0.0, 1.0))
        with pyro.plate("points", self.size, len(x)):
            return pyro.sample("y", dist.Normal(offset + slope * x, 0.5), obs=y)


class Plan(pl.LightningModule):
    """Trains the parameters of model and guide."""

    def __init__(self, elbo):
        super().__init__()
        self.elbo = elbo

    def training_step(self, batch, _):
        """Minus the ELBO of a minibatch."""
        return self.elbo(*batch)

    def validation_step(self, batch, _):
        """The same of data that are held out."""
        self.log("held_out", self.elbo(*batch))

    def configure_optimizers(self):
        """Of all parameters."""
        return torch.optim.Adam(self.elbo.parameters(), lr=0.02)


def main():
    """Fit the line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--devices", type=int, default=1)
    args = parser.parse_args()
    pyro.set_rng_seed(1)
    pyro.settings.set(module_local_params=True)
    x = torch.randn(1000)
    model = Line(800)
    y = 0.7 * x - 0.3 + 0.5 * torch.randn(1000)
    elbo = Trace_ELBO()(model, AutoNormal(model))
    train, held_out = TensorDataset(x[:800], y[:800]), TensorDataset(x[800:], y[800:])
    elbo(*train[:100])
    trainer = pl.Trainer(
        max_epochs=args.epochs,
        accelerator="cpu",
        strategy=args.strategy,
        devices=args.devices,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Plan(elbo), DataLoader(train, 100, shuffle=True), DataLoader(held_out, 200))


if __name__ == "__main__":
    main()
