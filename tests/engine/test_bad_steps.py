"""Steps that fail, and models that do what a model should not: the run stands where it stood."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.engine.compare import WatchedRun, assert_same, watched_run
from tests.engine.plain import plain_run
from tests.engine.sources import GUIDE, HEAD, indented, small, write
from tui_elbo.engine.checks.static import checked
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import StepError
from tui_elbo.model.records import StepRecord

# Nothing of this draws, so a run of it is that of `SMALL`.
WHEN_7 = """
import pathlib, sys
stop = pathlib.Path(__file__).with_name("stop")
now = 0
def batch(step):
    global now
    now = step
    return ()
def at_7():
    if now == 7 and stop.exists():
        {act}
"""


def fails_at_7(folder: Path, act: str) -> Path:
    """A scenario whose guide does this on step 7, after drawing, while a file `stop` is there."""
    return write(folder, small(tail=WHEN_7.format(act=act) + "\n").replace(*AFTER_THE_DRAW))


AFTER_THE_DRAW = (
    '    pyro.sample("z", dist.Normal(loc, 0.7))\n',
    '    pyro.sample("z", dist.Normal(loc, 0.7))\n    at_7()\n',
)


def flushed(session: Session) -> list[StepRecord]:
    return [record for batch in session.flush() for record in batch.records()]


RAISED = {
    "raise ValueError('no\\n\\nmore')": "step 7 raised ValueError: no",
    "raise KeyError": "step 7 raised KeyError",
    "sys.exit('bye')": "step 7 called sys.exit('bye')",
    "raise GeneratorExit": "step 7 raised GeneratorExit",
    "at_7.nothing": "no attribute 'nothing'",
    "(f := lambda: f())()": "step 7 raised RecursionError",
    "torch.zeros(2) @ torch.zeros(3)": "step 7 raised RuntimeError",
    "raise ExceptionGroup('several', [ValueError(1)])": "step 7 raised ExceptionGroup: several",
    "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})": "cannot be shown",
}


@pytest.mark.parametrize("memory", [0, 10**6])
@pytest.mark.parametrize("act", RAISED)
def test_a_failed_step_leaves_the_run_where_it_was(act: str, memory: int, tmp_path: Path) -> None:
    path = fails_at_7(tmp_path, act)
    plain = plain_run(path, 10)
    write(tmp_path, "", "stop")
    said: list[str] = []
    session = Session(str(path), checkpoint_memory=memory, warn=said.append)
    with pytest.raises(StepError, match="step 7") as caught:
        session.advance(100)
    assert RAISED[act] in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.where.startswith(f"{path}:")
    assert "the run stays at step 6" in caught.value.hint
    assert str(path) in caught.value.traceback
    assert session.steps_taken == 6
    records = flushed(session)
    with pytest.raises(StepError):
        session.step()
    assert session.steps_taken == 6
    (tmp_path / "stop").unlink()
    records += [session.step() for _ in range(4)]
    assert said == []
    assert_same(plain, WatchedRun(session, records))


def test_a_first_step_that_fails_can_be_taken_again(tmp_path: Path) -> None:
    write(tmp_path, "", "stop")
    act = "    if stop.exists(): raise ValueError('first')\n"
    path = write(tmp_path, small(tail=WHEN_7.format(act="pass")).replace(GUIDE, GUIDE + act))
    session = Session(str(path))
    with pytest.raises(StepError, match="step 1 raised ValueError: first"):
        session.step()
    assert session.steps_taken == 0
    (tmp_path / "stop").unlink()
    assert session.step().loss == plain_run(path, 1).losses[0]


def test_ctrl_c_of_the_persons_own_leaves_the_run_where_it_was(tmp_path: Path) -> None:
    path = fails_at_7(tmp_path, "raise KeyboardInterrupt")
    write(tmp_path, "", "stop")
    session = Session(str(path))
    with pytest.raises(KeyboardInterrupt):
        session.advance(100)
    assert session.steps_taken == 6
    (tmp_path / "stop").unlink()
    assert flushed(session)[-1].step == 6
    assert session.step().loss == plain_run(path, 7).losses[-1]


BATCHES = {
    "return [step]": "`batch(1)` must return a tuple, and returned a list",
    "pass": "and returned a NoneType",
    "return torch.zeros(2)": "and returned a Tensor",
    "return {1: 2}['k']": "step 1 raised KeyError: 'k'",
    "yield 1": "and returned a generator",
    "return (1, 2)": "step 1 raised TypeError: guide() takes 0 positional arguments",
}


@pytest.mark.parametrize("body", BATCHES)
def test_a_batch_that_gives_no_tuple_is_reported(body: str, tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, small(tail=f"def batch(step):\n    {body}\n"))))
    with pytest.raises(StepError) as caught:
        session.step()
    assert BATCHES[body] in caught.value.what
    assert session.steps_taken == 0


NO_VALIDATION = "import pyro\npyro.enable_validation(False)\n"
AT_3 = """
import math
now = 0
def batch(step):
    global now
    now = step
    return ()
def third():
    return now == 3
"""

BAD: dict[str, tuple[str, float, str]] = {
    "nan-parameter": (
        small(head=NO_VALIDATION, tail=AT_3).replace(
            "dist.Normal(loc, 0.7)", "dist.Normal(loc + (math.nan if third() else 0), 0.7)"
        ),
        math.nan,
        'log q of site "z" is nan at step 3',
    ),
    "outside-support": (
        small(head=NO_VALIDATION, tail=AT_3).replace(
            "dist.Normal(z, 1.0), obs=torch.tensor(0.5)",
            "dist.Uniform(0.0, 1.0), obs=torch.tensor(2.0 if third() else 0.5)",
        ),
        math.inf,
        'log p of site "x" is -inf at step 3',
    ),
    "gradient-first": (
        # The square root has no finite slope at 0: the loss is finite, its gradient is not.
        small(
            head=NO_VALIDATION,
            tail=AT_3 + "def slope(x): return (0 * x).abs().sqrt() if third() else 0.0",
        ).replace("dist.Normal(z, 1.0)", "dist.Normal(z + slope(z), 1.0)"),
        math.nan,
        'the gradient of "loc" is nan at step 3',
    ),
    "factor": (
        small(model="pyro.factor('f', torch.tensor(-math.inf if third() else 0.0))", tail=AT_3),
        math.inf,
        'log p of site "f" is -inf at step 3',
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore:Encountered")
def test_a_loss_that_is_not_finite_names_its_step_and_culprit(name: str, tmp_path: Path) -> None:
    text, loss, suspect = BAD[name]
    session = Session(str(write(tmp_path, text)))
    records = [record for batch in session.advance(50) for record in batch.records()]
    step = 4 if name == "gradient-first" else 3
    assert session.steps_taken == len(records) == step
    assert session.non_finite is not None
    assert session.non_finite.suspect == suspect
    assert f"at step {step}: {suspect}" in str(session.non_finite)
    assert session.non_finite.loss == pytest.approx(loss, nan_ok=True)
    # Told to go on, it goes on.
    assert session.advance(1)[-1].first == step + 1


@pytest.mark.filterwarnings("ignore:Encountered")
def test_a_parameter_that_nothing_reaches_is_no_suspect(tmp_path: Path) -> None:
    text = BAD["factor"][0].replace(GUIDE, GUIDE + indented("pyro.param('w', torch.ones(5, 5))"))
    session = Session(str(write(tmp_path, text)))
    (record, *_) = [record for batch in session.advance(50) for record in batch.records()]
    assert session.non_finite is not None
    assert session.non_finite.suspect == BAD["factor"][2]
    assert record.params["w"].grad_norm is None
    assert record.params["w"].mean == 1.0


SITES = {
    "model": (
        small(model='w = pyro.sample("w [red]", dist.Normal(0.0, 1.0))'),
        ("missing-in-guide", "w [red]"),
    ),
    "guide": (
        small(guide='pyro.sample("w\\n", dist.Normal(0.0, 1.0))'),
        ("not-in-model", "w\n"),
    ),
}


@pytest.mark.parametrize("side", SITES)
@pytest.mark.filterwarnings("ignore:Found")
def test_a_site_of_one_side_alone_runs_and_is_found_by_name(side: str, tmp_path: Path) -> None:
    text, finding = SITES[side]
    session = Session(str(write(tmp_path, text)))
    found = {(one.name, one.subject.name) for one in checked(session.scenario).findings}
    assert finding in found
    records = [record for batch in session.advance(3) for record in batch.records()]
    (name,) = set(records[-1].sites) - {"z", "x"}
    site = records[-1].sites[name]
    assert (site.log_p is None, site.log_q is None) == (side == "guide", side == "model")


def test_there_may_be_no_latent_no_parameter_or_nothing(tmp_path: Path) -> None:
    no_latent = "a = pyro.param('a', torch.tensor(0.0))\n"
    no_latent += "pyro.sample('x', dist.Normal(a, 1.0), obs=torch.tensor(1.0))"
    bare = HEAD.replace("{", "{{").replace("}", "}}") + "def model():\n{}def guide():\n{}"
    draw = 'pyro.sample("z", dist.Normal(0.0, 1.0))'
    files = {
        "no_latent": bare.format(indented(no_latent), "    pass\n"),
        "no_param": bare.format(indented(draw), indented(draw)),
        "nothing": bare.format("    pass\n", "    pass\n"),
    }
    for name, text in files.items():
        path = write(tmp_path, text, f"{name}.py")
        assert_same(plain_run(path, 4), watched_run(str(path), 4))
    record = Session(str(tmp_path / "nothing.py")).step()
    assert (record.sites, record.params, record.loss) == ({}, {}, 0.0)


def test_the_whole_message_and_the_line_of_the_site_are_there(tmp_path: Path) -> None:
    path = tmp_path / "wide.py"
    path.write_text(
        "import pyro, torch, pyro.distributions as dist\n"
        "def model():\n"
        "    w = pyro.sample('w', dist.Normal(torch.zeros(3), 1.0))\n"
        "guide = pyro.infer.autoguide.AutoNormal(model)\n"
    )
    with pytest.raises(StepError) as caught:
        Session(str(path)).advance(1)
    assert "invalid log_prob shape; Expected [], actual [3]; " in caught.value.what
    assert ".to_event(...) the distribution being sampled" in caught.value.what
    assert caught.value.where == f"{path}:3"
