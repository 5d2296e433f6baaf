"""CellBender's own model and training loop, on counts that its own simulator draws."""

import argparse
import logging
import warnings

import numpy as np
from cellbender.base_cli import get_populated_argparser
from cellbender.remove_background.cli import CLI
from cellbender.remove_background.data.dataset import get_dataset_obj
from cellbender.remove_background.data.extras.simulate import generate_sample_dirichlet_dataset
from cellbender.remove_background.data.io import write_matrix_to_cellranger_h5
from cellbender.remove_background.run import run_inference

warnings.filterwarnings("ignore")


def write_counts(path):
    """Write a small data set as the command line tool reads it."""
    drawn = generate_sample_dirichlet_dataset(
        n_droplets=100,
        n_genes=200,
        chi_artificial_similarity=0.25,
        cells_of_each_type=[10, 10, 10],
        cell_mean_umi=[5000, 5000, 5000],
        cell_lognormal_sigma=0.01,
        empty_mean_umi=200,
        empty_lognormal_sigma=0.01,
        model_type="full",
        dirichlet_alpha=0.05,
        epsilon_param=20,
        rho_alpha=4,
        rho_beta=96,
        random_seed=0,
    )
    genes = np.array(drawn["gene_names"])
    write_matrix_to_cellranger_h5(
        output_file=path,
        gene_names=genes,
        gene_ids=np.array([f"id{gene}" for gene in genes]),
        feature_types=np.array(["Gene Expression"] * genes.size),
        genomes=np.array(["simulated"] * genes.size),
        barcodes=drawn["barcodes"],
        count_matrix=(drawn["counts_true"] + drawn["counts_bkg"]).tocsc(),
        cellranger_version=3,
    )


def main():
    """Train, and evaluate the ELBO of held-out droplets every fifth epoch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=30)
    epochs = parser.parse_args().epochs
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_counts("counts.h5")
    words = ["remove-background", "--input", "counts.h5", "--output", "out.h5"]
    words += ["--epochs", str(epochs), "--z-layers", "32", "--z-dim", "8", "--cpu-threads", "1"]
    args = CLI.validate_args(args=get_populated_argparser().parse_args(words))
    args.checkpoint_filename = "checkpoint"
    run_inference(get_dataset_obj(args=args), args, output_checkpoint_tarball="none")


if __name__ == "__main__":
    main()
