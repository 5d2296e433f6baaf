"""The lens on a script's own loop: what it sees, of whom it sees nothing, and that it says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

import tui_elbo
from tests.engine.lensed import Called, expected_log_p, held, looked, normal
from tests.engine.scripts import Script, attached, fresh, simple
from tests.runtime import runtime_folder
from tui_elbo.protocol import (
    ComputeGradients,
    ComputeImportanceBound,
    DrawPosterior,
    GradientsComputed,
    ImportanceBoundComputed,
    PosteriorDrawn,
    RunUntil,
    Step,
    VerdictReached,
)


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    fresh()
    with runtime_folder() as folder:
        yield folder


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
        assert [one.since for one in seen[-3:]] == list(range(step, step + 3))
        last = seen[-1]
        assert (last.players, last.draws, last.note) == (("phi",), 256, "")
        loc = pyro.param("loc").item()
        moved, error = last.total[0, 0], last.total_error[0, 0]
        assert abs(moved - (expected_log_p(loc) - expected_log_p(-3.0))) < 4 * error
        assert last.total[0, 1] == pytest.approx(0.0, abs=1e-5)
        assert seen[-1].posterior["z"].mean == pytest.approx(loc, abs=4 * 0.7 / 16)


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
        terminal.send(ComputeImportanceBound(draws=200))
        assert terminal.until(ImportanceBoundComputed).bound.draws == 200
        terminal.send(ComputeGradients(since=0))
        pulled = terminal.until(GradientsComputed)
        assert (pulled.names, pulled.reasons) == (("loc",), ("",))
        terminal.send(DrawPosterior(count=50))
        drawn = terminal.until(PosteriorDrawn)
        assert (drawn.count, [site.name for site in drawn.sites], drawn.note) == (50, ["z"], "")
        # Held, it answers too.
        step = held(terminal)
        terminal.send(ComputeImportanceBound(draws=300))
        assert (
            terminal.until(ImportanceBoundComputed, lambda told: told.bound.draws == 300).step
            == step
        )
        terminal.send(RunUntil())


@pytest.mark.slow
def test_a_scripts_run_is_judged_too() -> None:
    svi = normal()
    with (
        tui_elbo.watch(svi, "mine"),
        Called(svi, lambda: ((torch.tensor([0.5, 1.0]),), {})),
        attached("mine") as terminal,
    ):
        found = terminal.until(VerdictReached, lambda event: event.verdict.step >= 128).verdict
        held(terminal)
    # The loop's own tensor is made anew at each step, with the same numbers.
    assert found.state in {"stationary", "improving"}, found.text
    assert found.left_high < 3.0


def test_a_hook_of_the_scripts_hears_of_no_gradient_but_those_of_its_steps() -> None:
    svi, heard = simple(), list[float]()
    with tui_elbo.watch(svi, "mine"):
        svi.step()
        (leaf,) = [leaf for _, leaf in pyro.get_param_store().named_parameters()]
        leaf.register_hook(lambda grad: heard.append(grad.item()))
        with Script(svi) as script, attached("mine") as terminal:
            step = held(terminal)
            looked(terminal, step)
            terminal.send(ComputeGradients())
            assert "a hook of the script" in terminal.until(GradientsComputed).reasons[0]
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
            "log p over all the data cannot be computed"
        )
        step = held(terminal)
        (point,) = looked(terminal)
        assert (point.draws, point.note, point.players) == (0, why, ())
        terminal.send(ComputeImportanceBound())
        assert terminal.until(ImportanceBoundComputed).bound.reason == why
        terminal.send(DrawPosterior())
        drawn = terminal.until(PosteriorDrawn)
        assert (drawn.step, drawn.count, drawn.note) == (step, 0, why)
        terminal.send(ComputeGradients())
        assert terminal.until(GradientsComputed).names == ()


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
        assert f"({changes} changes)" in looked(terminal)[-1].note


def test_the_same_numbers_made_anew_are_the_same_data() -> None:
    svi = normal()
    with (
        tui_elbo.watch(svi, "mine"),
        Called(svi, lambda: ((torch.tensor([0.5, 1.0]),), {})),
        attached("mine") as terminal,
    ):
        first = looked(terminal)[-1].state
        assert looked(terminal, first + 3)[-1].draws > 0


class Odd(SVI):  # type: ignore[misc]
    """Steps in a way of its own."""

    def step(self, *args: Any, **kwargs: Any) -> Any:
        return super().step(*args, **kwargs)


def own_loss(model: Any, guide: Any) -> Any:
    """As the documentation shows it."""
    return Trace_ELBO().differentiable_loss(model, guide)


def test_who_cannot_be_followed_gets_the_reason() -> None:
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
            (point,) = looked(terminal)
            assert point.draws == 0
            assert point.note.startswith(why)
