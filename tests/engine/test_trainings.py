"""Several trainings of one process: listed, chosen by number, each with parameters of its own."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

import tui_elbo
from tests.engine.client import Speaker, history
from tests.engine.scripts import Script, attached, fresh, simple
from tests.runtime import runtime_folder
from tui_elbo.engine.script import script_session
from tui_elbo.engine.script.script_source import COURSE
from tui_elbo.protocol import (
    ErrorReported,
    LayoutAdded,
    Loaded,
    Pause,
    RunStatus,
    ShowTraining,
    Step,
    TrainingsListed,
)


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(script_session, "CHECKED", 0)
    monkeypatch.setattr(script_session, "LIST_SECONDS", 0.02)
    fresh()
    with runtime_folder() as folder:
        yield folder
        script_session.let_all_go()


def named(name: str) -> SVI:
    """An SVI whose parameter has this name."""

    def model() -> None:
        pyro.sample("z", dist.Normal(0.0, 1.0))

    def guide() -> None:
        pyro.sample("z", dist.Normal(pyro.param(name, torch.tensor(-3.0)), 1.0))

    guide.__qualname__ = f"guide_{name}"
    return SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())


def both(first: SVI, second: SVI) -> SVI:
    """What steps them in turn."""

    def step() -> float:
        return float(first.step()) + float(second.step())

    return SimpleNamespace(step=step)  # type: ignore[return-value]


def listed(terminal: Speaker, shown: int, *, chosen: bool) -> TrainingsListed:
    return terminal.until(TrainingsListed, lambda x: (x.shown, x.chosen) == (shown, chosen))


def test_two_that_alternate_are_listed_and_each_can_be_shown() -> None:
    with tui_elbo.watch_all() as handle:
        first, second = named("one"), named("two")
        first.step()
        second.step()
        with Script(both(first, second)), attached(handle.id) as terminal:
            found = [event for event in terminal.seen if isinstance(event, TrainingsListed)]
            assert [(one.number, one.name) for one in found[0].trainings] == [
                (1, "guide_one"),
                (2, "guide_two"),
            ]
            terminal.send(ShowTraining(number=2))
            name = terminal.until(Loaded).name
            assert name.endswith("#2")
            layout = terminal.until(LayoutAdded).layout
            assert [one.name for one in layout.params] == ["two"]
            newest = listed(terminal, 2, chosen=True)
            assert {one.estimator for one in newest.trainings} == {"Trace_ELBO"}
            for one in newest.trainings:
                assert bool(one.course) == (one.step > 0)
                assert len(one.course) == min(one.step, COURSE)
            terminal.send(ShowTraining(number=0))
            listed(terminal, 2, chosen=False)
            terminal.send(ShowTraining(number=7))
            assert "not kept" in terminal.until(ErrorReported).what


def test_a_script_that_is_held_stays_so_while_another_training_is_shown() -> None:
    with tui_elbo.watch_all() as handle:
        first, second = named("one"), named("two")
        first.step()
        second.step()
        with Script(both(first, second)) as script, attached(handle.id) as terminal:
            terminal.ask(Pause())
            terminal.send(ShowTraining(number=2))
            terminal.until(RunStatus, lambda x: x.state == "paused" and x.step >= 1)
            before = len(script.losses)
            stood = terminal.ask(Step())
            after = terminal.ask(Step())
            assert after.step == stood.step + 1
            assert len(script.losses) <= before + 3
            back = terminal.ask(ShowTraining(number=1))
            assert back.state == "paused"


def test_what_has_been_dropped_is_said_to_be_watched_no_more() -> None:
    with tui_elbo.watch_all() as handle:
        first, second = named("one"), named("two")
        first.step()
        second.step()
        with attached(handle.id) as terminal:
            del first
            gc.collect()
            ended = terminal.until(TrainingsListed, lambda x: x.trainings[0].ended)
            assert [one.ended for one in ended.trainings] == [True, False]
            second.step()
            assert terminal.until(Loaded).name.endswith("#2")
            terminal.send(ShowTraining(number=1))
            assert not terminal.until(Loaded).name.endswith("#2")
            assert terminal.until(RunStatus).state == "paused"
            assert history(terminal.seen).last == 1
            second.step()
            terminal.send(Step())
            assert "watched no more" in terminal.until(ErrorReported).what


@pytest.mark.slow
def test_a_thousand_svis_are_watched_with_one_thread() -> None:
    with tui_elbo.watch(simple(), "first"):
        linux = sys.platform == "linux"
        before = len(os.listdir("/proc/self/fd")) if linux else 0
        svis = [simple() for _ in range(1000)]
        for svi in svis:
            tui_elbo.watch(svi)
        losses = [svi.step() for svi in svis[::100]]
        session = script_session.current()
        assert session is not None
        assert session.count == script_session.MOST
        assert sum(one.name == "elbo-tui" for one in threading.enumerate()) == 1
        if linux:
            assert len(os.listdir("/proc/self/fd")) == before
    assert len(losses) == 10


def test_one_that_was_let_go_is_watched_anew_as_it_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_session, "MOST", 2)
    svis = [simple() for _ in range(4)]
    handles = [tui_elbo.watch(svi, lens=False) for svi in svis]
    session = script_session.current()
    assert session is not None
    assert session.known(svis[0]) is None
    svis[0].step()
    found = session.known(svis[0])
    assert found is not None
    assert found.steps_taken == 1
    for handle in handles:
        handle.close()
    assert session.closed


def test_the_run_of_a_notebook_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/lib/ipykernel_launcher.py", "-f", "kernel.json"])
    with tui_elbo.watch_all() as handle:
        assert handle.id == "notebook"
