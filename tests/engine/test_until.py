"""A run until a condition: it stands on the first step that meets it, and on no later one."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import ran
from tui_elbo.cli import main
from tui_elbo.engine.record.options import Always, Every
from tui_elbo.engine.session import Session
from tui_elbo.model.conditions import parse
from tui_elbo.model.records import Batch, Column, Layout

CHANGING = """
import torch, pyro, pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import Trace_ELBO

x = torch.tensor([1.0, 2.0, 0.5])

def model(step):
    z = pyro.sample("z", dist.Normal(torch.zeros(20), 1.0).to_event(1))
    if step % 3 == 0:
        pyro.sample("late", dist.Normal(0.0, pyro.param("sigma", torch.ones(()))))
    with pyro.plate("data", 3):
        pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=x)

def guide(step):
    loc = pyro.param("loc", torch.zeros(20))
    scale = pyro.param("scale", torch.ones(2), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale.mean()).to_event(1))
    if step % 3 == 0:
        pyro.sample("late", dist.Normal(pyro.param("tilt", torch.zeros(2)).sum(), 1.0))

def batch(step):
    return (step,)

optimizer = pyro.optim.Adam({"lr": 0.02})
"""
OTHERS = {
    "Trace_ELBO": "loss = Trace_ELBO(num_particles=3)",
    "vectorised": "loss = Trace_ELBO(num_particles=3, vectorize_particles=True)",
    "enumerating": "loss = pyro.infer.TraceEnum_ELBO(max_plate_nesting=1)",
    "wake-sleep": "loss = pyro.infer.ReweightedWakeSleep(2, vectorize_particles=False)",
    "compiled": """
loss = pyro.infer.JitTrace_ELBO()
stepwise = model, guide
model, guide = (lambda: stepwise[0](1)), (lambda: stepwise[1](1))
def batch(step):
    return ()
""",
}


def written(folder: Path, tail: str = "") -> str:
    path = folder / "changing.py"
    path.write_text(CHANGING + tail)
    return str(path)


@pytest.mark.parametrize("tail", OTHERS.values(), ids=list(OTHERS))
@pytest.mark.filterwarnings("ignore")
def test_what_a_condition_reads_is_what_the_record_will_say(tmp_path: Path, tail: str) -> None:
    session = Session(written(tmp_path, tail))
    session.due = Every(2)
    peeked: dict[tuple[int, Column], float] = {}

    def note(layout: Layout, step: int, numbers: object) -> bool:
        peeked.update({(step, c): numbers(c) for c in layout.columns})  # type: ignore[operator]
        return False

    session.until = note
    batches = session.advance(7)
    assert not session.met
    recorded = {
        (batch.first + i, column): batch.values[row, i]
        for batch in batches
        for row, column in enumerate(batch.layout.columns)
        for i in range(batch.steps)
    }
    assert peeked.keys() == recorded.keys()
    for key, value in recorded.items():
        np.testing.assert_allclose(peeked[key], value, rtol=1e-13, atol=0, err_msg=str(key))


@pytest.mark.parametrize(
    "text",
    [
        "17",
        "elbo > -25 and step > 3",
        'params["loc"].mean > 0.02',
        'params["scale"][0] < 0.95',
        'sites["late"].log_q > sites["late"].log_p',
        'params["tilt"].grad_norm > 1',
        "grad_norm > 300 or step == 40",
        "not (step < 20)",
    ],
)
def test_it_stands_on_the_first_step_that_meets_it(tmp_path: Path, text: str) -> None:
    condition, plain = parse(text), Session(written(tmp_path))
    plain.due = Always()
    batches = plain.advance(60)
    wanted = first_of(batches, text)
    session = Session(written(tmp_path))
    session.due = Always()
    session.until = condition.met
    seen: list[Batch] = []
    while not session.met and session.steps_taken < 60:
        seen += session.advance(25)
    assert session.met
    assert session.steps_taken == wanted
    assert sum(batch.steps for batch in seen) == wanted
    losses = [batch.values[batch.layout.index[Column("step", "", "loss")]] for batch in seen]
    all_losses = [b.values[b.layout.index[Column("step", "", "loss")]] for b in batches]
    assert np.concatenate(losses).tolist() == np.concatenate(all_losses).tolist()[:wanted]


def first_of(batches: list[Batch], text: str) -> int:
    condition = parse(text)
    holds = itertools.chain(*(condition.holds(batch).tolist() for batch in batches))
    return list(holds).index(True) + 1


def test_the_steps_before_come_in_batches_and_not_singly() -> None:
    session = Session("no_theta")
    session.until = parse("elbo > 1e9").met
    assert [batch.steps for batch in session.advance(50)] == [50]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    code, out, err = ran("run", *words)
    return subprocess.CompletedProcess(words, code, out, err)


def test_the_command_stops_there_and_says_why() -> None:
    ran = run("no_theta", "--json", "--every", "50", "--until", 'params["loc"] > -2.7')
    assert ran.returncode == 0
    last, verdict = map(json.loads, ran.stdout.splitlines())
    assert [*verdict] == ["verdict"]
    value = last["params"]["loc"]["value"]
    assert value > -2.7
    told = f'met at step {last["step"]}: params["loc"] = {value:.6g} > -2.7'
    assert f'--until params["loc"] > -2.7: {told}\n' in ran.stderr


@pytest.mark.slow
def test_the_command_says_when_it_was_not_met() -> None:
    ran = run("no_theta", "--json", "--steps", "3", "--until", "-2 < elbo < -1")
    assert (ran.returncode, len(ran.stdout.splitlines())) == (0, 3 + 1)
    assert "--until -2 < elbo < -1: not met in 3 steps" in ran.stderr


@pytest.mark.slow
def test_the_command_refuses_a_name_that_the_run_has_not() -> None:
    ran = run("no_theta", "--json", "--until", 'params["lok"] > 1')
    assert (ran.returncode, ran.stdout) == (2, "")
    assert 'did you mean params["loc"]?' in ran.stderr


@pytest.mark.parametrize("text", ["elbo >> 1", "elbo", ""])
def test_the_command_refuses_what_is_no_condition(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "no_theta", "--until", text]) == 2
    assert "elbo > " in capsys.readouterr().err


@pytest.mark.slow
def test_a_loss_that_is_not_finite_keeps_its_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(
        "import torch, pyro\nimport pyro.distributions as dist\n"
        "def model(step):\n    pyro.sample('z', dist.Normal(0.0, 1.0))\n"
        "    pyro.factor('f', torch.tensor(float('-inf') if step == 4 else 0.0))\n"
        "def guide(step):\n    pyro.sample('z', dist.Normal(pyro.param('m', torch.ones(())), 1))\n"
        "def batch(step):\n    return (step,)\n"
    )
    ran = run(str(path), "--csv", "--until", "not finite(loss)")
    assert ran.returncode == 3
    assert "met at step 4: not finite(loss = inf)" in ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("4,,,")
