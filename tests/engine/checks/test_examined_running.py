"""What needs an examination is found while the run goes on, and again where it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.client import PATIENCE
from tests.engine.sources import small, write
from tui_elbo.client.run_state import Run
from tui_elbo.engine.checks.catalogue import rule_named
from tui_elbo.engine.checks.examples import PRELUDE
from tui_elbo.engine.checks.monitor import LEAST_STEPS
from tui_elbo.engine.lens.schedule import Examine, LensScheduler
from tui_elbo.engine.scenario_source import ScenarioSource
from tui_elbo.engine.session import Session
from tui_elbo.protocol import Load, Pause, RunUntil


@pytest.mark.slow
def test_a_fault_is_found_while_the_run_goes_on(tmp_path: Path) -> None:
    rule = rule_named("rate-too-low")
    assert rule is not None
    run = Run()
    source = ScenarioSource(run.apply, history=lambda: run.history)
    source.handle(Load(target=str(write(tmp_path, PRELUDE + rule.fires))))
    source.handle(RunUntil(until=10**6))
    while run.step < 10**6 and not any(one.code == rule.code for one in run.findings):
        source.work()
    assert run.level is not None
    assert run.level.state == "running"
    assert run.step >= LEAST_STEPS
    source.handle(Pause())


def test_what_was_to_be_examined_while_running_is_asked_anew_where_the_run_stands(
    tmp_path: Path,
) -> None:
    session, scheduler = Session(str(write(tmp_path, small()))), LensScheduler(lambda _: None)
    scheduler.follow(session, 8)
    session.advance(4)
    scheduler.stepped(4, 0.1, by_hand=False)
    scheduler.ask(Examine(lambda *_: None, lambda _: None))
    assert not scheduler.may_examine
    scheduler.stands()
    assert scheduler.may_examine
    scheduler.leave()


def test_where_a_run_stands_the_verdict_comes_before_the_examination(tmp_path: Path) -> None:
    order: list[str] = []
    session = Session(str(write(tmp_path, small())))
    scheduler = LensScheduler(lambda event: order.append(type(event).__name__))
    scheduler.follow(session, 8)
    scheduler.learn(session.advance(4))
    scheduler.stands()
    scheduler.ask(Examine(lambda *_: None, lambda _: order.append("examined")))
    while scheduler.owed:
        scheduler.start()
        scheduler.wait(PATIENCE)
    scheduler.leave()
    assert [one for one in order if one in {"VerdictReached", "examined"}] == [
        "VerdictReached",
        "examined",
    ]
