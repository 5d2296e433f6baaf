"""The lens on a script, as terminals come and go, and as things go wrong."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import tui_elbo
from tests.engine.lensed import Called, held, looked, normal
from tests.engine.scripts import Script, attached, fresh, simple
from tests.runtime import runtime_folder
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.lens.schedule import LensScheduler
from tui_elbo.engine.script import script_stepper
from tui_elbo.protocol import (
    ComputeGradients,
    GradientsComputed,
)


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    fresh()
    with runtime_folder() as folder:
        yield folder


def test_where_the_beginning_is_not_known_it_is_known_from_the_first_look_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(script_stepper, "MAX_INITIAL_BYTES", 0)
    svi = simple()
    with tui_elbo.watch(svi, "mine"):
        for _ in range(20):
            svi.step()
        with Script(svi), attached("mine") as terminal:
            step = held(terminal)
            first, *_ = looked(terminal, step)
            assert first.state == first.since >= 20
            terminal.send(ComputeGradients(since=first.state))
            pulled = terminal.until(GradientsComputed)
            assert (pulled.since, pulled.names) == (first.state, ("loc",))


def test_without_a_terminal_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    call = Attribution.call
    monkeypatch.setattr(Attribution, "call", lambda *args: (looks.append(args), call(*args))[1])
    svi = simple()
    with tui_elbo.watch(svi, "mine"):
        for _ in range(50):
            svi.step()
        assert looks == []
        with Script(svi), attached("mine") as terminal:
            looked(terminal)
            terminal.hang_up()
        many = len(looks)
        assert many > 0
        for _ in range(50):
            svi.step()
        assert len(looks) == many


def test_whoever_comes_next_sees_the_sums_go_on() -> None:
    svi = simple()
    with tui_elbo.watch(svi, "mine"), Script(svi):
        with attached("mine") as first:
            step = held(first)
            looked(first, step)
        with attached("mine") as second:
            step = held(second)
            seen = looked(second, step)
            assert seen[0].state == 0
            states = [one.state for one in seen]
            assert states == sorted(set(states))
            assert [one.since for one in seen[1:]] == states[:-1]


def test_a_look_that_fails_is_reported_and_leaves_the_training_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("in the look")

    plain = simple()
    losses = [plain.step() for _ in range(10)]
    fresh()
    svi = simple()
    monkeypatch.setattr(LensScheduler, "start", broken)
    with tui_elbo.watch(svi, "mine"):
        watched = [svi.step()]
        with attached("mine") as terminal:
            watched += [svi.step() for _ in range(9)]
            point = looked(terminal)[-1]
            assert (point.draws, point.note) == (
                0,
                "The lens cannot look: ZeroDivisionError: in the look",
            )
    assert watched == losses


def test_a_look_ends_with_who_wanted_it(tmp_path: Path) -> None:
    """Each draw of the lens waits; the script goes on meanwhile, and the copy ends in the end."""
    pid, part, over = tmp_path / "pid", tmp_path / "part", threading.Event()
    svi = simple()
    model = svi.model

    def slow() -> None:
        if not torch.is_grad_enabled():
            part.write_text(str(os.getpid()))
            part.replace(pid)
            over.wait(0.05)
        model()

    svi.model = slow
    with tui_elbo.watch(svi, "mine"), Script(svi) as script:
        with attached("mine"):
            assert eventually(lambda: pid.exists() and pid.read_text() != "")
            before = len(script.losses)
            assert eventually(lambda: len(script.losses) >= before + 3)
        assert int(pid.read_text()) != os.getpid()
        assert eventually(lambda: not Path(f"/proc/{pid.read_text()}").exists())


def eventually(holds: Callable[[], bool]) -> bool:
    pause = threading.Event()
    for _ in range(600):
        if holds():
            return True
        pause.wait(0.05)
    return False


def test_nothing_of_the_scripts_is_kept_once_it_is_watched_no_more() -> None:
    svi, x = normal(), torch.zeros(5)
    handle = tui_elbo.watch(svi, "mine")
    given = [x]
    with Called(svi, lambda: ((given[0],), {})), attached("mine") as terminal:
        looked(terminal)
    kept = weakref.ref(x)
    del x, given[:]
    gc.collect()
    assert kept() is not None
    handle.close()
    gc.collect()
    assert kept() is None


def test_closed_by_another_thread_it_holds_nobody() -> None:
    svi = simple()
    handle = tui_elbo.watch(svi, "mine")
    with Script(svi) as script, attached("mine") as terminal:
        held(terminal)
        handle.close()
        before = len(script.losses)
        pause = threading.Event()
        for _ in range(600):
            if len(script.losses) > before + 2:
                break
            pause.wait(0.05)
        assert len(script.losses) > before + 2
