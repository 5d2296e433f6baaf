"""The verdict that the probe's numbers allow, and its words."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from tui_elbo.cli.options import tolerance
from tui_elbo.cli.verdict import UntilConverged
from tui_elbo.model.verdict import (
    LEAST_TOLERANCE,
    NATS,
    TOLERANCE,
    Estimate,
    Measurement,
    Tolerance,
    Verdict,
    cannot_tell,
    decide,
    too_early,
)

if TYPE_CHECKING:
    from tui_elbo.engine.session import Session

REST = Measurement(
    step=1000,
    begin=0,
    trend=Estimate(0.001, 0.01),
    price=Estimate(0.04, 0.01),
    held_out=Estimate(0.02, 0.005),
    in_sample=Estimate(0.03, 0.005),
    rising=0.0,
    gained=41.0,
    advance=Estimate(0.001, 0.001),
    settled_since=412,
    draws=256,
    params=2,
    evaluations=24,
)

CASES: dict[str, tuple[Measurement, str]] = {
    "stationary": (
        REST,
        "Stationary since about step 412: at most 0.04 nats are left nearby; a lower rate, or the "
        "mean of the iterates, would gain 0.04 ± 0.01 besides.",
    ),
    "improving": (
        replace(
            REST,
            trend=Estimate(1.0, 0.05),
            price=Estimate(-0.2, 0.05),
            held_out=Estimate(2.0, 0.1),
            in_sample=Estimate(2.2, 0.1),
            advance=Estimate(1.0, 0.05),
        ),
        "Still improving at step 1000, by 0.0033 nats a step: 1.8 to 2.4 nats are left; at this "
        "pace within 0.1 of the best nearby after about 2,000 more steps.",
    ),
    "stopped": (
        replace(REST, held_out=Estimate(20.0, 1.0), in_sample=Estimate(22.0, 1.0)),
        "Stopped, not converged: the last 250 steps changed the ELBO by 0.001 ± 0.01 nats, yet 18 "
        "to 24 nats are left. The steps have become too small.",
    ),
    "rate_too_high": (
        replace(REST, price=Estimate(4.0, 0.2)),
        "The learning rate is too high: its noise costs 4 ± 0.2 nats, more than going on would "
        "gain. Lower it, or take the mean of the iterates.",
    ),
    "falling": (
        replace(REST, trend=Estimate(-2.0, 0.2)),
        "The ELBO falls: the last 250 steps changed it by -2 ± 0.2 nats against those before. "
        "Rewind, and lower the rate.",
    ),
    "cannot_tell": (
        replace(REST, in_sample=Estimate(0.5, 0.1), params=200),
        "Cannot tell yet whether it is done: 0.01 to 0.7 nats are left: 256 draws are few for 200 "
        "parameters (--draws).",
    ),
}


@pytest.mark.parametrize("state", CASES)
def test_the_numbers_allow_one_verdict(state: str) -> None:
    measured, text = CASES[state]
    verdict = decide(measured)
    assert (verdict.state, verdict.text) == (state, text)


def test_a_search_that_has_not_finished_gives_a_lower_bound_only() -> None:
    measured = replace(CASES["improving"][0], rising=0.5)
    verdict = decide(measured)
    assert verdict.state == "improving"
    assert "at least 1.8 nats are left" in verdict.text
    assert verdict.within is None
    assert verdict.record()["left"][1] is None
    unknown = replace(measured, held_out=Estimate(0.05, 0.1))
    assert "how much is left is open" in decide(unknown).text
    assert decide(replace(REST, rising=0.5)).state == "cannot_tell"


def test_since_when_is_said_only_of_earlier_steps() -> None:
    assert decide(replace(REST, settled_since=1000)).text.startswith("Stationary at step 1000: ")


@pytest.mark.parametrize(
    ("reached", "words"),
    [(398, "since about step 412"), (40, "since a step from 40 to 412"), (412, "since about step")],
)
def test_noise_leaves_open_since_when(reached: int, words: str) -> None:
    assert decide(replace(REST, reached=reached)).text.startswith(f"Stationary {words}")


def test_what_limits_the_search_is_said_and_never_called_stationary() -> None:
    verdict = decide(replace(REST, limit="the lens sees minibatches"))
    assert verdict.state == "cannot_tell"
    assert "the lens sees minibatches" in verdict.text


def test_a_tolerance_decides_what_matters() -> None:
    measured = replace(REST, held_out=Estimate(0.5, 0.01), in_sample=Estimate(0.5, 0.01))
    assert decide(measured, 0.1).state == "stopped"
    assert decide(measured, 1.0).state == "stationary"


def test_a_tolerance_may_be_a_share_of_the_spread_from_draw_to_draw() -> None:
    half = Tolerance(0.5, of_spread=True)
    assert half.nats(3.0) == 1.5
    # Near the best of a family that has the posterior in it, draws all but agree.
    assert half.nats(1e-7) == LEAST_TOLERANCE
    assert NATS.nats(3.0) == TOLERANCE


def test_a_tolerance_is_typed_in_nats_or_standard_deviations() -> None:
    assert tolerance("0.5sd") == Tolerance(0.5, of_spread=True)
    assert tolerance("0.5") == Tolerance(0.5)
    for text in ("0", "-1sd", "nan", "infsd"):
        with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
            tolerance(text)
    for text in ("sd", "much"):
        with pytest.raises(ValueError, match="float"):
            tolerance(text)


def test_what_is_not_finite_is_never_judged() -> None:
    verdict = decide(replace(REST, held_out=Estimate(math.nan, math.nan)))
    assert verdict.state == "cannot_tell"


def test_no_price_is_told_while_the_mean_lags_behind() -> None:
    verdict = decide(replace(REST, price=Estimate(-0.5, 0.05)))
    assert verdict.rate_gain is None


def test_no_forecast_where_the_rate_decays() -> None:
    verdict = decide(replace(CASES["improving"][0], rate_decays=True))
    assert verdict.within is None
    assert verdict.rate is not None


def test_a_young_run_and_a_changed_one_are_not_judged() -> None:
    assert "it takes 128 steps, and there are 100" in too_early(100, 0).text
    assert "counted from step 900, and there are 50" in too_early(950, 900).text


def test_the_record_is_the_documented_object() -> None:
    record = json.loads(json.dumps(decide(REST).record()))
    assert record == {
        "state": "stationary",
        "step": 1000,
        "since": 412,
        "reached": None,
        "left": [pytest.approx(0.01), pytest.approx(0.04)],
        "rate_gain": {"value": 0.04, "mcse": 0.01},
        "text": CASES["stationary"][1],
    }
    assert cannot_tell(3, "why").record()["left"] == [0.0, None]


@pytest.mark.parametrize("state", CASES)
def test_each_has_two_words_or_one_and_no_word_that_is_not_measured(state: str) -> None:
    verdict = decide(CASES[state][0])
    assert len(verdict.words) <= 15
    assert "optimum" not in verdict.text


def test_a_run_is_judged_each_time_it_is_half_as_long_again_until_it_is_done() -> None:
    run = SimpleNamespace(steps_taken=0, iterates=SimpleNamespace(begin=0))
    judged_at, said = list[int](), list[str]()

    def judge() -> Verdict:
        judged_at.append(run.steps_taken)
        return decide(REST if run.steps_taken > 400 else CASES["improving"][0])

    until = UntilConverged(cast("Session", run), judge, said.append)
    while not until.met():
        run.steps_taken += until.most
    assert judged_at == [128, 192, 288, 432]
    assert said == [f"--until converged: {CASES['stationary'][1]}"]
    until.missed()
    assert said[1:] == ["--until converged: not reached in 432 steps"]
