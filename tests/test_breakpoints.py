"""Breakpoints: read, asked step by step and about a whole history, with the same answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.condition_data import layout_of
from tui_elbo.model.breakpoints import (
    StopCondition,
    VerdictIs,
    describe_at,
    last_step_held,
    parse_breakpoint,
)
from tui_elbo.model.errors import UsageError
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch, Column
from tui_elbo.model.verdict import Verdict, VerdictState

STEPS = 300
PHI = Column("param", "phi", "value[0]")


def history(seed: int = 0) -> History:
    """A run with a fall, sign changes, a parameter that stands still, and a NaN here and there."""
    rng = np.random.default_rng(seed)
    elbo = rng.normal(-5.0, 1.0, STEPS)
    elbo[[100, 200]] = -20.0, math.nan
    update = np.abs(rng.normal(size=STEPS))
    update[120:160] = 0.0
    grad = np.abs(rng.normal(size=STEPS))
    grad[250] = math.inf
    found = {
        Column("step", "", "elbo"): elbo,
        PHI: np.sin(np.arange(STEPS) / 9.0) + 0.5 * (np.arange(STEPS) > 150),
        Column("param", "phi", "grad_norm"): grad,
        Column("param", "phi", "update_norm"): update,
    }
    made = History()
    layout = layout_of(found)
    for first in (1, 101):
        part = np.array(list(found.values()))[:, first - 1 : first + 99 if first == 1 else STEPS]
        made.append(Batch(layout, first, part))
    return made


def asked(stop: StopCondition, run: History, first: int = 1, last: int = STEPS) -> list[bool]:
    layout = run.layout_at(1)
    return [
        stop.met(layout, step, lambda c, s=step: float(run.values(c)[s - 1]))  # type: ignore[misc]
        for step in range(first, last + 1)
    ]


EVERY = [
    "nonfinite",
    "nonfinite except phi",
    "falls 3",
    'sign params["phi"]',
    'sign params["phi"] - 0.2',
    "still 5",
    "still 40 phi",
    "elbo > -3",
    "grad_norm > 2",
]


@pytest.mark.parametrize("text", EVERY)
def test_asked_step_by_step_it_says_what_it_says_of_a_history(text: str) -> None:
    run = history()
    found = parse_breakpoint(text).holds_in(run)
    assert 0 < found.sum() < STEPS / 2
    assert asked(parse_breakpoint(text), run) == found.tolist()


@pytest.mark.parametrize("text", EVERY)
def test_after_rewinding_it_says_the_same_again(text: str) -> None:
    run, stop = history(), parse_breakpoint(text)
    found = stop.holds_in(run).tolist()
    asked(stop, run, last=210)
    for to in (130, 60, 205, 0):
        assert asked(stop, run, first=to + 1, last=210) == found[to:210]


def test_where_each_of_them_holds() -> None:
    run = history()

    def steps(text: str) -> list[int]:
        return (np.flatnonzero(parse_breakpoint(text).holds_in(run)) + 1).tolist()

    assert steps("nonfinite") == [201, 251]
    assert steps("nonfinite except phi") == [201]
    assert 101 in steps("falls 3")
    assert steps("falls 10") == [101]
    assert steps("still 40") == [160]
    assert steps("still 41") == []
    phi = run.values(PHI)
    signs = np.sign(phi[1:]) != np.sign(phi[:-1])
    assert steps('sign params["phi"]') == [at + 2 for at in np.flatnonzero(signs) if at > 0]


def test_it_reports_why() -> None:
    run = history()
    assert (
        describe_at(parse_breakpoint("nonfinite"), run, 251)
        == 'nonfinite: grad_norm of "phi" = inf'
    )
    assert describe_at(parse_breakpoint("nonfinite"), run, 250) == ""
    assert "elbo = -20, " in describe_at(parse_breakpoint("falls 3"), run, 101)
    assert (
        describe_at(parse_breakpoint("still 40"), run, 160)
        == 'still 40: "phi" has not moved for 40 steps'
    )
    assert describe_at(parse_breakpoint('sign params["phi"]'), run, 30).startswith(
        'params["phi"] = -0.0'
    )


def test_the_last_step_at_which_one_of_several_held() -> None:
    run = history()
    stops = [parse_breakpoint("nonfinite"), parse_breakpoint("still 40")]
    for before, step, text in ((301, 251, "nonfinite"), (251, 201, "nonfinite"),
                               (201, 160, "still 40")):  # fmt: skip
        found = last_step_held(stops, run, before)
        assert found is not None
        assert (found[0], found[1].text) == (step, text)
    assert last_step_held(stops, run, 160) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no breakpoint"),
        ("falls", "takes a number"),
        ("falls nan", "takes a number"),
        ("still -1", "at least 1"),
        ("sign", "does not parse"),
        ("elbo >", "does not parse"),
        ("nonfinites", "there is no number nonfinites"),
    ],
)
def test_what_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_breakpoint(text)


@pytest.mark.parametrize(
    "text", ["still 5 psi", "nonfinite except psi", 'sign params["psi"]', 'params["psi"] > 1']
)
def test_names_that_are_not_there_are_refused_with_the_nearest(text: str) -> None:
    layout = history().layout_at(1)
    stop = parse_breakpoint(text)
    stop.check()
    with pytest.raises(UsageError, match="psi") as refused:
        stop.check(layout)
    assert "phi" in refused.value.hint


def holds(text: str, *states: VerdictState) -> list[bool]:
    stop, held, found = parse_breakpoint(text), False, []
    assert isinstance(stop, VerdictIs)
    for state in states:
        held = stop.judged(Verdict(state, 100, 0.1), held=held)
        found.append(held)
    return found


def test_a_breakpoint_waits_for_a_verdict_and_for_the_end_of_one() -> None:
    run: tuple[VerdictState, ...] = ("improving", "cannot_tell", "stationary", "cannot_tell")
    assert holds("verdict stationary", *run) == [False, False, True, True]
    assert holds("verdict not improving", *run) == [False, False, True, True]
    assert holds("verdict rate_too_high", "rate_too_high") == [True]
    assert holds("verdict rate too high", "rate_too_high", "falling") == [True, False]
    assert not parse_breakpoint("verdict stopped").holds_in(history()).any()


@pytest.mark.parametrize("text", ["verdict", "verdict good", "verdict cannot tell", "verdict not"])
def test_what_is_no_verdict_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_breakpoint(text)
    assert "rate too high" in refused.value.hint
