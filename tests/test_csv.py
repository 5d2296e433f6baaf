"""`run --csv`: the header is right for every row, and every float reads back."""

from __future__ import annotations

import csv
import io
import math

import numpy as np

from tests.condition_data import batch_of, columns
from tui_elbo.model.csv_table import CsvTable
from tui_elbo.model.records import Batch, Column, Layout, ParamInfo, SiteInfo

OWN = ("step", "loss", "elbo", "log_p", "log_q", "seconds")
P = "params.p.value[0]"


def table(batches: list[Batch], every: int = 1) -> list[list[str]]:
    out = io.StringIO()
    printer = CsvTable(out, every)
    for batch in batches:
        printer.take([batch], last=False)
    printer.close()
    return list(csv.reader(io.StringIO(out.getvalue())))


def test_every_number_is_there_and_reads_back() -> None:
    batch = batch_of(columns(), first=7)
    header, *rows = table([batch])
    assert header[:6] == list(OWN)
    assert header[6:9] == ["sites.z.log_p", "sites.z.log_q", "sites.x.log_p"]
    assert header[9] == "params.phi.value[0]"
    assert [row[0] for row in rows] == ["7", "8", "9"]
    names = {
        f"{c.kind}s.{c.name}.{c.field}" if c.name else c.field: c for c in batch.layout.columns
    }
    assert set(header[1:]) == set(names)
    for name, *cells in zip(*([header, *rows]), strict=True):
        if name == "step":
            continue
        numbers = batch.values[batch.layout.index[names[name]]].tolist()
        assert cells == [repr(n) if math.isfinite(n) else "" for n in numbers]


def site(layout: int, *names: str, params: tuple[str, ...] = ()) -> Layout:
    found = [Column("step", "", "loss")]
    found += [Column("site", name, field) for name in names for field in ("log_p", "log_q")]
    found += [Column("param", name, "value[0]") for name in params]
    infos = tuple(SiteInfo(name, False, "Normal", (), ()) for name in names)
    known = tuple(ParamInfo(name, "guide", (), "real") for name in params)
    return Layout(layout, infos, known, tuple(found))


def test_sites_that_change_from_step_to_step_have_columns_of_their_own() -> None:
    a, b = site(0, "a", params=("p",)), site(1, "b", "a")
    batches = [
        Batch(a, 1, np.array([[1.0], [2.0], [3.0], [4.0]])),
        Batch(b, 2, np.array([[5.0], [6.0], [7.0], [8.0], [9.0]])),
    ]
    assert table(batches) == [
        [*OWN, "sites.a.log_p", "sites.a.log_q", "sites.b.log_p", "sites.b.log_q", P],
        ["1", "1.0", "", "", "", "", "2.0", "3.0", "", "", "4.0"],
        ["2", "5.0", "", "", "", "", "8.0", "9.0", "6.0", "7.0", ""],
    ]


def test_each_kth_step_and_the_last() -> None:
    layout = site(0)
    batches = [Batch(layout, first, np.arange(4.0)[None, :] + first) for first in (1, 5, 9)]
    assert [row[0] for row in table(batches, every=5)[1:]] == ["5", "10", "12"]
    assert [row[0] for row in table(batches, every=4)[1:]] == ["4", "8", "12"]
    assert [row[0] for row in table(batches, every=100)[1:]] == ["12"]


def test_a_run_without_a_step_has_a_header() -> None:
    assert table([]) == [list(OWN)]


def test_names_are_data() -> None:
    header, _ = table([Batch(site(0, 'a,"b', "c\n\x1b[31m"), 1, np.zeros((5, 1)))])
    assert header[6:8] == ['sites.a,"b.log_p', 'sites.a,"b.log_q']
    assert header[8] == "sites.c\\n\\x1b[31m.log_p"
