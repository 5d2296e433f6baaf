"""A run seen at its last step, and the table of several."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pyro
import pytest

from tests.engine.sources import small, write
from tui_elbo.cli.run_table import csv_text, record, table_text
from tui_elbo.engine.evaluation import evaluate
from tui_elbo.engine.session import Session
from tui_elbo.model.comparison import Evaluation, difference, unevaluated, why_not_comparable
from tui_elbo.model.run_table import Row


def seen(target: str, *, steps: int = 3, guide: str | None = None, seed: int = 0) -> Evaluation:
    session = Session(target, seed=seed, guide=guide)
    return evaluate(session, session.advance(steps)[-1].layout, 64)


def test_the_difference_of_two_runs_is_that_of_their_elbos(tmp_path: Path) -> None:
    """The ELBO is -(loc² + (loc - 0.5)²)/2 and a constant."""
    path = str(write(tmp_path, small()))
    found, elbos = [], []
    for steps in (1, 40):
        found.append(seen(path, steps=steps))
        loc = pyro.param("loc").item()
        elbos.append(-(loc**2 + (loc - 0.5) ** 2) / 2)
    assert why_not_comparable(*found) == ""
    gain = difference(found[1], found[0])
    assert gain.value == pytest.approx(elbos[1] - elbos[0], abs=4 * gain.mcse)
    assert gain.value > 5 * gain.mcse


def test_the_data_and_the_prior_are_part_of_the_model(tmp_path: Path) -> None:
    one = seen(str(write(tmp_path, small())))
    data = small().replace("torch.tensor(0.5)", "torch.tensor(0.6)")
    prior = small().replace('"z", dist.Normal(0.0, 1.0)', '"z", dist.Normal(0.0, 2.0)')
    assert "the data of site x differ" in why_not_comparable(
        one, seen(str(write(tmp_path, data, "data.py")))
    )
    assert "log p of site z" in why_not_comparable(
        one, seen(str(write(tmp_path, prior, "prior.py")))
    )


def test_a_stock_guide_is_of_the_same_model_and_a_point_is_no_bound(tmp_path: Path) -> None:
    path = str(write(tmp_path, small()))
    own, normal, point = seen(path), seen(path, guide="AutoNormal"), seen(path, guide="AutoDelta")
    assert why_not_comparable(own, normal) == ""
    assert difference(own, normal).mcse == pytest.approx(
        math.hypot(own.elbo.mcse, normal.elbo.mcse)
    )
    assert "the guide of site z is a point" in why_not_comparable(own, point)


def test_learned_parameters_make_another_model() -> None:
    one, other = seen("learned_prior", seed=0), seen("learned_prior", seed=1)
    assert "(θ) differs" in why_not_comparable(one, other)


def row(run: dict[str, float | int | str], evaluation: Evaluation, **more: object) -> Row:
    fields = {"step": 3, "loss": 1.0, "verdict": "stationary", "seconds": 0.5, "ended": "steps"}
    return Row(run, evaluation=evaluation, file="x.run", **{"note": "", **fields, **more})


def test_the_table_shows_what_differs_and_what_is_not_compared(tmp_path: Path) -> None:
    path = str(write(tmp_path, small()))
    good, worse = seen(path, steps=20), seen(path, steps=1)
    rows = [
        row({"seed": 0, "lr": 0.1, "particles": 4}, good),
        row({"seed": 0, "lr": 0.2, "particles": 4}, worse),
        row(
            {"seed": 0, "lr": 9.0, "particles": 4},
            unevaluated("its last step is not finite"),
            ended="not finite",
            loss=math.nan,
            note="the loss is nan at step 3",
        ),
    ]
    lines = table_text(rows).splitlines()
    assert lines[0].split()[:2] == ["lr", "step"]
    assert "best" in lines[1]
    assert " ± " in lines[2].split("best")[-1]
    assert "not finite" in lines[3]
    assert "lr 9: the loss is nan at step 3" in lines
    table = [*csv.DictReader(io.StringIO(csv_text(rows)))]
    assert float(table[1]["gap"]) == difference(good, worse).value
    assert table[2]["elbo"] == table[2]["loss"] == ""
    assert json.dumps(record(rows[2])["elbo"]) == '{"value": null, "mcse": null}'
