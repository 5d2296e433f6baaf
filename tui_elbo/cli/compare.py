"""`elbo-tui compare`: the table of the runs of a sweep, or of saved runs, and which is better."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from tui_elbo.cli.options import parser, whole
from tui_elbo.cli.run_table import csv_text, record, table_text
from tui_elbo.model.errors import UsageError
from tui_elbo.model.run_table import Row
from tui_elbo.model.scenarios import expanded

DESCRIPTION = """\
Compare runs: the folder of a sweep, or files of saved runs.

All runs of one model are seen with the same draws, each at its last step. ELBO and below the best
are in nats, with the standard error of the draws: of paired differences where the guides are the
same. Where a setting has been run with several seeds, settings are compared with the seeds as the
unit. Runs whose models differ are not compared, since their ELBOs bound different evidence.
Runs at rest are grouped by the mode that they have ended in, whatever the order of the labels of
a mixture.
"""


def main(words: list[str]) -> int:
    """Print the table; returns the exit code.

    Raises:
        UsageError: if there is no run to compare.
    """
    chosen = _options().parse_args(words)
    paths = [expanded(Path(one)) for one in chosen.run]
    if chosen.parquet is not None or chosen.arviz is not None:
        from tui_elbo.cli.files import require  # noqa: PLC0415

        require(*["pyarrow"] * (chosen.parquet is not None))
        require(*["xarray", "h5netcdf"] * (chosen.arviz is not None))
    rows = _rows(paths, chosen)
    if chosen.parquet is not None or chosen.arviz is not None:
        _write_files(rows, chosen)
    elif chosen.json:
        for row in rows:
            print(msgspec.json.encode(record(row)).decode())
    else:
        from tui_elbo.many.barrier import barrier_between  # noqa: PLC0415

        sys.stdout.write(csv_text(rows) if chosen.csv else table_text(rows, barrier_between))
    return 0


def _write_files(rows: list[Row], chosen: argparse.Namespace) -> None:
    """Write what was asked for; the table is then not printed."""
    from tui_elbo.cli.files import write_data_tree, write_parquet  # noqa: PLC0415
    from tui_elbo.many.evaluate import draw_files  # noqa: PLC0415

    if chosen.parquet is not None:
        write_parquet(rows, expanded(Path(chosen.parquet)))
    if chosen.arviz is not None:
        some = [row for row in rows if row.file]
        drawn = draw_files([Path(row.file) for row in some], chosen.draws, chosen.jobs)
        for note in write_data_tree(some, drawn, expanded(Path(chosen.arviz))):
            print(f"elbo-tui: {note}", file=sys.stderr)


def _rows(paths: list[Path], chosen: argparse.Namespace) -> list[Row]:
    from tui_elbo.many.folder import ended_run, plan_of, row_of  # noqa: PLC0415 - only what it takes

    plan = plan_of(paths[0]) if len(paths) == 1 else None
    if plan is None:
        return _of_files(paths, chosen)
    ended = [run for spec in plan.runs if (run := ended_run(paths[0], spec)) is not None]
    left = len(plan.runs) - len(ended)
    if not ended:
        raise UsageError("no run of this sweep has ended yet", where=str(paths[0]))
    if left:
        print(f"elbo-tui: {left} of {len(plan.runs)} runs have not ended", file=sys.stderr)
    return [row_of(run, paths[0]) for run in ended]


def _of_files(paths: list[Path], chosen: argparse.Namespace) -> list[Row]:
    from tui_elbo.many.chunk import LOSS  # noqa: PLC0415
    from tui_elbo.many.evaluate import evaluate_files  # noqa: PLC0415
    from tui_elbo.many.folder import SECONDS, row_of_file, saved_runs  # noqa: PLC0415

    found = saved_runs(paths)
    seen = evaluate_files([path for path, _ in found], chosen.draws, chosen.jobs)
    rows = []
    for (path, saved), evaluation in zip(found, seen, strict=True):
        last = saved.batches[-1] if saved.batches else None
        loss = math.nan
        if last is not None and LOSS in last.layout.index:
            loss = float(last.values[last.layout.index[LOSS], -1])
        seconds = sum(float(b.values[b.layout.index[SECONDS]].sum()) for b in saved.batches)
        row = row_of_file(path, saved.settings, loss, seconds)
        rows.append(replace(row, evaluation=evaluation))
    return rows


def _options() -> argparse.ArgumentParser:
    options = parser("elbo-tui compare", DESCRIPTION)
    options.add_argument("run", nargs="+", help="the folder of a sweep, or files of saved runs")
    output = options.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object a run on stdout")
    output.add_argument("--csv", action="store_true", help="the table as CSV")
    options.add_argument("--parquet", metavar="FILE", help="write the table as Parquet")
    options.add_argument(
        "--arviz", metavar="FILE.nc", help="write draws of the guides, as ArviZ's data tree"
    )
    options.add_argument(
        "--draws", type=whole(2), default=256, metavar="M", help="of the lens; default: 256"
    )
    options.add_argument(
        "--jobs", type=whole(1, 4096), metavar="N", help="runs seen at once; default: cores"
    )
    options.add_argument("--traceback", action="store_true", help="print the traceback of an error")
    return options
