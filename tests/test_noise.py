"""What the noise table and the scan of learning rates advise, and when they say nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from tui_elbo.model.noise import NoiseRow, NoiseTable, head, number, row_line, unmeasured
from tui_elbo.model.rate_scan import RateRow, RateScan
from tui_elbo.model.tuning import Tuning, parse_tuning

PRESENT = NoiseRow(
    "Trace_ELBO", 1, present=True, noise=2.0, seconds=0.001, cost=1.0, cost_error=0.0
)
BETTER = NoiseRow(
    "TraceMeanField_ELBO", 1, noise=1.0, seconds=0.001, cost=0.25, cost_error=0.1, bias=0.0
)


def table(*rows: NoiseRow, **about: Any) -> NoiseTable:
    return NoiseTable(7, (PRESENT, *rows), **about)


def test_the_best_setting_is_advised_with_its_factor_and_interval() -> None:
    found = table(BETTER, replace(BETTER, estimator="TraceGraph_ELBO", cost=0.5))
    assert found.advice == (
        "TraceMeanField_ELBO: 4.00 × less time for the same noise (3.27 to 4.89)."
    )
    assert found.tuning(BETTER) == Tuning(estimator="TraceMeanField_ELBO")


@pytest.mark.parametrize(
    "change",
    [
        {"biased": True},
        {"problem": "it raises"},
        {"cost_error": 0.5},
        {"cost": 0.95, "cost_error": 0.001},
        {"cost": math.nan},
        {"cost_error": math.nan},
        {"cost": 1.5},
    ],
    ids=str,
)
def test_no_setting_is_advised_that_may_be_worse_or_wrong(change: dict[str, Any]) -> None:
    found = table(replace(BETTER, **change))
    assert found.best is None
    assert found.advice == "No other setting is clearly better than the present one."


def test_where_the_present_setting_is_wrong_that_is_said_and_nothing_advised() -> None:
    wrong = replace(PRESENT, biased=True, bias=1.2, bias_error=0.1)
    found = NoiseTable(7, (wrong, BETTER))
    assert found.best is None
    assert "1.20 ± 0.1" in found.advice


def test_a_setting_without_noise_is_advised_as_that() -> None:
    found = table(replace(BETTER, noise=0.0, cost=0.0, cost_error=0.0))
    assert found.advice == "TraceMeanField_ELBO: its gradient has no noise at all."
    assert found.record()["advice"]["factor"] is None


def test_a_table_is_json_and_lines_of_plain_text() -> None:
    found = table(BETTER, NoiseRow("TraceGraph_ELBO", 10, vectorized=True, problem="no"))
    assert json.loads(json.dumps(found.record(), allow_nan=False))["step"] == 7
    lines = [*head(found), *(row_line(found, row) for row in found.rows)]
    assert lines[1].startswith("* Trace_ELBO                1   2.00")
    assert "0.25 (0.20-0.31)" in lines[2]
    assert lines[3].endswith("10 vec  no")
    assert max(map(len, lines)) <= 75


def test_why_nothing_was_measured_is_the_advice() -> None:
    assert unmeasured(3, "no parameter").advice == "The noise cannot be measured: no parameter."


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.0, "1.00"), (0.0123, "0.0123"), (1234.5, "1,230"), (1e-5, "1.00e-05")],
)
def test_three_digits_of_a_number_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_rate_that_gains_most_is_offered_and_only_if_that_is_clear() -> None:
    rows = (RateRow(0.1, 0.01, 0.5, 0.1), RateRow(1.0, 0.1, 0.0, 0.0), RateRow(3.0, 0.3, 0.9, 0.31))
    scan = RateScan(7, 50, 6, rows)
    assert scan.best == rows[0]
    assert "0.50 ± 0.1 nats more" in scan.advice
    unclear = RateScan(7, 50, 6, rows[1:])
    assert unclear.advice == "No rate is clearly better than the present one in the next 50 steps."
    assert json.dumps(scan.record(), allow_nan=False)


def test_vectorised_particles_are_a_setting() -> None:
    assert parse_tuning("particles 10, vectorize yes") == Tuning(particles=10, vectorize=True)
    assert str(Tuning(particles=10, vectorize=True)) == "10 particles, vectorised"
