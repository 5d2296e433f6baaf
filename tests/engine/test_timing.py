"""A step that is timed is the same step, and its parts add up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, RenyiELBO, Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal, AutoNormalMessenger

import tui_elbo
from tests.engine.scripts import Script, attached, fresh, simple
from tests.runtime import runtime_folder
from tui_elbo.engine.record import timing
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.script import script_session
from tui_elbo.engine.script.script_stepper import ScriptStepper
from tui_elbo.protocol import StepTimed

DATA = torch.tensor([1.0, 2.0, 0.5])


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    fresh()
    with runtime_folder() as folder:
        yield folder
        script_session.let_all_go()


def model(data: torch.Tensor) -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)


CASES: list[tuple[Any, Any]] = [
    (AutoNormal, Trace_ELBO(num_particles=2)),
    (AutoNormal, TraceMeanField_ELBO()),
    (AutoNormal, TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)),
    (AutoNormal, RenyiELBO(num_particles=2)),
    (AutoNormal, Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)),
    (AutoNormalMessenger, Trace_ELBO()),
]


def losses(guide: Any, loss: Any, step: Callable[[SVI], float]) -> list[Any]:
    fresh()
    svi = SVI(model, guide(model), pyro.optim.Adam({"lr": 0.05}), loss)
    found: list[Any] = [step(svi) for _ in range(5)]
    store = pyro.get_param_store()
    return [found, {name: store[name].tolist() for name in store}, torch.rand(3).tolist()]


@pytest.mark.parametrize(("guide", "loss"), CASES)
def test_a_step_that_is_timed_is_the_plain_one(guide: Any, loss: Any) -> None:
    options = RecordingOptions()
    steppers: list[ScriptStepper] = []

    def timed(svi: SVI) -> float:
        if not steppers:
            steppers.append(ScriptStepper(svi, options))
        options.timer.arm()
        result, seen = steppers[0].step(svi.step, (DATA,), {}, due=True, between=0.25)
        assert seen is not None
        return float(result)

    assert losses(guide, loss, timed) == losses(guide, loss, lambda svi: float(svi.step(DATA)))
    report = options.timer.report(5)
    assert report is not None
    assert report.count == 5
    assert report.memory > 1e7
    assert report.peak >= report.memory / 2
    parts = {part.name: part.seconds for part in report.parts}
    inner = {"model and guide"} if guide is AutoNormalMessenger else {"guide", "model"}
    assert parts.keys() >= inner | {"between steps", "gradient", "optimiser", "other", "elbo-tui"}
    assert parts["between steps"] == 0.25
    assert all(seconds > 0 for seconds in parts.values())


def test_the_parts_of_a_step_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr(timing, "time", clock)
    options = RecordingOptions()
    svi = simple()
    stepper = ScriptStepper(svi, options)
    options.timer.arm()
    began = next(ticks)
    stepper.step(svi.step, (), {}, due=False)
    ended = next(ticks)
    report = options.timer.report(1)
    assert report is not None
    assert sum(part.seconds for part in report.parts) == ended - began - 2
    assert not options.timer.on


def test_no_step_is_timed_where_nobody_looks() -> None:
    svi = simple()
    with tui_elbo.watch(svi, "mine", lens=False):
        for _ in range(20):
            svi.step()
        with Script(svi), attached("mine") as terminal:
            assert not any(isinstance(event, StepTimed) for event in terminal.seen)
            timed = terminal.until(StepTimed)
            assert "between steps" in {part.name for part in timed.parts} or timed.count == 1


def test_of_a_loop_that_updates_by_itself_it_is_timed_as_well() -> None:
    def loop_guide() -> None:
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-3.0)), 1.0))

    def loop_model() -> None:
        pyro.sample("z", dist.Normal(0.0, 1.0))

    with tui_elbo.watch_all() as handle:
        elbo, optimizers = Trace_ELBO(), list[torch.optim.Optimizer]()

        def step() -> float:
            loss = elbo.differentiable_loss(loop_model, loop_guide)
            if not optimizers:
                leaves = [leaf for _, leaf in pyro.get_param_store().named_parameters()]
                optimizers.append(torch.optim.Adam(leaves, lr=0.05))
            optimizers[0].zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizers[0].step()
            return loss.item()

        step()
        script = Script(SimpleNamespace(step=step))  # type: ignore[arg-type]
        with script, attached(handle.id) as terminal:
            timed = terminal.until(StepTimed)
            names = {part.name for part in timed.parts}
            assert names >= {"guide", "model", "gradient", "optimiser", "elbo-tui"}
