"""Going back and forth gives the same records, bit for bit."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.engine.matrix import write
from tests.engine.specials import SPECIALS
from tests.engine.wander import untimed, wander
from tui_elbo.engine.session import Session
from tui_elbo.errors import StepError, UsageError

GALLERY = ["no_theta", "learned_prior", "hyperprior_map", "network"]


@pytest.mark.parametrize("memory", [2**26, 30_000, 0])
@pytest.mark.parametrize("target", GALLERY)
def test_back_and_forth_at_random_gives_the_same_records(target: str, memory: int) -> None:
    told: list[str] = []
    session = Session(target, checkpoint_memory=memory, warn=told.append)
    wander(session, 25, 6)
    assert told == []


def tensors() -> Counter[type]:
    gc.collect()
    kinds = map(type, gc.get_objects())
    return Counter(k for k in kinds if issubclass(k, torch.Tensor | torch.optim.Optimizer))


@pytest.mark.parametrize("times", [40, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scenario", ["no_theta", "baseline-average"])
def test_no_tensor_and_no_optimiser_is_gained_by_many_rewinds(
    scenario: str, times: int, tmp_path: Path
) -> None:
    target = SPECIALS.get(scenario)
    path = scenario if target is None else write(tmp_path, target)
    session = Session(path, checkpoint_memory=2**26)
    session.advance(12)
    counts = []
    for rewinds in (10, times - 10):
        for _ in range(rewinds):
            session.go_to(11)
            session.advance(1)
        counts.append((tensors(), session.checkpoint_bytes))
    assert counts[0] == counts[1]


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
