"""Records in the shape in which they are printed: floats that read back, null for the rest."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_elbo.model.records import (
    SUMMARY,
    Batch,
    Column,
    Layout,
    ParamInfo,
    SiteInfo,
    StepRecord,
    record_of,
)

SITES = (SiteInfo("z", False, "Normal", (), ()), SiteInfo("x", True, "Normal", (4,), ()))
PARAMS = (
    ParamInfo("phi", "guide", (), "real"),
    ParamInfo("w", "model", (2, 3), "real"),
    ParamInfo("big", "both", (5, 5), "positive"),
    ParamInfo("none", "none", (0,), "real"),
)


def param(name: str, *fields: str) -> list[Column]:
    return [Column("param", name, field) for field in fields]


COLUMNS = (
    *(Column("step", "", field) for field in ("loss", "seconds", "elbo", "log_p", "log_q")),
    Column("site", "z", "log_p"),
    Column("site", "z", "log_q"),
    Column("site", "x", "log_p"),
    *param("phi", "value[0]", "grad_norm", "update_norm"),
    *param("w", *(f"value[{i}]" for i in range(6)), "update_norm"),
    *param("big", *SUMMARY, "grad_norm", "update_norm"),
)
LAYOUT = Layout(0, SITES, PARAMS, COLUMNS)


def printed(record: StepRecord) -> dict:  # type: ignore[type-arg]
    return json.loads(msgspec.json.encode(record))  # type: ignore[no-any-return]


def test_a_record_has_the_shape_that_is_promised() -> None:
    numbers = np.arange(len(COLUMNS)) + 0.1
    assert printed(record_of(LAYOUT, 9, numbers)) == {
        "step": 9,
        "loss": 0.1,
        "elbo": 2.1,
        "log_p": 3.1,
        "log_q": 4.1,
        "seconds": 1.1,
        "sites": {
            "z": {"log_p": 5.1, "log_q": 6.1, "observed": False},
            "x": {"log_p": 7.1, "log_q": None, "observed": True},
        },
        "params": {
            "phi": {
                "role": "guide",
                "shape": [],
                "value": 8.1,
                "grad_norm": 9.1,
                "update_norm": 10.1,
            },
            "w": {
                "role": "model",
                "shape": [2, 3],
                "value": [[11.1, 12.1, 13.1], [14.1, 15.1, 16.1]],
                "grad_norm": None,
                "update_norm": 17.1,
            },
            "big": {
                "role": "both",
                "shape": [5, 5],
                "mean": 18.1,
                "sd": 19.1,
                "min": 20.1,
                "max": 21.1,
                "grad_norm": 22.1,
                "update_norm": 23.1,
            },
            "none": {"role": "none", "shape": [0], "grad_norm": None, "update_norm": None},
        },
    }


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null(bad: float) -> None:
    told = printed(record_of(LAYOUT, 1, np.full(len(COLUMNS), bad)))
    assert [told[name] for name in ("loss", "elbo", "log_p", "log_q")] == [None] * 4
    assert told["sites"]["z"] == {"log_p": None, "log_q": None, "observed": False}
    assert told["params"]["phi"]["value"] is None
    assert told["params"]["w"]["value"] == [[None] * 3] * 2
    assert told["params"]["big"]["sd"] is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_to_the_same_float(number: float) -> None:
    told = printed(record_of(LAYOUT, 1, np.full(len(COLUMNS), number)))
    for value in (told["loss"], told["params"]["phi"]["value"], told["params"]["w"]["value"][1][2]):
        assert math.copysign(1.0, value) == math.copysign(1.0, number)
        assert value == number


def test_the_parts_of_a_loss_are_reported_when_there_are_any() -> None:
    parts = (Column("step", "", "loss[0]"), Column("step", "", "loss[1]"))
    record = record_of(Layout(0, (), (), (*COLUMNS[:5], *parts)), 1, np.arange(7.0))
    assert printed(record)["loss_parts"] == [5.0, 6.0]
    assert "loss_parts" not in printed(record_of(LAYOUT, 1, np.zeros(len(COLUMNS))))


def test_a_step_without_terms_has_null_in_their_place() -> None:
    """As with an estimator that runs compiled code."""
    layout = Layout(0, (), PARAMS[:1], (COLUMNS[0], COLUMNS[1]), "no traces")
    told = printed(record_of(layout, 1, np.array([1.5, 0.25])))
    assert (told["loss"], told["seconds"]) == (1.5, 0.25)
    assert (told["elbo"], told["log_p"], told["log_q"], told["sites"]) == (None, None, None, {})
    assert told["params"]["phi"] == {
        "role": "guide",
        "shape": [],
        "grad_norm": None,
        "update_norm": None,
    }


def test_a_batch_is_its_steps_in_order() -> None:
    values = np.arange(len(COLUMNS) * 4.0).reshape(len(COLUMNS), 4)
    batch = Batch(LAYOUT, 21, values)
    assert batch.steps == 4
    assert [record.step for record in batch.records()] == [21, 22, 23, 24]
    assert [record.loss for record in batch.records()] == values[0].tolist()
    assert batch.records()[2] == record_of(LAYOUT, 23, values[:, 2])


def test_names_of_the_users_are_data() -> None:
    for name in ("[red]", "a\nb", "\x1b[31m", '"', "\u2028", "é"):
        layout = Layout(
            0, (), (ParamInfo(name, "guide", (), "real"),), tuple(param(name, "value[0]"))
        )
        line = msgspec.json.encode(record_of(layout, 1, np.array([1.0])))
        assert b"\n" not in line
        assert b"\x1b" not in line
        assert json.loads(line)["params"][name]["value"] == 1.0
