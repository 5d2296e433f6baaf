"""One parameter looked at closely: its values, and the gradient that the optimiser received."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.compare import assert_same, watched_run
from tests.engine.local import Local
from tests.engine.oracle import Particles, plain_steps
from tests.engine.plain import plain_run
from tests.engine.sources import HEAD, write
from tui_elbo.engine.record import inspection
from tui_elbo.engine.record.inspection import BINS, histogram, summary
from tui_elbo.engine.session import Session
from tui_elbo.protocol import InspectParam, ParamInspected, Pause, Restart, RewindTo, RunUntil, Step

CLIPPED = f"""{HEAD}
from torch.distributions import constraints
from pyro.infer import Trace_ELBO
loss = Trace_ELBO()
optimizer = pyro.optim.ClippedAdam(dict(lr=0.05, clip_norm=1e-3))

def model():
    with pyro.plate("points", 40):
        pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    pyro.param("stale", torch.ones(3))
    scale = pyro.param("scale", torch.linspace(0.5, 2.0, 40), constraint=constraints.positive)
    matrix = pyro.param("matrix", torch.ones(2, 2), constraint=constraints.positive)
    with pyro.plate("points", 40):
        pyro.sample("z", dist.Normal(matrix.sum(), scale))
"""


def told(local: Local, before: int = 0) -> list[ParamInspected]:
    return [event for event in local.events[before:] if isinstance(event, ParamInspected)]


def test_the_values_and_the_gradient_are_those_of_the_plain_loop(tmp_path: Path) -> None:
    path = write(tmp_path, CLIPPED)
    plain = plain_steps(str(path), 3, Particles(), lazy=True)
    local = Local(path)
    local.ask(InspectParam(name="scale"))
    for step, seen in enumerate(plain, 1):
        local.ask(Step())
        newest = told(local)[-1]
        assert (newest.name, newest.step, newest.note) == ("scale", step, "")
        assert newest.constrained == summary(seen.values["scale"].double().numpy())
        assert newest.unconstrained == summary(seen.after["scale"].double().numpy())
        assert newest.gradient == histogram(seen.grads["scale"].double().numpy())
        assert seen.grads["scale"].abs().max() > 1e-3, "clipped by the optimiser alone"
    local.ask(InspectParam(name="matrix"))
    local.ask(Step())
    newest = told(local)[-1]
    assert newest.constrained is not None
    assert len(newest.constrained.elements) == newest.constrained.size == 4


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    local = Local(write(tmp_path, CLIPPED))
    notes = [
        local.ask(InspectParam(name="scale")),
        local.ask(Step()),
        local.ask(InspectParam(name="stale")),
    ]
    notes += [
        local.ask(Step()),
        local.ask(InspectParam(name="no such")),
        local.ask(InspectParam(name="")),
    ]
    found = [[e.note for e in events if isinstance(e, ParamInspected)] for events in notes]
    assert found[0] == [inspection.UNMADE]
    # Once when the command is carried out, once after the step.
    assert found[1] == [inspection.UNMADE, ""]
    assert found[2] == [inspection.LATER]
    assert found[3] == [inspection.LATER, inspection.UNREACHED]
    assert found[4] == [inspection.ABSENT]
    assert found[5] == []
    assert [e for e in local.ask(Step()) if isinstance(e, ParamInspected)] == []


def test_inspecting_survives_steps_back_and_restarts(tmp_path: Path) -> None:
    local = Local(write(tmp_path, CLIPPED))
    local.ask(InspectParam(name="scale"))
    local.ask(RunUntil(until=6))
    at_six = told(local)[-1]
    local.ask(RewindTo(step=2))
    back = told(local)[-1]
    assert back.step == 2
    local.ask(RunUntil(until=6))
    assert told(local)[-1] == at_six
    local.ask(Restart())
    assert (told(local)[-1].step, told(local)[-1].note) == (0, inspection.UNMADE)
    local.ask(RunUntil(until=6))
    assert told(local)[-1] == at_six


def test_it_is_reported_after_each_burst_and_each_command(tmp_path: Path) -> None:
    local = Local(write(tmp_path, CLIPPED))
    local.ask(InspectParam(name="scale"))
    before = len(local.events)
    local.source.handle(RunUntil())
    for _ in range(3):
        local.source.work()
    local.source.handle(Pause())
    steps = [event.step for event in told(local, before)]
    assert len(steps) == 5
    assert steps[0] == 0
    assert steps[-2] == steps[-1] > 0


def test_after_a_failed_step_it_is_what_the_last_good_one_left(tmp_path: Path) -> None:
    text = CLIPPED.replace("def guide():\n", "def guide(step):\n    assert step != 3\n")
    text = text.replace("def model():", "def batch(step): return (step,)\ndef model(step):")
    path = write(tmp_path, text)
    local = Local(path)
    local.ask(InspectParam(name="scale"))
    local.ask(RunUntil())
    assert [fault.kind for fault in local.faults()] == ["step"]
    local.ask(InspectParam(name="scale"))
    session = Session(str(path))
    session.options.inspected = "scale"
    session.advance(2)
    assert told(local)[-1] == session.inspected()
    assert told(local)[-1].step == 2


def test_inspecting_changes_nothing(tmp_path: Path) -> None:
    path = str(write(tmp_path, CLIPPED))
    plain = plain_run(path, 4)
    session = Session(path)
    session.options.inspected = "scale"
    records = []
    for _ in range(4):
        records.append(session.step())
        assert session.inspected() is not None
    run = watched_run(path, 4)
    assert [msgspec.structs.replace(record, seconds=0.0) for record in records] == [
        msgspec.structs.replace(record, seconds=0.0) for record in run.records
    ]
    assert_same(plain, run)


NUMBER = st.one_of(
    st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 1.7e308, -1.7e308, 5e-324])
)


@settings(max_examples=300)
@given(st.lists(NUMBER, max_size=60))
def test_any_histogram_counts_each_element_once(data: list[float]) -> None:
    found = histogram(np.array(data, dtype=float))
    finite = [x for x in data if math.isfinite(x)]
    assert sum(found.counts) + found.broken == len(data)
    assert sum(found.counts) == len(finite)
    if not finite:
        assert found.counts == ()
        return
    assert (found.low, found.high) == (min(finite), max(finite))
    assert len(found.counts) in (1, BINS)
    if len(found.counts) == BINS:
        assert found.counts[0] > 0
        assert found.counts[-1] > 0
    told = summary(np.array(data, dtype=float))
    assert (told.size, told.broken) == (len(data), len(data) - len(finite))
    assert (told.min, told.max) == (min(finite), max(finite))
    assert len(told.elements) == (len(data) if len(data) <= 16 else 0)


def test_a_histogram_has_bins_of_one_width() -> None:
    found = histogram(np.array([0.0, 1.0, 1.5, 23.9, 24.0, np.nan, np.inf]))
    assert found.counts == (1, 2, *[0] * 20, 2)[:1] + (2,) + (0,) * 21 + (2,)
    assert (found.low, found.high, found.broken) == (0.0, 24.0, 2)
    assert histogram(np.full(5, 3.0)).counts == (5,)


def test_an_embedding_without_zeros_is_watched(tmp_path: Path) -> None:
    text = f"""{HEAD}
optimizer = pyro.optim.SGD(dict(lr=0.1))
table = torch.nn.Embedding(30, 2, sparse=True)
few = torch.nn.Embedding(3, 2, sparse=True)

def model():
    pyro.module("table", table)
    pyro.module("few", few)
    mean = table(torch.tensor([1, 4])) + few(torch.tensor([0, 2]))
    pyro.sample("x", dist.Normal(mean, 1.0).to_event(2), obs=torch.zeros(2, 2))

def guide():
    pass
"""
    path = str(write(tmp_path, text))
    plain = plain_run(path, 3)
    run = watched_run(path, 3)
    assert [record.loss for record in run.records] == plain.losses
    for name in ("table$$$weight", "few$$$weight"):
        norm = run.records[-1].params[name].grad_norm
        assert norm is not None
        assert norm > 0.0
    session = run.session
    session.options.inspected = "table$$$weight"
    session.step()
    told = session.inspected()
    assert told is not None
    assert told.gradient is not None
    assert sum(told.gradient.counts) == 60
    assert torch.is_grad_enabled()
