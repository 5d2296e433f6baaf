"""Breakpoints in the engine: runs stop on the step, say why, and go on from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.client import Client, engine
from tests.engine.local import Local
from tui_elbo.engine.runner import Stops
from tui_elbo.model.verdict import Verdict, VerdictState
from tui_elbo.protocol import (
    Breakpoint,
    ConditionMet,
    ErrorReported,
    Load,
    RunUntil,
    SetBreakpoints,
    Step,
    StepBack,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with engine() as one:
        yield one


@pytest.fixture
def client(shared: Client) -> Client:
    shared.load("no_theta")
    return shared


def met(client: Client) -> list[ConditionMet]:
    return [event for event in client.seen if isinstance(event, ConditionMet)]


def points(*texts: str) -> SetBreakpoints:
    return SetBreakpoints(points=tuple(Breakpoint(text) for text in texts))


def test_a_run_stops_on_the_step_and_says_why(client: Client) -> None:
    client.ask(points('params["loc"] > -2.9', "step == 17", 'sign params["loc"]'))
    client.ask(RunUntil(until=400))
    client.ask(RunUntil(until=400))
    client.ask(Step(count=300))
    loc = [record.params["loc"].value for record in client.records()]
    above = next(i for i, value in enumerate(loc, 1) if value > -2.9)
    sign = next(i for i, value in enumerate(loc, 1) if value > 0)
    told = met(client)
    assert sorted([above, 17, sign]) == [event.step for event in told]
    text = {event.step: event.text for event in told}
    assert text[above] == f'params["loc"] = {loc[above - 1]:.6g} > -2.9'
    assert text[sign] == f'params["loc"] = {loc[sign - 1]:.6g} > 0, and was below'
    assert len(loc) == sign


def test_one_that_holds_already_stops_where_it_does_anew(client: Client) -> None:
    client.ask(Step(count=20))
    client.ask(SetBreakpoints(points=(Breakpoint("step > 5", held=True),)))
    assert client.ask(RunUntil(until=40)).step == 40
    client.ask(StepBack(count=38))
    assert client.ask(RunUntil(until=40)).step == 6
    client.ask(points())
    assert client.ask(RunUntil(until=40)).step == 40


def test_what_is_no_breakpoint_is_refused(client: Client) -> None:
    client.ask(points("falls far"))
    (fault,) = [event for event in client.seen if isinstance(event, ErrorReported)]
    assert (fault.kind, fault.step) == ("refused", 0)
    assert client.ask(Step(count=3)).step == 3


@pytest.mark.slow
def test_a_run_stops_where_its_verdict_comes_to_be_another_and_goes_on_from_there() -> None:
    local = Local("no_theta")
    local.ask(Load(target="no_theta", draws=64))
    local.ask(points("verdict not improving", "elbo > 1e9"))
    said = [one for one in local.ask(RunUntil(until=4000)) if isinstance(one, ConditionMet)]
    assert len(said) == 1
    assert "verdict not improving: stationary at step" in said[0].text
    assert 128 <= said[0].step < 4000
    # The verdict is still the same.
    on = local.ask(RunUntil(until=said[0].step + 50))
    assert not any(isinstance(one, ConditionMet) for one in on)


def test_it_stops_once_for_a_verdict_that_comes_to_hold() -> None:
    stops = Stops()
    assert not stops.reads_verdict
    off = Breakpoint("verdict improving", on=False)
    stops.put([Breakpoint("verdict stationary"), Breakpoint("elbo > 1"), off])
    assert stops.reads_verdict
    run: tuple[VerdictState, ...] = ("improving", "stationary", "stationary", "falling")
    found = [stops.stops_on(Verdict(state, 100, 0.1)) for state in (*run, "stationary")]
    text = "verdict stationary: stationary at step 100"
    assert found == ["", text, "", "", text]
    stops.put([Breakpoint("verdict stationary", held=True)])
    assert not stops.stops_on(Verdict("stationary", 100, 0.1))


def test_without_a_lens_nothing_waits_for_a_verdict() -> None:
    local = Local("no_theta")
    said = local.ask(RunUntil(condition="converged"))
    assert any(isinstance(one, ErrorReported) and "no verdict" in one.what for one in said)
    assert local.source.steps_taken == 0
