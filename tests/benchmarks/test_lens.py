"""What the lens costs: a point against plain steps, and its share of a run, in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from tui_elbo.engine.lens import Lens
from tui_elbo.engine.lens.schedule import Onlooker
from tui_elbo.engine.server.command_handler import CommandHandler
from tui_elbo.engine.session import Session
from tui_elbo.protocol import Event, LensPointAdded, Load, RunUntil

pytestmark = pytest.mark.benchmark

ROUNDS, STEPS, POINTS = 15, 20, 5


@pytest.mark.parametrize("name", ["fixed_mean_guide", "no_theta", "regression", "coin"])
def test_a_point_of_256_draws_costs_less_than_eight_steps(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    session = Session(name)
    session.advance(50)
    lens = Lens(session.scenario, 256)
    lens.see()
    assert not lens.looped
    ratios = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        session.advance(STEPS)
        middle = time.perf_counter()
        for _ in range(POINTS):
            lens.see()
        end = time.perf_counter()
        ratios.append((end - middle) / POINTS / ((middle - begin) / STEPS))
    found = statistics.median(ratios)
    record_property("ratio", found)
    print(f"\n{name}: a point of 256 draws costs {found:.2f} steps (at most 8)")
    assert found < 8


RUN = 4.0
"""Seconds of a run of which the lens may take a tenth."""

SCENARIOS = ["fixed_mean_guide", "eight_schools", "minibatch_forgotten_scale", "network"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_while_running_the_lens_takes_a_tenth_of_the_time(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    looking = [0.0]
    look = Onlooker.look

    def timed(self: Onlooker) -> None:
        begin = time.perf_counter()
        look(self)
        looking[0] += time.perf_counter() - begin

    monkeypatch.setattr(Onlooker, "look", timed)
    events: list[Event] = []
    handler = CommandHandler(events.append)
    for command in (Load(target=name), RunUntil()):
        handler.carry_out(command)
    # The first look settles how the lens draws; that is part of loading.
    while not any(isinstance(event, LensPointAdded) for event in events):
        handler.work()
    begin, looking[0] = time.perf_counter(), 0.0
    while time.perf_counter() - begin < RUN:
        handler.work()
    # Up to the end of a burst of steps whose look is about to be taken.
    while not handler._onlooker.due:
        handler.work()
    share = looking[0] / (time.perf_counter() - begin)
    looks = sum(isinstance(event, LensPointAdded) for event in events)
    record_property("share", share)
    print(f"\n{name}: {looks} looks took {share:.1%} of the time (at most 10 %)")
    assert looks > 1
    assert share <= 0.1
