"""Going back and forth gives the same records, bit for bit."""

from __future__ import annotations

import gc
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.engine import matrix
from tests.engine.sources import small, write
from tests.engine.specials import SPECIALS
from tests.engine.wander import untimed, wander
from tui_elbo.engine.rewind import replay as track
from tui_elbo.engine.rewind import replay_log
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import StepError, UsageError
from tui_elbo.protocol import RunFlagged

GALLERY = ["no_theta", "learned_prior", "hyperprior_map", "network"]
SLOWER = ["learned_prior", "hyperprior_map"]


@pytest.mark.parametrize("memory", [2**26, 30_000, 0])
@pytest.mark.parametrize(
    "target",
    [pytest.param(x, marks=pytest.mark.slow) if x in SLOWER else x for x in GALLERY],
)
def test_back_and_forth_at_random_gives_the_same_records(target: str, memory: int) -> None:
    told: list[str] = []
    session = Session(target, checkpoint_memory=memory, warn=told.append)
    wander(session, 25, 6)
    assert all("--checkpoint-memory is 30,000" in text for text in told)
    # Modules that other tests have left alive belong to a state, too, and may make it large.
    assert bool(told) >= (target == "network" and memory == 30_000)
    assert bool(told) <= (memory == 30_000)


def test_a_budget_smaller_than_a_checkpoint_works_and_says_so() -> None:
    told: list[str] = []
    session = Session("no_theta", checkpoint_memory=1000, warn=told.append)
    wander(session, 8, 2)
    assert session.checkpoint_bytes == 0
    assert len(told) == 1
    assert "--checkpoint-memory is 1,000: going back runs the steps again from the first" in told[0]


def test_checkpoints_that_take_long_are_not_kept_at_each_step_by_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of thousands of parameters each would take as long as half a step."""
    monkeypatch.setattr(replay_log, "NOTICED", 0.0)
    rare = Session("no_theta", checkpoint_memory=2**26)
    wander(rare, 25, 6)
    rare = Session("no_theta", checkpoint_memory=2**26)
    for _ in range(10):
        rare.step()
    slow = rare.checkpoint_bytes
    monkeypatch.undo()
    often = Session("no_theta", checkpoint_memory=2**26)
    for _ in range(10):
        often.step()
    assert 0 < slow < often.checkpoint_bytes


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
    path = scenario if target is None else matrix.write(tmp_path, target)
    session = Session(path, checkpoint_memory=2**26)
    session.advance(12)
    counts = []
    for rewinds in (10, times - 10):
        for _ in range(rewinds):
            session.go_to(11)
            session.advance(1)
        # How many iterates are kept of twelve steps depends on how long the steps took.
        session.iterates.changed(session.steps_taken)
        counts.append((tensors(), session.checkpoint_bytes))
    assert not counts[1][0] - counts[0][0]
    assert counts[0][1] == counts[1][1]


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
    told: list[RunFlagged] = []
    session = Session(str(path), flag=told.append)
    records = [session.step() for _ in range(9)]
    with pytest.raises(StepError) as stopped:
        session.go_to(6)
    said = f"step 1, run again, gave loss .*, and the record has {records[0].loss!r}"
    assert re.match(said, stopped.value.what)
    assert "the run stays at step 9" in stopped.value.hint
    assert session.steps_taken == 9
    assert not session.repeatable
    session.go_to(6)
    session.go_to(3)
    assert session.steps_taken == 3
    assert [flag.kind for flag in told] == ["unrepeatable"]
    session.restart()
    assert session.repeatable


@pytest.mark.parametrize("kind", ["raise ValueError('now')", "raise KeyboardInterrupt"])
def test_rewinding_that_fails_leaves_the_run_where_it_stood(tmp_path: Path, kind: str) -> None:
    text = f"""
def batch(step):
    if step == 3 and __import__("pathlib").Path(__file__).with_name("bad").exists(): {kind}
    return ()
"""
    path = write(tmp_path, small(tail=text)).as_posix()
    plain = Session(path)
    wanted = [untimed(plain.step()) for _ in range(12)]
    session = Session(path, checkpoint_memory=45_000)
    found = [untimed(session.step()) for _ in range(9)]
    (tmp_path / "bad").touch()
    made = session.scenario
    for _ in range(2):
        with pytest.raises((StepError, KeyboardInterrupt)):
            session.go_to(4)
        assert session.steps_taken == 9
    assert session.scenario is made
    (tmp_path / "bad").unlink()
    assert found + [untimed(session.step()) for _ in range(3)] == wanted
    assert session.repeatable


def test_steps_run_again_can_be_broken_off_between_two_of_them(tmp_path: Path) -> None:
    text = "asked = []\ndef batch(step):\n    asked.append(step)\n    return ()\n"
    path = write(tmp_path, small(tail=text)).as_posix()
    session = Session(path, busy=lambda _: session.interrupt())
    session.advance(9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(track, "WORD_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            session.go_to(8)
    assert session.steps_taken == 9
    record = session.step()
    plain = Session(path)
    plain.advance(9)
    assert untimed(record) == untimed(plain.step())


def test_a_file_edited_since_is_reported_once_and_the_run_keeps_to_what_it_was(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, small())
    told: list[RunFlagged] = []
    session = Session(str(path), checkpoint_memory=45_000, flag=told.append)
    records = [untimed(session.step()) for _ in range(9)]
    path.touch()
    session.go_to(8)
    assert told == []
    path.write_text(small().replace("0.5", "5.0"))
    for to in (6, 0, 3):
        session.go_to(to)
        assert [untimed(session.step()) for _ in range(9 - to)] == records[to:]
    assert [flag.kind for flag in told] == ["source"]
    assert "scenario.py changed since the run began" in told[0].text
    assert "R reloads it" in told[0].text
    session.restart()
    assert untimed(session.step()) != records[0]


def test_a_changed_module_beside_the_file_cannot_be_executed_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, "obs = 0.5\n", "parts.py")
    text = small(head="from parts import obs\n").replace("torch.tensor(0.5)", "torch.tensor(obs)")
    session = Session(str(write(tmp_path, text)), checkpoint_memory=2**26)
    records = [untimed(session.step()) for _ in range(9)]
    write(tmp_path, "obs = 5.0\n", "parts.py")
    session.go_to(4)
    with pytest.raises(UsageError, match=r"parts.py has changed") as refused:
        session.go_to(0)
    assert refused.value.hint == "R reloads it; step 1 can be gone back to"
    assert session.steps_taken == 4
    assert [untimed(session.step()) for _ in range(5)] == records[4:]
