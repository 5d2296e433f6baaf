"""A column that a reader does not know is shown, or raises by its name; it never reads as 0."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tui_elbo.model.breakpoints import parse_breakpoint
from tui_elbo.model.conditions import ConditionError, parse
from tui_elbo.model.csv_table import CsvTable
from tui_elbo.model.history import History
from tui_elbo.model.records import (
    FIELDS,
    Batch,
    Column,
    Layout,
    ModuleInfo,
    ModuleRecord,
    ParamInfo,
    ParamRecord,
    SiteInfo,
    SiteRecord,
    StepRecord,
    UnknownColumnError,
    field_of,
)

ELBO = Column("step", "", "elbo")
MADE_UP = [
    Column("step", "", "entropy"),
    Column("site", "z", "entropy"),
    Column("param", "w", "entropy"),
    Column("module", "net", "entropy"),
    Column("step", "", "elbo[0]"),
    Column("param", "w", "value"),
]


def batch(*columns: Column) -> Batch:
    layout = Layout(
        id=1,
        sites=(SiteInfo("z", False, "Normal", (), ()),),
        params=(ParamInfo("w", "guide", (), "real"),),
        columns=(ELBO, Column("step", "", "seconds"), *columns),
        modules=(ModuleInfo("net", "model", 2, 40),),
    )
    return Batch(layout, 1, np.full((len(layout.columns), 2), 3.5))


def named(column: Column) -> str:
    return re.escape(f"no column {column}")


@pytest.mark.parametrize("column", MADE_UP, ids=str)
def test_a_record_does_not_drop_it(column: Column) -> None:
    with pytest.raises(UnknownColumnError, match=named(column)):
        batch(column).records()
    history = History()
    history.append(batch(column))
    with pytest.raises(UnknownColumnError, match=named(column)):
        history.record(1)


@pytest.mark.parametrize("column", MADE_UP, ids=str)
def test_a_breakpoint_does_not_read_it_as_0(column: Column) -> None:
    made, stop = batch(column), parse_breakpoint("nonfinite")
    with pytest.raises(UnknownColumnError, match=named(column)):
        stop.met(made.layout, 1, lambda _: 0.0)
    history = History()
    history.append(made)
    with pytest.raises(UnknownColumnError, match=named(column)):
        stop.holds_in(history)


@pytest.mark.parametrize(
    "text", ["entropy > 1", 'sites["z"].entropy > 1', 'params["w"].entropy > 1', "elbo[0] > 1"]
)
def test_a_condition_that_names_it_does_not_parse(text: str) -> None:
    with pytest.raises(ConditionError, match=r"entropy|elbo\[0\]|elbo"):
        parse(text)


@pytest.mark.parametrize("column", MADE_UP, ids=str)
def test_csv_shows_it(column: Column) -> None:
    out = io.StringIO()
    table = CsvTable(out, every=1)
    table.take([batch(column)], last=True)
    table.close()
    header, *rows = out.getvalue().splitlines()
    at = header.split(",").index(str(column))
    assert [row.split(",")[at] for row in rows] == ["3.5", "3.5"]


def test_every_field_of_the_table_is_known_and_printed() -> None:
    own = {"step", "sites", "params", "modules", "loss_parts"}
    assert {one.name for one in msgspec.structs.fields(StepRecord)} - own == set(FIELDS["step"])
    info = {"observed", "role", "shape", "params", "size"}
    for kind, record in (("site", SiteRecord), ("param", ParamRecord), ("module", ModuleRecord)):
        names = {one.name for one in msgspec.structs.fields(record)}
        assert names - info == set(FIELDS[kind])
    for kind, fields in FIELDS.items():
        for name, field in fields.items():
            column = Column(kind, "", f"{name}[0]" if field.indexed else name)
            assert field_of(column) is field
    assert field_of(Column("step", "", "loss[1]")) is FIELDS["step"]["loss"]


@pytest.mark.parametrize(
    "text", [f"{name} > 1" for name in FIELDS["step"]] + ['sites["z"].log_p > 1', "params['w'] > 1"]
)
def test_a_condition_can_name_every_field(text: str) -> None:
    assert parse(text).text == text


def test_a_table_of_csv_has_every_field_that_each_step_has(tmp_path: Path) -> None:
    fields = [name for name, field in FIELDS["step"].items() if not field.optional]
    out = io.StringIO()
    table = CsvTable(out, every=1)
    table.take([batch()], last=True)
    table.close()
    assert out.getvalue().splitlines()[0].split(",") == ["step", *fields]
