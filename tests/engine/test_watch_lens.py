"""The lens on a script's own loop: what it sees, of whom it sees nothing, and that it says so."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor

import tui_elbo
from tests.engine.client import Speaker
from tests.engine.scripts import Script, attached, fresh, simple
from tests.runtime import runtime_folder
from tui_elbo.engine.lens import Lens
from tui_elbo.engine.lens.onlooker import Onlooker
from tui_elbo.engine.serving import reader
from tui_elbo.protocol import (
    Draw,
    Drawn,
    Level,
    Looked,
    Pause,
    Pull,
    Pulled,
    Run,
    Step,
    Weigh,
    Weighed,
    sighting,
)
from tui_elbo.sightings import Sighting


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    fresh()
    with runtime_folder() as folder:
        yield folder


class Called(Script):
    """A loop that calls `step` with something.

    Args:
        svi: what it drives.
        args: makes the arguments of the next step.
    """

    def __init__(self, svi: SVI, args: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]):
        class Wrapped:
            @staticmethod
            def step() -> float:
                given, named = args()
                return svi.step(*given, **named)

        super().__init__(Wrapped())  # type: ignore[arg-type]


def normal() -> SVI:
    """Some points, and their location."""

    def model(x: Tensor, scale: float = 1.0) -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(z, scale), obs=x)

    def guide(x: Tensor, scale: float = 1.0) -> None:
        loc = pyro.param("loc", torch.tensor(-3.0))
        pyro.sample("z", dist.Normal(loc, 0.7))

    return SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())


def held(terminal: Speaker) -> int:
    """Hold it; the step at which it stands."""
    terminal.send(Pause())
    terminal.until(Level, lambda level: level.state == "paused")
    # From two steps on it is known whether they are called with the same.
    return terminal.ask(Step(count=2)).step


def looked(terminal: Speaker, state: int = 0) -> list[Sighting]:
    """All that the lens has seen, up to a state."""
    if not any(isinstance(event, Looked) and event.state >= state for event in terminal.seen):
        terminal.until(Looked, lambda event: event.state >= state)
    return [sighting(event) for event in terminal.seen if isinstance(event, Looked)]


def expected_log_p(loc: float) -> float:
    """Of `simple`, whose guide is a normal of standard deviation 0.7."""
    far = (loc**2 + 0.49) + ((loc - 0.5) ** 2 + 0.49)
    return -far / 2 - math.log(2 * math.pi)


def test_it_is_seen_what_moved_it_since_step_0_and_each_step_by_hand() -> None:
    """With z ~ N(loc, 0.7) and x = 0.5, E log p is known."""
    svi = simple()
    with tui_elbo.watch(svi, "mine"), Script(svi), attached("mine") as terminal:
        step = held(terminal)
        looked(terminal, step)
        terminal.ask(Step(count=3))
        seen = looked(terminal, step + 3)
        assert seen[0].state == 0
        assert [one.state for one in seen[-4:]] == list(range(step, step + 4))
        assert [one.point.since for one in seen[-3:]] == list(range(step, step + 3))
        last = seen[-1].point
        assert (last.players, last.draws, last.note) == (("phi",), 256, "")
        loc = pyro.param("loc").item()
        moved, error = last.total[0, 0], last.total_error[0, 0]
        assert abs(moved - (expected_log_p(loc) - expected_log_p(-3.0))) < 4 * error
        assert last.total[0, 1] == pytest.approx(0.0, abs=1e-5)
        assert seen[-1].posterior["z"][0] == pytest.approx(loc, abs=4 * 0.7 / 16)


def test_while_it_runs_it_is_looked_at_and_what_is_asked_is_answered() -> None:
    svi, x = normal(), torch.tensor([0.5, 1.0, 1.5])
    # A slice that is cut anew each time is the same slice.
    with (
        tui_elbo.watch(svi, "mine"),
        Called(svi, lambda: ((x[:2],), {"scale": 2.0})),
        attached("mine") as terminal,
    ):
        first = looked(terminal)[-1].state
        looked(terminal, first + 2)
        terminal.send(Weigh(draws=200))
        assert terminal.until(Weighed).bound.draws == 200
        terminal.send(Pull(since=0))
        pulled = terminal.until(Pulled)
        assert (pulled.names, pulled.reasons) == (("loc",), ("",))
        terminal.send(Draw(count=50))
        drawn = terminal.until(Drawn)
        assert (drawn.count, [site.name for site in drawn.sites], drawn.note) == (50, ["z"], "")
        # Held, it answers too.
        step = held(terminal)
        terminal.send(Weigh(draws=300))
        assert terminal.until(Weighed, lambda told: told.bound.draws == 300).step == step
        terminal.send(Run())


def test_a_hook_of_the_scripts_hears_of_no_gradient_but_those_of_its_steps() -> None:
    svi, heard = simple(), list[float]()
    with tui_elbo.watch(svi, "mine"):
        svi.step()
        (leaf,) = [leaf for _, leaf in pyro.get_param_store().named_parameters()]
        leaf.register_hook(lambda grad: heard.append(grad.item()))
        with Script(svi) as script, attached("mine") as terminal:
            step = held(terminal)
            looked(terminal, step)
            terminal.send(Pull())
            assert "a hook of the script" in terminal.until(Pulled).reasons[0]
    assert len(heard) == len(script.losses)


def test_of_minibatches_nothing_is_seen_and_that_is_said() -> None:
    svi, x = normal(), torch.arange(10.0)
    with (
        tui_elbo.watch(svi, "mine"),
        Called(svi, lambda: ((x[torch.randperm(10)[:4]],), {})),
        attached("mine") as terminal,
    ):
        why = (
            "The steps are called with other data each time (argument 1 changes), so what moved "
            "log p over all the data cannot be told"
        )
        step = held(terminal)
        (point,) = [one.point for one in looked(terminal)]
        assert (point.draws, point.note, point.players) == (0, why, ())
        terminal.send(Weigh())
        assert terminal.until(Weighed).bound.reason == why
        terminal.send(Draw())
        drawn = terminal.until(Drawn)
        assert (drawn.step, drawn.count, drawn.note) == (step, 0, why)
        terminal.send(Pull())
        assert terminal.until(Pulled).names == ()


@pytest.mark.parametrize(
    ("step", "changes"),
    [
        (lambda x, _: ((x.add_(1.0),), {}), "argument 1"),
        (lambda x, n: ((x,), {"scale": 1.0 + n}), "scale="),
        (lambda x, n: ((x,) if n % 2 else (x, 1.0), {}), "their number"),
        (lambda x, n: (([x, n],), {}), "argument 1"),
    ],
    ids=["in-place", "by-name", "more", "in-a-list"],
)
def test_what_changes_is_named(step: Any, changes: str) -> None:
    svi, x, count = normal(), torch.zeros(3), iter(range(10**9))
    model, guide = svi.model, svi.guide
    svi.model, svi.guide = (
        lambda x, scale=1.0: model(x[0] if isinstance(x, list) else x, scale),
        lambda x, scale=1.0: guide(x[0] if isinstance(x, list) else x, scale),
    )
    with (
        tui_elbo.watch(svi, "mine"),
        Called(svi, lambda: step(x, next(count))),
        attached("mine") as terminal,
    ):
        assert f"({changes} changes)" in looked(terminal)[-1].point.note


def test_the_same_numbers_made_anew_are_the_same_data() -> None:
    svi = normal()
    with (
        tui_elbo.watch(svi, "mine"),
        Called(svi, lambda: ((torch.tensor([0.5, 1.0]),), {})),
        attached("mine") as terminal,
    ):
        first = looked(terminal)[-1].state
        assert looked(terminal, first + 3)[-1].point.draws > 0


class Odd(SVI):  # type: ignore[misc]
    """Steps in a way of its own."""

    def step(self, *args: Any, **kwargs: Any) -> Any:
        return super().step(*args, **kwargs)


def own_loss(model: Any, guide: Any) -> Any:
    """As the documentation shows it."""
    return Trace_ELBO().differentiable_loss(model, guide)


def test_who_cannot_be_followed_is_told_why() -> None:
    plain = simple()
    parts = plain.model, plain.guide, plain.optim
    odd, custom = Odd(*parts, Trace_ELBO()), SVI(*parts, own_loss)
    for svi, lens, why in (
        (odd, True, "Odd takes its steps in a way of its own"),
        (custom, True, "The loss is a function of the script's own, own_loss"),
        (plain, False, "It is watched without a lens"),
    ):
        with (
            tui_elbo.watch(svi, "mine", lens=lens),
            Script(svi),
            attached("mine") as terminal,
        ):
            (point,) = [one.point for one in looked(terminal)]
            assert point.draws == 0
            assert point.note.startswith(why)


def test_where_the_beginning_is_not_known_it_is_told_from_the_first_look_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "KEPT_BIRTHS", 0)
    svi = simple()
    with tui_elbo.watch(svi, "mine"):
        for _ in range(20):
            svi.step()
        with Script(svi), attached("mine") as terminal:
            step = held(terminal)
            first, *_ = looked(terminal, step)
            assert first.state == first.point.since >= 20
            terminal.send(Pull(since=first.state))
            pulled = terminal.until(Pulled)
            assert (pulled.since, pulled.names) == (first.state, ("loc",))


def test_without_a_terminal_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    see = Lens.see
    monkeypatch.setattr(Lens, "see", lambda *args: (looks.append(args), see(*args))[1])
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
            assert [one.point.since for one in seen[1:]] == states[:-1]


def test_a_look_that_fails_is_told_and_leaves_the_training_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("in the look")

    plain = simple()
    losses = [plain.step() for _ in range(10)]
    fresh()
    svi = simple()
    monkeypatch.setattr(Onlooker, "look", broken)
    with tui_elbo.watch(svi, "mine"):
        watched = [svi.step()]
        with attached("mine") as terminal:
            watched += [svi.step() for _ in range(9)]
            point = looked(terminal)[-1].point
            assert (point.draws, point.note) == (
                0,
                "The lens cannot look: ZeroDivisionError: in the look",
            )
    assert watched == losses


def test_a_look_ends_with_who_wanted_it() -> None:
    """Each draw of the lens waits; the script goes on all the same when the terminal goes."""
    looking, over = threading.Event(), threading.Event()
    svi = simple()
    model = svi.model

    def slow() -> None:
        if not torch.is_grad_enabled():
            looking.set()
            over.wait(0.05)
        model()

    svi.model = slow
    with tui_elbo.watch(svi, "mine"), Script(svi) as script:
        with attached("mine"):
            assert looking.wait(30)
        before, tries = len(script.losses), 0
        while len(script.losses) < before + 3 and tries < 600:
            over.wait(0.05)
            tries += 1
        assert len(script.losses) >= before + 3
        over.set()


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
