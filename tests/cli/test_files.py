"""The runs in the formats of other libraries, where these are installed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tui_elbo.cli.files import require, write_data_tree, write_parquet
from tui_elbo.cli.run_table import csv_text
from tui_elbo.model.comparison import unevaluated
from tui_elbo.model.errors import UsageError
from tui_elbo.model.run_table import Row
from tui_elbo.protocol import PosteriorDrawn, SiteDraws


def rows() -> list[Row]:
    def row(lr: float | str, seed: int) -> Row:
        return Row(
            {"lr": lr, "seed": seed}, 3, math.nan, unevaluated("no"), "", 1.5, "steps", "", "a.run"
        )

    return [row(0.1, 0), row("own", 1)]


def test_without_the_library_it_says_what_to_install() -> None:
    with pytest.raises(UsageError, match="takes the library nothing_of_this_name") as raised:
        require("os", "nothing_of_this_name")
    assert "elbo-tui[files]" in raised.value.hint


def test_the_csv_has_the_same_columns() -> None:
    head, first, _ = csv_text(rows()).splitlines()
    assert head.split(",")[:4] == ["lr", "seed", "step", "loss"]
    assert first.startswith("0.1,0,3,,,")


def test_the_table_as_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet(rows(), tmp_path / "runs.parquet")
    one, other = parquet.read_table(tmp_path / "runs.parquet").to_pylist()
    assert (one["lr"], other["lr"], one["loss"], one["step"]) == ("0.1", "own", None, 3)


def test_the_draws_as_a_data_tree(tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf")
    xarray = pytest.importorskip("xarray")
    some = PosteriorDrawn(3, 4, (SiteDraws("z", np.ones((4, 2))),))
    none = PosteriorDrawn(3, 0, (), "the guide draws nothing")
    notes = write_data_tree(rows(), [some, none], tmp_path / "runs.nc")
    assert notes == ["lr own, seed 1: the guide draws nothing"]
    tree = xarray.open_datatree(tmp_path / "runs.nc", engine="h5netcdf")
    assert tree["posterior"]["z"].dims == ("chain", "draw", "run", "z_dim_0")
    assert np.isnan(tree["posterior"]["z"].sel(run="lr own, seed 1")).all()
    assert tree["runs"]["step"].values.tolist() == [3, 3]
    tree.close()
