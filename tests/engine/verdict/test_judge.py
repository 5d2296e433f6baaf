"""The verdict on real runs whose answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.verdict.problems import HEAD, NORMAL_GUIDE, PROBLEMS
from tui_elbo.engine.lens import isolated
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.session import Session
from tui_elbo.engine.verdict.iterates import Iterates, memory_of
from tui_elbo.engine.verdict.probe import judge, judged, measure
from tui_elbo.model.tuning import Tuning
from tui_elbo.model.verdict import NATS, Measurement, Tolerance, Verdict


def session(folder: Path, text: str) -> Session:
    path = folder / "scenario.py"
    path.write_text(text)
    return Session(str(path))


def verdict(run: Session, draws: int | None = None, tolerance: Tolerance = NATS) -> Verdict:
    attribution = Attribution(run, draws)
    with isolated():
        found = judge(judged(attribution, run, tolerance))
    attribution.close()
    return found


def normal(optimizer: str) -> str:
    return PROBLEMS["normal"].scenario(PROBLEMS["normal"].optimizers()[optimizer])


def test_a_run_improves_and_then_is_stationary(tmp_path: Path) -> None:
    run = session(tmp_path, normal("usual"))
    run.advance(100)
    assert verdict(run).state == "cannot_tell"
    run.advance(28)
    early = verdict(run)
    assert early.state == "improving"
    # What is left of this run at the mean of its last 32 iterates, with 4,096 draws.
    assert early.left_low < 0.804 + 0.02
    assert early.left_high > 0.804 - 0.02
    # The standard deviation of log p - log q there, by a million draws, is 0.674.
    twice = verdict(run, tolerance=Tolerance(2.0, of_spread=True))
    assert twice.state == "stationary"
    assert twice.tolerance == pytest.approx(2 * 0.674, rel=0.25)
    run.advance(512 - 128)
    late = verdict(run)
    assert late.state == "stationary"
    assert late.left_high < 0.1
    assert late.since is not None
    assert late.reached is not None
    assert 128 < late.reached <= late.since < 400


def test_a_rate_that_has_decayed_to_nothing_is_not_called_the_end(tmp_path: Path) -> None:
    run = session(tmp_path, normal("decayed"))
    run.advance(256)
    found = verdict(run)
    assert found.state == "stopped"
    assert found.left_low <= 2.11 <= found.left_high
    assert "not converged" in found.text


@pytest.mark.slow
def test_a_hot_rate_is_told_with_its_price(tmp_path: Path) -> None:
    run = session(tmp_path, PROBLEMS["poisson"].scenario('pyro.optim.Adam({"lr": 1.0})'))
    run.advance(512)
    found = verdict(run)
    assert found.state == "rate_too_high"
    assert found.rate_gain is not None
    assert found.rate_gain.value > 1.0


def test_judging_changes_nothing_of_the_run(tmp_path: Path) -> None:
    losses = []
    # Pyro's store is the process's: one run after the other.
    for text, judges in ((normal("usual"), True), (normal("usual"), False)):
        run = session(tmp_path, text)
        found = []
        for _ in range(2):
            found += [record.loss for batch in run.advance(130) for record in batch.records()]
            if judges:
                verdict(run)
        losses.append(found)
    assert losses[0] == losses[1]


def test_after_a_change_of_settings_the_window_begins_anew(tmp_path: Path) -> None:
    run = session(tmp_path, normal("usual"))
    run.advance(20)
    run.tune(Tuning(lr=0.02))
    run.advance(127)
    assert "counted from step 20," in verdict(run).text


@pytest.mark.slow
def test_a_point_guide_has_no_luck(tmp_path: Path) -> None:
    problem = PROBLEMS["point"]
    run = session(tmp_path, problem.scenario(problem.optimizers()["large"]))
    run.advance(512)
    found = verdict(run)
    assert found.state == "stationary"
    assert found.left_high < 0.01


UNDECIDED = {
    "discrete": (
        """
def model():
    z = pyro.sample("z", dist.Bernoulli(0.3))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))

def guide():
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.unit_interval)
    pyro.sample("z", dist.Bernoulli(p))
""",
        "no gradient goes through",
    ),
    "no parameter": (
        """
def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    pyro.sample("z", dist.Normal(0.0, 1.0))
""",
        "no parameter",
    ),
    "minibatches": (
        """
data = torch.randn(1000, generator=torch.Generator().manual_seed(0))

def batch(step):
    return (data[torch.randint(1000, (10,), generator=torch.Generator().manual_seed(step))],)

def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("data", 1000, subsample_size=10):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)

def guide(x):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(0.03), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(m, s))
""",
        "full_batch()",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNDECIDED)
def test_where_it_cannot_be_sure_it_says_why(name: str, tmp_path: Path) -> None:
    text, reason = UNDECIDED[name]
    run = session(tmp_path, f'{HEAD}{text}\noptimizer = pyro.optim.Adam({{"lr": 0.001}})\n')
    run.advance(128)
    found = verdict(run)
    assert found.state in {"cannot_tell", "improving", "falling"}
    if found.state == "cannot_tell":
        assert reason in found.text or "changed the ELBO by" in found.text


@pytest.mark.slow
def test_a_rewound_run_is_judged_by_what_is_left_of_it(tmp_path: Path) -> None:
    run = session(tmp_path, normal("usual"))
    run.advance(140)
    early = verdict(run)
    run.advance(120)
    run.go_to(140)
    again = verdict(run)
    assert (again.state, again.step) == (early.state, 140)
    assert again.left_low == pytest.approx(early.left_low, rel=0.2)
    run.go_to(100)
    assert "there are 100" in verdict(run).text


def test_a_store_that_grows_begins_the_window_anew(tmp_path: Path) -> None:
    text = (
        PROBLEMS["normal"]
        .scenario("pyro.optim.Adam({'lr': 0.01})")
        .replace(
            "def guide():\n",
            "taken = []\ndef guide():\n    taken.append(1)\n    if len(taken) > 50:\n"
            '        pyro.param("late", torch.tensor(0.0))\n',
        )
    )
    run = session(tmp_path, text)
    run.advance(130)
    assert "counted from step " in verdict(run).text


def test_looks_that_are_not_finite_are_not_judged(tmp_path: Path) -> None:
    wall = '    pyro.factor("wall", torch.where(z < -1.0, -math.inf, 0.0))\n'
    text = normal("small").replace("\ndef guide", f"{wall}\ndef guide", 1)
    run = session(tmp_path, text)
    while run.steps_taken < 128:
        run.advance(128 - run.steps_taken)
    found = verdict(run)
    assert found.state == "cannot_tell"
    assert "not finite" in found.text


def test_what_would_take_too_long_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = session(tmp_path, normal("usual"))
    run.advance(128)
    monkeypatch.setattr("tui_elbo.engine.verdict.probe.PATIENCE", 0.0)
    attribution = Attribution(run)
    with isolated():
        asked, offered = (judge(judged(attribution, run, patient=on)) for on in (True, False))
    attribution.close()
    assert asked.state == "improving"
    assert offered.state == "cannot_tell"
    assert "run --until" in offered.text


def test_a_large_network_is_not_judged_and_says_which_memory_would_do(tmp_path: Path) -> None:
    text = f"""{HEAD}
net = torch.nn.Linear(400, 400)

def model(x=torch.ones(2, 400)):
    pyro.module("net", net)
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(net(x) * z, 1.0).to_event(2), obs=x)
{NORMAL_GUIDE.format(m=0.0, s=1.0)}
optimizer = pyro.optim.Adam({{"lr": 0.001}})
"""
    run = session(tmp_path, text.replace("def guide()", "def guide(x=None)"))
    run.advance(3)
    reason = verdict(run).reason
    assert "too large" in reason
    assert "79M would do" in reason
    assert Iterates(memory_of(79 * 2**20)).why_none == ""


@pytest.mark.slow
def test_where_the_usual_draws_leave_it_open_more_are_taken(tmp_path: Path) -> None:
    problem = PROBLEMS["two humps"]
    text = problem.scenario(problem.optimizers()["usual"])
    text = text.replace("tensor(2.0)", "tensor(1.0)").replace("tensor(0.5)", "tensor(1.0)")
    run = session(tmp_path, text)
    run.advance(256)
    attribution = Attribution(run)
    with isolated():
        usual = measure(judged(attribution, run))
    attribution.close()
    fixed = Attribution(run, 256)
    with isolated():
        asked = measure(judged(fixed, run))
    fixed.close()
    assert isinstance(usual, Measurement)
    assert isinstance(asked, Measurement)
    assert (usual.draws, asked.draws) == (2048, 256)
    # What was left to the mode nearby, by quadrature, is 0.14 nats.
    assert usual.held_out.low < 0.14 < usual.in_sample.high
    assert usual.held_out.mcse < asked.held_out.mcse
