"""A topic model of scvi-tools, trained by one of its two plans for Pyro."""

import argparse
import logging
import warnings

import scvi
from scvi.model import AmortizedLDA
from scvi.train import LowLevelPyroTrainingPlan, PyroTrainingPlan

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

PLANS = {"svi": PyroTrainingPlan, "low-level": LowLevelPyroTrainingPlan}


def main():
    """Fit it to synthetic counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    scvi.settings.seed = 0
    data = scvi.data.synthetic_iid(batch_size=100)
    AmortizedLDA.setup_anndata(data)
    model = AmortizedLDA(data, n_topics=4, n_hidden=16)
    plan = PLANS[args.plan](model.module, n_epochs_kl_warmup=None)
    model.train(
        args.epochs,
        accelerator="cpu",
        training_plan=plan,
        batch_size=64,
        enable_progress_bar=False,
        logger=False,
    )


if __name__ == "__main__":
    main()
