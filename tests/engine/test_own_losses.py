"""Losses that are no ELBO of Pyro's: their terms where they can be had, else the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import CSIS, SVI, Trace_ELBO
from pyro.poutine.trace_messenger import TraceHandler
from torch import Tensor

import tui_elbo
from tests.engine.client import Speaker, history
from tests.engine.scripts import attached, fresh, rest
from tests.runtime import runtime_folder
from tui_elbo.model.history import History
from tui_elbo.model.records import Column
from tui_elbo.protocol import LensPointAdded

Loss = Callable[..., Tensor]


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    fresh()
    with runtime_folder() as folder:
        yield folder


def model() -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))


def guide() -> None:
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-3.0)), 0.7))


def by_hand(model: Any, guide: Any) -> Tensor:
    """As Pyro's tutorial on objectives has it."""
    drawn = poutine.trace(guide).get_trace()
    replayed = poutine.trace(poutine.replay(model, trace=drawn)).get_trace()
    loss: Tensor = drawn.log_prob_sum() - replayed.log_prob_sum()
    return loss


def of_three_draws(model: Any, guide: Any) -> Tensor:
    return sum(by_hand(model, guide) for _ in range(3)) / 3


def beside_an_elbo(model: Any, guide: Any) -> Tensor:
    """An ELBO of Pyro's and something else, on a trace that it keeps for itself."""
    traced = poutine.trace(guide)
    loss: Tensor = Trace_ELBO().differentiable_loss(model, traced)
    return loss + 0.0 * traced.trace.nodes["z"]["value"]


def without_sums(model: Any, guide: Any) -> Tensor:
    drawn = poutine.trace(guide).get_trace()
    replayed = poutine.trace(poutine.replay(model, trace=drawn)).get_trace()
    terms = [
        sign * node["fn"].log_prob(node["value"])
        for sign, one in ((1, drawn), (-1, replayed))
        for node in one.nodes.values()
        if node["type"] == "sample"
    ]
    return sum(terms, torch.tensor(0.0))


def of_prior_draws(model: Any, guide: Any) -> Tensor:
    """Its draws are not those of the guide, so no difference of terms is an ELBO."""
    poutine.trace(model).get_trace().log_prob_sum()
    drawn = poutine.trace(guide).get_trace()
    loss: Tensor = drawn.log_prob_sum()
    return loss


def notes(terminal: Speaker) -> list[str]:
    return [event.point.note for event in terminal.seen if isinstance(event, LensPointAdded)]


def taken(loss: Loss) -> tuple[list[float], History, list[str]]:
    """Its losses, what is recorded of them, and what the lens says; bit for bit the plain run."""

    def steps() -> list[float]:
        fresh()
        svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), loss)
        return [svi.step() for _ in range(5)]

    plain = steps()
    state = pyro.param("loc").item(), torch.get_rng_state()
    fresh()
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), loss)
    with tui_elbo.watch(svi, "mine") as handle, attached("mine") as terminal:
        losses = [svi.step() for _ in range(5)]
        handle.close()
        rest(terminal)
    assert losses == plain
    assert pyro.param("loc").item() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])
    return losses, history(terminal.seen), notes(terminal)


def column(seen: History, name: str) -> list[float]:
    found: list[float] = seen.values(Column("step", "", name)).tolist()
    return found


@pytest.mark.parametrize("loss", [by_hand, of_three_draws, beside_an_elbo])
def test_terms_are_read_off_the_traces_that_it_makes(loss: Loss) -> None:
    losses, seen, (note,) = taken(loss)
    assert column(seen, "loss") == losses
    assert column(seen, "elbo") == pytest.approx([-one for one in losses], rel=1e-5)
    assert [info.role for info in seen.layout.params] == ["guide"]
    assert f"The loss is a function of the script's own, {loss.__name__}" in note


@pytest.mark.parametrize("loss", [without_sums, of_prior_draws])
def test_where_there_are_none_that_is_said(loss: Loss) -> None:
    losses, seen, _ = taken(loss)
    assert column(seen, "loss") == losses
    assert Column("step", "", "elbo") not in seen.columns
    assert seen.layout.note == "the loss builds no traces that elbo-tui can see"
    assert seen.values(Column("param", "loc", "value[0]"))[-1] == pyro.param("loc").item()


def test_classes_are_what_they_were() -> None:
    plain = TraceHandler.get_trace
    taken(by_hand)
    assert TraceHandler.get_trace is plain


def test_inference_compilation_is_shown_with_its_loss_and_parameters() -> None:
    def observed(observations: Any) -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=observations["x"])

    def amortised(observations: Any) -> None:
        slope = pyro.param("slope", torch.tensor(0.1))
        pyro.sample("z", dist.Normal(slope * observations["x"], 0.7))

    def steps() -> list[float]:
        fresh()
        csis = CSIS(observed, amortised, pyro.optim.Adam({"lr": 0.05}), training_batch_size=2)
        return [csis.step(observations={"x": torch.tensor(0.5)}) for _ in range(4)]

    plain = steps()
    with tui_elbo.watch_all() as handle:
        assert steps() == plain
        with attached(handle.id) as terminal:
            handle.close()
            rest(terminal)
    seen = history(terminal.seen)
    assert column(seen, "loss") == plain
    assert seen.values(Column("param", "slope", "value[0]"))[-1] == pyro.param("slope").item()
    assert not any("sites" in str(one) for one in seen.columns)
