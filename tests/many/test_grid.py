"""What `elbo-tui sweep` is given, and the runs that it names."""

from __future__ import annotations

import pytest

from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import grid, parse_choice, parse_seeds
from tui_elbo.model.tuning import Tuning


def test_seeds_are_a_range_or_a_list() -> None:
    assert parse_seeds("0:3") == (0, 1, 2)
    assert parse_seeds("7") == (7,)
    assert parse_seeds("1, 5:7") == (1, 5, 6)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "is no seed"),
        ("3:3", "is empty"),
        ("-1", "is no seed"),
        ("1,1", "twice"),
        ("0:4294967297", "goes beyond"),
        ("0:20000", "more than"),
        ("", "is no seed"),
    ],
)
def test_what_is_no_seed_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_seeds(text)


def test_a_choice_is_a_setting_and_its_values() -> None:
    assert parse_choice("lr=0.01, 0.03") == ("lr", (Tuning(lr=0.01), Tuning(lr=0.03)))
    assert parse_choice("estimator=Trace_ELBO")[1] == (Tuning(estimator="Trace_ELBO"),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lr", "gives no values"),
        ("lr=", "gives no values"),
        ("seed=1", "is no setting"),
        ("width=", "gives no values"),
        ("lr=0.1,0.10", "twice"),
        ("particles=1.5", "whole number"),
        ("lr=-1", "above 0"),
    ],
)
def test_what_is_no_choice_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_choice(text)


def test_a_grid_has_every_combination_each_with_a_name_of_its_own() -> None:
    choices = [parse_choice("lr=0.01,0.03"), parse_choice("particles=1,10")]
    runs = grid((0, 1), choices, ["AutoNormal"])
    assert len(runs) == len({run.name for run in runs}) == 8
    assert runs[0].name == "lr-0.01_particles-1_guide-AutoNormal_seed-0"
    assert runs[-1].record == {"seed": 1, "lr": 0.03, "particles": 10, "guide": "AutoNormal"}


def test_without_anything_there_is_the_scenarios_own_run() -> None:
    (run,) = grid((), [], [])
    assert (run.name, run.seed, run.tuning, run.guide) == ("run", None, None, None)


def test_a_grid_that_is_too_large_or_ambiguous_is_refused() -> None:
    rate = parse_choice("lr=0.01,0.03")
    with pytest.raises(UsageError, match="given twice"):
        grid((), [rate, rate], [])
    with pytest.raises(UsageError, match="names a guide twice"):
        grid((), [], ["AutoNormal", "AutoNormal"])
    with pytest.raises(UsageError, match="has 20,000 runs"):
        grid(range(10_000), [rate], [])


def test_a_scenarios_own_settings_are_part_of_the_grid() -> None:
    choices = [parse_choice("width=0.1,wide"), parse_choice("lr=0.01")]
    runs = grid((3,), choices, [])
    assert [run.given for run in runs] == [(("width", "0.1"),), (("width", "wide"),)]
    assert runs[0].record == {"seed": 3, "lr": 0.01, "width": 0.1}
    assert [run.name for run in runs] == ["lr-0.01_width-0.1_seed-3", "lr-0.01_width-wide_seed-3"]
