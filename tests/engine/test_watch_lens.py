"""The lens on a script's own loop: what it sees, of whom it sees nothing, and that it says so."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.nn import PyroModule
from torch import Tensor

import tui_elbo
from tests.engine.lensed import Called, expected_log_p, held, looked, normal
from tests.engine.scripts import Script, attached, fresh, simple
from tests.runtime import runtime_folder
from tui_elbo.engine.script.minibatches import Named
from tui_elbo.engine.script.step_arguments import NEXT_STEP
from tui_elbo.model.attribution import LensPoint
from tui_elbo.model.sentences import LOG_P
from tui_elbo.protocol import (
    ComputeGradients,
    ComputeImportanceBound,
    DrawPosterior,
    FindingsChanged,
    GradientsComputed,
    ImportanceBoundComputed,
    JudgeRun,
    LensPointAdded,
    Pause,
    PosteriorDrawn,
    RunFlagged,
    RunStatus,
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


class Loop:
    """Evaluates an ELBO of modules, and lets an optimiser of torch's update them."""

    def __init__(self, base: Any) -> None:
        class Model(base):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.shift = torch.nn.Parameter(torch.tensor(0.0))

            def forward(self) -> None:
                z = pyro.sample("z", dist.Normal(0.0, 1.0))
                pyro.sample("x", dist.Normal(z + self.shift, 1.0), obs=torch.tensor(0.5))

        class Guide(base):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.loc = torch.nn.Parameter(torch.tensor(-3.0))

            def forward(self) -> None:
                pyro.sample("z", dist.Normal(self.loc, 0.7))

        self.model, self.guide = Model(), Guide()
        self._elbo = Trace_ELBO()(self.model, self.guide)
        self._optimizer = torch.optim.Adam(self._elbo.parameters(), lr=0.05)

    def step(self) -> float:
        self._optimizer.zero_grad()
        loss = self._elbo()
        loss.backward()
        self._optimizer.step()
        return loss.item()

    def expected(self) -> float:
        loc, shift = self.guide.loc.item(), self.model.shift.item()
        far = (loc**2 + 0.49) + ((loc + shift - 0.5) ** 2 + 0.49)
        return -far / 2 - math.log(2 * math.pi)


@pytest.mark.parametrize("base", [torch.nn.Module, PyroModule])
def test_what_modules_keep_for_themselves_has_moved_it_too(base: Any) -> None:
    """By `module_local_params`, or since nobody calls `pyro.module`."""
    with pyro.settings.context(module_local_params=base is PyroModule):
        loop = Loop(base)
        begin = loop.expected()
        with tui_elbo.watch_all() as handle:
            loop.step()
            with Script(loop), attached(handle.id) as terminal:  # type: ignore[arg-type]
                last = looked(terminal, held(terminal))[-1]
                now, loc = loop.expected(), loop.guide.loc.item()
                assert (last.players, last.draws, last.note) == (("phi", "theta"), 256, "")
                assert (
                    abs(last.total[:, 0].sum() - (now - begin)) < 4 * last.total_error[:, 0].sum()
                )
                assert (last.total[:, 0] != 0).all()
                assert last.posterior["z"].mean == pytest.approx(loc, abs=4 * 0.7 / 16)
        assert len(pyro.get_param_store()) == 0


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


def seen_with(step: Callable[[int], tuple[tuple[Any, ...], dict[str, Any]]], **options: Any) -> Any:
    """What a script whose steps are called so shows, what is said to be assumed, and loc."""
    svi, count = normal(), iter(range(10**9))
    with (
        tui_elbo.watch(svi, "mine", **options),
        Called(svi, lambda: step(next(count))),
        attached("mine") as terminal,
    ):
        terminal.until(LensPointAdded, lambda event: event.point.draws > 0)
        number = held(terminal)
        looked(terminal, number)
        terminal.send(DrawPosterior(count=5))
        assert terminal.until(PosteriorDrawn).count == 5
        points = [one.point for one in terminal.seen if isinstance(one, LensPointAdded)]
        said = [one for one in terminal.seen if isinstance(one, RunFlagged)]
        return points, said, pyro.param("loc").item()


def test_of_minibatches_those_of_some_steps_stand_for_all_and_that_is_said() -> None:
    """With z ~ N(loc, 0.7), E log p of ten points in batches of four is known."""
    x = torch.arange(10.0) / 10
    points, said, _ = seen_with(lambda _: ((x[torch.randperm(10)[:4]],), {}))
    assert points[0].draws == 0
    assert points[0].note == (
        "The steps are called with other data each time (argument 1 changes): the lens looks once "
        "it has those of 32"
    )
    last = points[-1]
    assert last.players == ("phi",)
    assert last.draws == 256
    (flag,) = said
    assert flag.kind == "minibatches"
    assert re.fullmatch(
        r"the lens sees the data of 32 steps \(\d+ to \d+\): these stand for all", flag.text
    )
    assert last.note == flag.text
    assert last.total[0, 0] > 0


def sees(point: LensPoint, x: Tensor, loc: float, batches: int = 1) -> bool:
    """Whether log p is its mean over the batches into which the data fall."""
    far = (loc**2 + 0.49) + ((loc - x) ** 2 + 0.49).sum().item() / batches
    expected = -far / 2 - (1 + len(x) / batches) * math.log(2 * math.pi) / 2
    # The standard deviation of log p over draws of z, but for its curvature.
    slope = -loc + (x - loc).sum().item() / batches
    bound = 4 * (0.7 * abs(slope) + 0.49 * (1 + len(x) / batches)) / math.sqrt(point.draws)
    return bool(abs(point.value[point.terms.index(LOG_P)] - expected) < bound)


def test_a_model_that_is_a_partial_takes_its_named_arguments() -> None:
    named = Named(functools.partial(lambda *args, **kwargs: (args, kwargs), 1, b=2))
    assert named(3, {"c": 4}) == ((1, 3), {"b": 2, "c": 4})


@pytest.mark.parametrize("anew", [False, True], ids=["slices", "copies"])
def test_an_epoch_of_fewer_batches_is_known_by_its_beginning_again(anew: bool) -> None:
    x = torch.arange(12.0).reshape(3, 4)
    points, said, loc = seen_with(lambda n: ((x[n % 3].clone() if anew else x[n % 3],), {}))
    assert "the data of 3 steps" in said[0].text
    assert said[0].text.endswith(": one epoch")
    assert sees(points[-1], x.reshape(-1), loc, batches=3)


@pytest.mark.parametrize("by_numpy", [False, True])
def test_data_of_a_script_that_fills_its_memory_anew_are_copied(by_numpy: bool) -> None:
    x, kept = torch.zeros(4), [torch.full((4,), float(n)) for n in range(3)]
    array = x.numpy()

    def step(n: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if by_numpy:  # which the tensor does not count
            array[:] = float(n % 3)
        else:
            x.copy_(kept[n % 3])
        return (x,), {}

    points, said, loc = seen_with(step)
    assert "the data of 3 steps" in said[-1].text
    assert sees(points[-1], torch.cat(kept), loc, batches=3)


@pytest.mark.parametrize("in_place", [False, True])
def test_keeping_the_data_changes_not_a_bit(in_place: bool) -> None:
    x = torch.arange(10.0)

    def batches() -> Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]:
        memory = torch.zeros(4)

        def batch() -> tuple[tuple[Any, ...], dict[str, Any]]:
            found = x[torch.randperm(10)[:4]]
            return (memory.copy_(found) if in_place else found,), {}

        return batch

    svi = normal()
    with (
        tui_elbo.watch(svi, "mine"),
        Called(svi, batches()) as script,
        attached("mine") as terminal,
    ):
        terminal.until(LensPointAdded, lambda event: event.point.draws > 0)
        looked(terminal, held(terminal))
    seen = pyro.param("loc").item(), torch.get_rng_state()
    fresh()
    svi, batch = normal(), batches()
    losses = [svi.step(*batch()[0]) for _ in script.losses]
    assert losses == script.losses
    assert pyro.param("loc").item() == seen[0]
    assert torch.equal(torch.get_rng_state(), seen[1])


@pytest.mark.parametrize(
    ("step", "changes"),
    [
        (lambda x, n: ((x,), {"scale": 1.0 + n}), "scale="),
        (lambda x, n: ((x,) if n % 2 else (x, 1.0 + n), {}), "their number"),
        (lambda x, n: (([x, n],), {}), "argument 1"),
    ],
    ids=["by-name", "more", "in-a-list"],
)
def test_whatever_changes_is_kept_and_named(step: Any, changes: str) -> None:
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
        terminal.until(LensPointAdded, lambda event: event.point.draws > 0)


def test_a_minibatch_that_a_plate_scales_is_no_fault() -> None:
    """One batch is not all the data: a plate of more rows than it has is as it should be."""

    def model(x: Tensor) -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        with pyro.plate("data", 40, subsample_size=len(x)):
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    def guide(x: Tensor) -> None:
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.7))

    svi, x = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO()), torch.randn(40)
    with (
        tui_elbo.watch(svi, "mine"),
        Called(svi, lambda: ((x[torch.randperm(40)[:10]],), {})),
        attached("mine") as terminal,
    ):
        events = [one for one in terminal.seen if isinstance(one, FindingsChanged)]
        found = next((one for one in events if one.examined >= 0), None)
        found = found or terminal.until(FindingsChanged, lambda one: one.examined >= 0)
    assert [one.code for one in found.findings if one.level != "note"] == []


def test_a_model_that_is_another_at_each_step_is_not_seen() -> None:
    svi = normal()
    model, x = svi.model, torch.zeros(3)

    def step() -> tuple[tuple[Any, ...], dict[str, Any]]:
        svi.model = functools.partial(model)
        return (x,), {}

    with tui_elbo.watch(svi, "mine"), Called(svi, step), attached("mine") as terminal:
        (point,) = looked(terminal)
        assert "(the model changes)" in point.note
        terminal.send(ComputeImportanceBound())
        assert terminal.until(ImportanceBoundComputed).bound.reason == point.note
        terminal.send(DrawPosterior())
        assert terminal.until(PosteriorDrawn).note == point.note


def test_all_the_data_that_a_script_gives_are_seen_at_once() -> None:
    x = torch.arange(10.0)
    points, said, loc = seen_with(
        lambda _: ((x[torch.randperm(10)[:4]],), {}), full_batch=lambda: (x,)
    )
    assert said == []
    assert all(point.draws == 256 and not point.note for point in points)
    assert sees(points[-1], x, loc)


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


def test_held_before_its_data_are_known_it_is_said_what_the_lens_waits_for() -> None:
    x = torch.arange(4.0)
    svi = normal()
    with (
        tui_elbo.watch(svi, "mine"),
        attached("mine") as terminal,
    ):
        terminal.send(Pause())
        terminal.until(RunStatus, lambda level: level.state == "paused")
        with Called(svi, lambda: ((x,), {})):
            terminal.send(JudgeRun())
            verdict = terminal.until(VerdictReached).verdict
            assert verdict.state == "cannot_tell"
            assert verdict.reason == NEXT_STEP
            terminal.ask(Step(count=3))
            assert looked(terminal, 3)[-1].draws > 0
            terminal.send(RunUntil())


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
