"""The next terminal gets the breakpoints and watched parameters of the one before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyro.infer import SVI

import tui_elbo
from tests.engine.client import Speaker, engine, visitor
from tests.engine.scripts import attached, fresh, simple
from tests.engine.sources import SMALL, write
from tests.runtime import runtime_folder
from tui_elbo.client import registry
from tui_elbo.protocol import (
    Attach,
    Breakpoint,
    ConditionMet,
    Loaded,
    Pause,
    Restart,
    RunIdAssigned,
    RunStatus,
    RunUntil,
    SetBreakpoints,
    Step,
    SubscriptionsChanged,
    WatchParams,
    runtime_dir,
)

POINTS = (Breakpoint("step > 20"), Breakpoint("elbo > 1e9", on=False), Breakpoint("step == 4"))


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    fresh()
    with runtime_folder() as folder:
        yield folder


def wished(terminal: Speaker) -> list[SubscriptionsChanged]:
    return [event for event in terminal.seen if isinstance(event, SubscriptionsChanged)]


def test_whoever_attaches_gets_the_breakpoints_and_what_is_watched(tmp_path: Path) -> None:
    with engine(None, apart=True) as first:
        first.load(write(tmp_path, SMALL))
        (named,) = [event for event in first.seen if isinstance(event, RunIdAssigned)]
        path = runtime_dir.path_of(named.id)
        first.ask(WatchParams(names=("loc",)))
        first.ask(SetBreakpoints(points=POINTS))
        # They outlive another execution of the file.
        first.ask(Restart())
        first.ask(Step())
        first.hang_up()
        with visitor(path) as second:
            second.send(Attach())
            second.until(Loaded)
            second.until(RunStatus)
            (told,) = wished(second)
            assert (told.points, told.watched) == (POINTS, ("loc",))
            second.send(RunUntil())
            assert second.until(ConditionMet).step == 4
            second.send(RunUntil())
            assert second.until(ConditionMet).step == 21
            # That which is off is only remembered.
            second.ask(SetBreakpoints(points=()))
            assert wished(second)[-1].points == ()
        registry.end(path)


@contextmanager
def taking(svi: SVI, steps: int) -> Iterator[None]:
    """A script that takes so many steps, and has taken them in the end."""
    losses: list[float] = []
    thread = threading.Thread(target=lambda: losses.extend(svi.step() for _ in range(steps)))
    thread.start()
    yield
    thread.join(30)
    assert len(losses) == steps


def test_those_of_a_script_sleep_while_nobody_is_there() -> None:
    svi = simple()
    points = (Breakpoint("step > 3"), Breakpoint("step == 20", on=False), Breakpoint("step == 30"))
    with tui_elbo.watch(svi, "mine"):
        with attached("mine") as first:
            first.ask(Pause())
            with taking(svi, 10):
                first.ask(SetBreakpoints(points=points))
                first.hang_up()
        with attached("mine") as second:
            (told,) = wished(second)
            assert told.points == points
            # What came to hold while nobody was there has not come to hold now.
            with taking(svi, 40):
                assert second.until(ConditionMet).step == 30
                second.send(RunUntil())
