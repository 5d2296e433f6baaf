"""The engine takes lens points: at which states, how often, and without changing the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.engine.client import Client, engine
from tests.engine.sources import SMALL, small, write
from tests.engine.test_server import untimed
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.scenario_source import ScenarioSource
from tui_elbo.engine.session import Session
from tui_elbo.model.attribution import LensPoint
from tui_elbo.model.lens_history import LensHistory
from tui_elbo.model.records import StepRecord
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import (
    AnyEvent,
    ComputeGradients,
    ComputeImportanceBound,
    Decoder,
    GradientsComputed,
    ImportanceBoundComputed,
    LensPointAdded,
    Load,
    Loaded,
    Pause,
    Restart,
    RewindTo,
    RunUntil,
    Step,
    StepBack,
    SwitchBranch,
    Tune,
    frame,
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with engine() as client:
        yield client


def looked(client: Client, state: int) -> list[LensPoint]:
    """Every lens point since the newest load, up to that of this state."""

    def since_load() -> list[LensPoint]:
        loads = [i for i, event in enumerate(client.seen) if isinstance(event, Loaded)]
        newest = client.seen[loads[-1] :] if loads else client.seen
        return [event.point for event in newest if isinstance(event, LensPointAdded)]

    while not any(point.state == state for point in since_load()):
        client.until(LensPointAdded)
    return since_load()


def test_by_hand_each_state_is_looked_at_and_step_0_is_the_first(
    client: Client, tmp_path: Path
) -> None:
    client.load(write(tmp_path, SMALL))
    for count in (1, 1, 4):
        client.ask(Step(count=count))
    seen = looked(client, 6)
    assert [one.state for one in seen] == list(range(7))
    assert [one.since for one in seen] == [0, 0, 1, 2, 3, 4, 5]
    # The row of a step is told before the look at it.
    rows, looks = (
        [type(e).__name__ for e in client.seen].index(n)
        for n in ("StepsRecorded", "LensPointAdded")
    )
    assert rows < looks


def test_a_saved_run_is_looked_at_from_where_it_goes_on(client: Client, tmp_path: Path) -> None:
    """What moved before is not known, and is not taken for nothing."""
    session = Session(str(write(tmp_path, SMALL)))
    session.save(tmp_path / "run", session.advance(30))
    client.load(tmp_path / "run")
    seen = looked(client, 30)
    assert seen[0].state == seen[0].since >= 29
    client.ask(Step())
    assert [one.state for one in looked(client, 31)][-1] == 31


@pytest.mark.parametrize("draws", [None, 0])
def test_the_lens_changes_nothing_of_the_run(draws: int | None, tmp_path: Path) -> None:
    """Bit for bit the records of a session without any lens, by hand, running, there and back."""
    path = write(tmp_path, SMALL)
    events: list[AnyEvent] = []
    source = ScenarioSource(events.append)  # type: ignore[arg-type]
    for command in (
        Load(target=str(path), draws=draws),
        Step(count=7),
        RunUntil(until=60),
        StepBack(count=5),
        Step(count=3),
        RewindTo(step=20),
        RunUntil(until=80),
    ):
        source.handle(command)
        while source.busy:
            source.work()
    assert any(isinstance(event, LensPointAdded) for event in events) == (draws is None)
    records = recorded(events)
    session = Session(str(path))
    told = [record for one in session.advance(80) for record in one.records()]
    assert untimed(records[-60:]) == untimed(told[20:])
    assert untimed(records[:60]) == untimed(told[:60])


def recorded(events: list[AnyEvent]) -> list[StepRecord]:
    layouts = {e.layout.id: e.layout for e in events if type(e).__name__ == "LayoutAdded"}  # type: ignore[union-attr]
    rows = [event for event in events if type(event).__name__ == "StepsRecorded"]
    return [record for one in rows for record in one.batch(layouts).records()]  # type: ignore[arg-type]


def test_rewinding_drops_later_points_and_a_restart_all(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    client.ask(Step(count=6))
    first = looked(client, 6)
    client.ask(RewindTo(step=3))
    client.ask(Step(count=1))
    client.until(LensPointAdded, lambda event: event.point.state == 4)
    kept = LensHistory()
    for one in looked(client, 4):
        kept.add(one)
    assert [one.state for one in kept] == [0, 1, 2, 3, 4]
    assert np.array_equal(kept.latest_usable(4).total, first[4].total)  # type: ignore[union-attr]
    client.ask(Restart())
    client.ask(Step())
    again = looked(client, 1)
    assert [one.state for one in again] == [0, 1]
    assert np.array_equal(again[1].total, first[1].total)


def test_over_in_another_future_nothing_is_compared_with_the_one_left(
    client: Client, tmp_path: Path
) -> None:
    client.load(write(tmp_path, SMALL))
    client.ask(Step(count=6))
    first = looked(client, 6)
    client.ask(RewindTo(step=3))
    client.ask(Tune(tuning=Tuning(lr=0.5)))
    client.ask(Step(count=4))
    client.until(LensPointAdded, lambda event: event.point.state == 7)
    client.send(SwitchBranch())
    events = [client.until(LensPointAdded) for _ in range(2)]
    assert [(one.point.state, one.point.since) for one in events] == [(5, 3), (6, 5)]
    event = events[-1]
    # No share of θ, so the way there makes no difference: it is the first future again.
    total = event.point.total
    assert np.allclose(total, first[6].total, rtol=0, atol=1e-12)


def test_attribution_reaches_up_to_the_last_record(client: Client, tmp_path: Path) -> None:
    """So what it was drawn from is looked at, before the step that a run was to end with."""
    client.load(write(tmp_path, SMALL))
    for until in (123, 124, 126):
        client.ask(RunUntil(until=until))
        states = [one.state for one in looked(client, until)]
        assert (states[0], states[-2:]) == (0, [until - 1, until])
        assert len(states) < 123


def test_a_pause_is_followed_by_the_attribution_of_its_step(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    client.send(RunUntil())
    client.until(LensPointAdded, lambda event: event.point.state > 100)
    at = client.ask(Pause()).step
    client.ask(Pause())
    states = [one.state for one in looked(client, at)]
    assert states[-2:] == [at - 1, at]


def test_gradients_and_importance_weights_are_reported_when_asked(
    client: Client, tmp_path: Path
) -> None:
    client.load("fixed_mean_guide")
    client.send(ComputeImportanceBound())
    client.ask(ComputeGradients())
    assert not [
        event
        for event in client.seen
        if isinstance(event, ImportanceBoundComputed | GradientsComputed)
    ]
    client.ask(Step(count=5))
    looked(client, 5)
    client.send(ComputeImportanceBound(draws=500))
    weighed = client.until(ImportanceBoundComputed)
    assert (weighed.step, weighed.bound.draws) == (5, 500)
    assert weighed.bound.elbo < weighed.bound.value < 0.1
    client.send(ComputeGradients(since=3))
    pulled = client.until(GradientsComputed)
    assert (pulled.step, pulled.since, pulled.names, pulled.reasons) == (5, 3, ("phi",), ("",))
    change, p, _, q, q_snr, elbo, _ = pulled.values[0].tolist()
    # φ = exp(u): d/du of E log q is −1 for every draw.
    values = [record.params["phi"].value for record in client.records()]
    assert change == pytest.approx(np.log(values[4] / values[2]), rel=1e-4)
    assert (q, q_snr) == (pytest.approx(1.0, abs=1e-5), np.inf)
    assert elbo == pytest.approx(1.0 - p, abs=1e-6)


def test_a_lens_that_sees_nothing_is_reported_and_the_run_goes_on(
    client: Client, tmp_path: Path
) -> None:
    client.load(write(tmp_path, small(guide="assert torch.is_grad_enabled(), 'training only'")))
    client.ask(Step(count=2))
    seen = looked(client, 2)
    assert all(one.unusable for one in seen)
    assert "the lens sees nothing: AssertionError: training only" in seen[-1].note
    assert client.faults() == []


def test_a_model_that_exits_under_the_lens_does_not_end_the_engine(
    client: Client, tmp_path: Path
) -> None:
    client.load(write(tmp_path, small(guide="torch.is_grad_enabled() or exit(3)")))
    assert client.ask(Step(count=2)).step == 2
    assert looked(client, 2)[-1].unusable


def test_points_travel_as_they_are() -> None:
    session = Session("learned_prior")
    attribution = Attribution(session, 32)
    attribution.learn(session.advance(1))
    attribution.begin()
    point = attribution.point()
    attribution.close()
    seen = replace(point, latents=1, posterior=attribution.posterior)
    (event,) = Decoder[AnyEvent](AnyEvent).feed(frame(LensPointAdded(seen)))
    back = event.point
    for name in ("value", "error", "spread", "share", "share_error", "total", "total_error"):
        assert np.array_equal(getattr(back, name), getattr(point, name), equal_nan=True)
    assert np.array_equal(back.blocks, point.blocks)
    assert (back.terms, back.players) == (point.terms, point.players)
    assert back.posterior.keys() == seen.posterior.keys()
    for name, one in seen.posterior.items():
        for field in ("mean", "sd", "mean_error", "sd_error"):
            assert np.array_equal(getattr(back.posterior[name], field), getattr(one, field))


@pytest.mark.parametrize(
    ("fails", "states"),
    [("raise ValueError('not 7')", [5]), ("return (float('nan'),)", [6, 7])],
    ids=["raises", "not finite"],
)
def test_where_a_run_fails_the_attribution_reaches_its_last_record(
    fails: str, states: list[int], client: Client, tmp_path: Path
) -> None:
    """Record k is drawn from state k - 1, which is found again in the copy where it has gone by."""
    tail = f"def batch(step):\n    if step == 7: {fails}\n    return (0.0,)\n"
    tail += "def full_batch():\n    return (0.0,)\npyro.enable_validation(False)\n"
    text = small(model='pyro.factor("f", torch.tensor(x))', tail=tail)
    text = text.replace("def model():", "def model(x):").replace("def guide():", "def guide(x):")
    client.load(write(tmp_path, text))
    client.ask(RunUntil(until=20))
    seen = looked(client, states[-1])
    assert [point.state for point in seen][-len(states) :] == states
    assert all(point.draws > 0 for point in seen if point.state < 7)
