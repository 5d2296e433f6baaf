"""Going back and forth gives the same records, bit for bit."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from tui_elbo.engine.session import Session
from tui_elbo.errors import StepError, UsageError
from tui_elbo.records import StepRecord

GALLERY = ["no_theta", "learned_prior", "hyperprior_map", "network"]


def untimed(record: StepRecord) -> bytes:
    """The record's exact numbers, but for the time it took."""
    return msgspec.json.encode(msgspec.structs.replace(record, seconds=0.0))


@pytest.mark.parametrize("memory", [2**26, 30_000, 0])
@pytest.mark.parametrize("target", GALLERY)
def test_back_and_forth_at_random_gives_the_same_records(target: str, memory: int) -> None:
    told: list[str] = []
    session = Session(target, checkpoint_memory=memory, warn=told.append)
    records = [untimed(session.step()) for _ in range(25)]
    chance = random.Random(7)
    for to in [0, 25, 13, 13, *(chance.randint(0, 25) for _ in range(6))]:
        session.go_to(min(to, session.steps_taken))
        for _ in range(min(chance.randint(1, 12), 25 - session.steps_taken)):
            record = session.step()
            assert untimed(record) == records[record.step - 1]
    assert session.repeatable
    assert told == []


def test_no_optimiser_and_no_checkpoint_is_gained_by_going_back_often() -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    session.advance(30)
    size, optimisers = session.checkpoint_bytes, len(session.scenario.optimizer.optim_objs)
    for _ in range(100):
        session.go_to(20)
        session.advance(10)
    assert len(session.scenario.optimizer.optim_objs) == optimisers
    assert session.checkpoint_bytes == size


def test_there_is_no_step_before_the_first_or_after_the_last() -> None:
    session = Session("no_theta")
    session.advance(3)
    for step in (-1, 4):
        with pytest.raises(UsageError, match="there is no step"):
            session.go_to(step)
    assert session.steps_taken == 3


FAILS_AND_DRAWS = """
import pathlib, torch, pyro, pyro.distributions as dist
def model():
    z = pyro.sample("z", dist.Normal(0., 1.))
    fails = pathlib.Path(__file__).with_name("fails")
    if fails.exists() and int(fails.read_text()) == model.at:
        torch.rand(3)
        raise ValueError("not yet")
    pyro.sample("x", dist.Normal(z, 1.), obs=torch.tensor(1.))
model.at = 0
def batch(step):
    model.at = step
    return ()
def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.)), 1.))
"""


@pytest.mark.parametrize("memory", [2**26, 0])
def test_a_failed_step_is_retried_from_the_state_before_it(tmp_path: Path, memory: int) -> None:
    path = tmp_path / "fails_and_draws.py"
    path.write_text(FAILS_AND_DRAWS)
    plain = Session(str(path))
    wanted = [untimed(plain.step()) for _ in range(12)]
    (tmp_path / "fails").write_text("7")
    session = Session(str(path), checkpoint_memory=memory)
    found = [untimed(session.step()) for _ in range(6)]
    for _ in range(2):
        with pytest.raises(StepError, match="step 7 raised ValueError: not yet"):
            session.step()
        assert session.steps_taken == 6
    (tmp_path / "fails").unlink()
    found += [untimed(session.step()) for _ in range(6)]
    assert found == wanted


COUNTS = """
import torch, pyro, pyro.distributions as dist
calls = torch.__dict__.setdefault("calls_that_outlive_the_file", [])
def model():
    calls.append(1)
    z = pyro.sample("z", dist.Normal(0., 1.))
    pyro.sample("x", dist.Normal(z, 1.), obs=torch.tensor(float(len(calls))))
def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.)), 1.))
"""


def test_a_model_that_keeps_state_in_python_is_found_out_once(tmp_path: Path) -> None:
    path = tmp_path / "counts.py"
    path.write_text(COUNTS)
    told: list[str] = []
    session = Session(str(path), warn=told.append)
    for _ in range(9):
        session.step()
    for step in (6, 3):
        session.go_to(step)
    assert not session.repeatable
    assert len(told) == 1
    assert "run again, gave loss" in told[0]
