"""Numbers on another device are read in batches, never one by one; a fake one stands for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO

import tui_elbo
from tests.engine.client import history
from tests.engine.scripts import attached, fresh, rest, simple
from tests.runtime import runtime_folder
from tui_elbo.engine.record import numbers
from tui_elbo.engine.script import script_session, script_source
from tui_elbo.model.records import Column

READS = ("item", "tolist", "__float__", "__bool__", "__int__", "cpu", "numpy")
"""What waits for the device, on a tensor."""

STEPS = 30


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(script_session, "CHECKED", 0)
    monkeypatch.setattr(script_source, "ALONE_SECONDS", 1e9)
    with runtime_folder() as folder:
        yield folder
        script_session.let_all_go()


def by_svi() -> Callable[[], object]:
    return simple().step


def by_hand() -> Callable[[], object]:
    elbo, optimizers = Trace_ELBO(), list[torch.optim.Optimizer]()

    def model() -> None:
        pyro.sample("z", dist.Normal(0.0, 1.0))

    def guide() -> None:
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-3.0)), 1.0))

    def step() -> None:
        loss = elbo.differentiable_loss(model, guide)
        if not optimizers:
            leaves = [leaf for _, leaf in pyro.get_param_store().named_parameters()]
            optimizers.append(torch.optim.SGD(leaves, lr=0.05))
        optimizers[0].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers[0].step()

    return step


def reads_of(make: Callable[[], Callable[[], object]], monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a tensor is read in some steps, the first few aside."""
    fresh()
    step, count = make(), 0
    for _ in range(5):
        step()
    with monkeypatch.context() as patched:
        for name in READS:
            original = getattr(torch.Tensor, name)

            def counted(*args: Any, original: Any = original, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                return original(*args, **kwargs)

            patched.setattr(torch.Tensor, name, counted)
        for _ in range(STEPS):
            step()
    return count


@pytest.mark.parametrize("make", [by_svi, by_hand])
def test_no_step_waits_for_the_device_and_the_numbers_are_the_same(
    make: Callable[[], Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = reads_of(make, monkeypatch)
    found = []
    for near in (True, False):
        with monkeypatch.context() as patched:
            patched.setattr(numbers, "is_near", lambda _, near=near: near)
            with tui_elbo.watch_all() as handle:
                reads = reads_of(make, monkeypatch)
                with attached(handle.id) as terminal:
                    handle.close()
                    rest(terminal)
            found.append(history(terminal.seen))
            assert (reads == plain) is not near
    here, there = found
    assert here.last == there.last
    for column in here.columns:
        if column != Column("step", "", "seconds"):
            assert there.values(column).tolist() == pytest.approx(
                here.values(column).tolist(), nan_ok=True
            )
