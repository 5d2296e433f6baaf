"""The runs in formats of other, optional, libraries: Parquet, and ArviZ's data tree."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tui_elbo.cli.run_table import table_records
from tui_elbo.model.errors import UsageError
from tui_elbo.model.run_table import Row, columns, label
from tui_elbo.protocol import PosteriorDrawn

EXTRA = 'pip install "elbo-tui[files]"'


def require(*libraries: str) -> None:
    """See that these are installed; nothing is imported.

    Raises:
        UsageError: if one is not.
    """
    for name in libraries:
        if find_spec(name) is None:
            raise UsageError(f"this takes the library {name}, which is not installed", hint=EXTRA)


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """Write the table: a row a run, its columns those of the CSV; missing numbers are null.

    Raises:
        UsageError: without pyarrow, or if it cannot be written.
    """
    require("pyarrow")
    import pyarrow  # noqa: PLC0415 - optional, and slow to import
    from pyarrow import parquet  # noqa: PLC0415

    found = table_records(rows)
    cells: dict[str, list[Any]] = {name: [one[name] for one in found] for name in found[0]}
    for name, values in cells.items():
        if len({type(value) for value in values if value is not None} - {int, float}) > 0:
            cells[name] = [None if value is None else str(value) for value in values]
        elif any(isinstance(value, float) for value in values):
            cells[name] = [None if value is None else float(value) for value in values]
    try:
        parquet.write_table(pyarrow.table(cells), path)
    except OSError as error:
        raise UsageError(f"the table cannot be written: {error}", where=str(path)) from error


def write_data_tree(rows: Sequence[Row], drawn: Sequence[PosteriorDrawn], path: Path) -> list[str]:
    """Write draws of the guides as ArviZ's data tree, in NetCDF.

    The group `posterior` has the dimensions chain (one), draw, run and those of the site; the group
    `runs` has the table, by run. What is missing in a run is NaN.

    Args:
        rows: the runs.
        drawn: of each, its draws.
        path: of the file.

    Returns:
        What is left out, in words.

    Raises:
        UsageError: without xarray, if there is nothing to write, or it cannot be written.
    """
    require("xarray", "h5netcdf")
    import xarray  # noqa: PLC0415 - optional, and slow to import

    names = columns(rows)
    labels = [label(row, names) for row in rows]
    notes = [f"{one}: {seen.note}" for one, seen in zip(labels, drawn, strict=True) if seen.note]
    count = min((seen.count for seen in drawn if seen.count), default=0)
    if not count:
        raise UsageError("no run has draws to write", hint="; ".join(notes))
    shapes: dict[str, tuple[int, ...]] = {}
    for seen in drawn:
        for site in seen.sites:
            shapes.setdefault(site.name, site.values.shape[1:])
    sites = {}
    for name, shape in shapes.items():
        values = np.full((1, count, len(rows), *shape), np.nan)
        for index, seen in enumerate(drawn):
            for site in seen.sites:
                if site.name == name and site.values.shape[1:] == shape:
                    values[0, :, index] = site.values[:count]
                elif site.name == name:
                    notes.append(f"{labels[index]}: {name} has another shape")
        own = [f"{name}_dim_{axis}" for axis in range(len(shape))]
        sites[name] = (["chain", "draw", "run", *own], values)
    coords = {"chain": [0], "draw": np.arange(count), "run": labels}
    found = table_records(rows)
    table = {
        name: ("run", _plain([one[name] for one in found])) for name in found[0] if name != "run"
    }
    tree = xarray.DataTree.from_dict(
        {
            "posterior": xarray.Dataset(sites, coords),
            "runs": xarray.Dataset(table, {"run": labels}),
        }
    )
    try:
        tree.to_netcdf(path, engine="h5netcdf")
    except OSError as error:
        raise UsageError(f"the draws cannot be written: {error}", where=str(path)) from error
    return notes


def _plain(values: Sequence[Any]) -> list[Any]:
    if all(value is None or isinstance(value, int | float) for value in values):
        return [np.nan if value is None else value for value in values]
    return ["" if value is None else str(value) for value in values]
