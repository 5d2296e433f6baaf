"""Runs of unusual shape: no parameter, no latent, other sites at each step, very many sites."""

from __future__ import annotations

import gc
import io
import json
from pathlib import Path

import msgspec
import pytest

from tests.engine.compare import assert_same, watched_run
from tests.engine.local import Local
from tests.engine.many import many
from tests.engine.plain import plain_run
from tests.engine.sources import HEAD, write
from tui_elbo.cli.report import JsonLines
from tui_elbo.engine.record.columns import MOST
from tui_elbo.engine.session import Session
from tui_elbo.model.records import Layout, StepRecord
from tui_elbo.protocol import InspectParam, Restart, RewindTo, Step, WatchParams

NO_PARAMETER = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

def guide():
    pyro.sample("z", dist.Normal(0.2, 0.7))
"""
NO_LATENT = """
def model():
    a = pyro.param("a", torch.tensor(0.0))
    pyro.sample("x", dist.Normal(a, 1.0), obs=torch.tensor(0.5))

def guide():
    pass
"""
NOTHING = """
def model():
    pass

def guide():
    pass
"""
CHANGING = """
def batch(step):
    return (step,)

def model(step):
    z = pyro.sample(f"z{step % 3}", dist.Normal(0.0, 1.0))
    if step % 2:
        z = z + pyro.param("odd", lambda: torch.tensor(0.3))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

def guide(step):
    loc = pyro.param(f"loc{step % 3}", lambda: torch.tensor(0.1))
    pyro.sample(f"z{step % 3}", dist.Normal(loc, 0.7))
"""
ALWAYS_NEW = CHANGING.replace("step % 3", "step").replace('f"loc{step}"', '"loc"')
SHAPES = {
    **{"no-parameter": NO_PARAMETER, "no-latent": NO_LATENT, "nothing": NOTHING},
    **{"changing": CHANGING, "always-new": ALWAYS_NEW, "many": many(100, sites=40)},
}


VERY_MANY = pytest.param("very-many", marks=pytest.mark.slow)
SHAPES["very-many"] = many(5_000, sites=300)


@pytest.mark.parametrize("name", [*list(SHAPES)[:-1], VERY_MANY])
def test_a_session_a_printer_and_the_engine_say_the_same(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + SHAPES[name])
    run = watched_run(str(path), 7)
    assert_same(plain_run(str(path), 7), run)
    records = [untimed(record) for record in run.records]

    session, out = Session(str(path)), io.StringIO()
    printer = JsonLines(out, 1, 7)
    printer.take(session.advance(7), last=True)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    printed = [untimed(msgspec.convert(line, StepRecord)) for line in lines]
    assert list(map(encoded, printed)) == list(map(encoded, records))

    local = Local(path)
    names = tuple(records[-1].params)[:1]
    local.ask(WatchParams(names=names))
    local.ask(InspectParam(name="".join(names)))
    local.ask(Step(count=5))
    local.ask(RewindTo(step=2))
    before = len(local.batches)
    local.ask(Step(count=5))
    told = [untimed(record) for batch in local.batches[before:] for record in batch.records()]
    assert told == records[2:]
    local.ask(Restart())
    local.ask(Step())
    assert untimed(local.batches[-1].records()[-1]) == records[0]
    assert local.faults() == []


def untimed(record: StepRecord) -> StepRecord:
    return msgspec.structs.replace(record, seconds=0.0)


def encoded(record: StepRecord) -> bytes:
    return msgspec.json.encode(record)


def test_without_a_parameter_nothing_moves_and_all_is_reported(tmp_path: Path) -> None:
    records = watched_run(str(write(tmp_path, HEAD + NO_PARAMETER)), 3).records
    assert [(record.params, record.modules) for record in records] == [({}, {})] * 3
    assert all(record.sites["z"].log_q is not None for record in records)


def test_without_a_latent_log_q_is_nothing(tmp_path: Path) -> None:
    record = watched_run(str(write(tmp_path, HEAD + NO_LATENT)), 1).records[0]
    assert (record.log_q, record.elbo) == (0.0, record.log_p)
    record = watched_run(str(write(tmp_path, HEAD + NOTHING)), 1).records[0]
    assert (record.loss, record.elbo, record.log_p, record.log_q) == (0.0, 0.0, 0.0, 0.0)
    assert (record.sites, record.params) == ({}, {})


def test_steps_that_alternate_have_a_few_layouts(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, HEAD + CHANGING)))
    layouts = [batch.layout for batch in session.advance(100) for _ in range(batch.steps)]
    # The parameters come one by one; then it is the sites alone, and which have a gradient.
    assert len({layout.id for layout in layouts}) <= 12
    assert [layout.id for layout in layouts[-12:-6]] == [layout.id for layout in layouts[-6:]]


def test_layouts_that_never_come_again_are_forgotten(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, HEAD + ALWAYS_NEW)))
    steps = 2 * MOST + 20
    made: set[int] = set()
    while session.steps_taken < steps:
        made |= {batch.layout.id for batch in session.advance(50)}
    assert len(made) == session.steps_taken
    gc.collect()
    alive = sum(type(thing) is Layout for thing in gc.get_objects())
    assert alive <= MOST + 50
