"""The rules on a running run fire on their examples, are silent on the mended ones, and watching
with them changes nothing.
"""

from __future__ import annotations

from pathlib import Path

import pyro
import pytest
import torch

from tests.engine.compare import assert_same_state
from tests.engine.local import Local
from tests.engine.plain import plain_run
from tests.engine.sources import write
from tui_elbo.engine.checks.catalogue import CATALOGUE
from tui_elbo.engine.checks.checker import Checker
from tui_elbo.engine.checks.examples import PRELUDE
from tui_elbo.engine.checks.monitor import Monitor
from tui_elbo.engine.checks.origin import origin_of
from tui_elbo.engine.checks.rule import Rule
from tui_elbo.engine.checks.running import Failure
from tui_elbo.engine.lens import Lens, isolated
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import StepError
from tui_elbo.model.findings import Finding
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import Step, Tune
from tui_elbo.protocol.codec import encode

pytestmark = [
    pytest.mark.filterwarnings("ignore:Found vars in model"),
    pytest.mark.filterwarnings("ignore:Found non-auxiliary vars in guide"),
]

RUNNING = [rule for rule in CATALOGUE if rule.when == "running"]
BY_COLUMNS = {
    "non-finite-gradient",
    "step-overflows",
    "non-finite-term",
    "left-its-support",
    "draw-off-support",
    "argument-became-invalid",
    "size-changes",
    "two-devices",
    "sites-vary",
    "not-positive-definite",
    "never-moves",
    "part-never-moves",
    "rate-decayed",
}
"""Those that need no examination."""


def followed(path: Path, steps: int, *, examined: bool) -> tuple[list[Finding], Session]:
    """What is found in a run of so many steps."""
    session = Session(str(path))
    monitor = Monitor(Checker(lambda _: None))
    monitor.follow(
        lambda: session.optimizer, steps, origin_of=lambda step: origin_of(session, step)
    )
    session.observe(monitor.observe)
    failure = None
    try:
        while session.steps_taken < steps and session.non_finite is None:
            session.advance(steps - session.steps_taken, 0.05)
    except StepError as error:
        session.flush()
        failure = Failure(session.steps_taken + 1, f"{error.traceback}\n{error.what}")
    if failure is not None:
        monitor.failed(failure)
    elif examined:
        roles = dict.fromkeys(pyro.get_param_store(), "guide")
        with isolated():
            seen = monitor.examination()(Lens(session.scenario), roles, lambda _done, _of: None)
        monitor.examined(encode(seen))
    return monitor.findings(), session


def fired(rule: Rule, text: str, tmp_path: Path) -> set[str]:
    """Codes of the rule itself, and of what is no note."""
    path = write(tmp_path, PRELUDE + text)
    found, _ = followed(path, rule.steps, examined=rule.name not in BY_COLUMNS)
    return {one.code for one in found if one.level != "note" or one.code == rule.code}


def pick(rules: list[Rule], *, by_columns: bool) -> list[Rule]:
    return [rule for rule in rules if (rule.name in BY_COLUMNS) == by_columns]


@pytest.mark.parametrize("rule", pick(RUNNING, by_columns=True), ids=lambda rule: rule.name)
def test_a_rule_on_columns_fires_on_its_example_alone(rule: Rule, tmp_path: Path) -> None:
    assert rule.code in fired(rule, rule.fires, tmp_path)
    assert fired(rule, rule.silent, tmp_path) == set()


@pytest.mark.slow
@pytest.mark.parametrize("rule", pick(RUNNING, by_columns=False), ids=lambda rule: rule.name)
def test_a_rule_on_examinations_fires_on_its_example_alone(rule: Rule, tmp_path: Path) -> None:
    assert rule.code in fired(rule, rule.fires, tmp_path)
    assert fired(rule, rule.silent, tmp_path) == set()


def test_a_run_that_is_followed_is_bit_for_bit_the_plain_one(tmp_path: Path) -> None:
    path = write(tmp_path, PRELUDE + next(r for r in RUNNING if r.code == "SVI111").silent)
    plain = plain_run(path, 40)
    session = Session(str(path))
    monitor = Monitor(Checker(lambda _: None))
    monitor.follow(lambda: session.optimizer, 40)
    session.observe(monitor.observe)
    batches = session.advance(40)
    assert [record.loss for batch in batches for record in batch.records()] == plain.losses
    monitor.judge()
    assert_same_state(plain, session)


def test_a_rate_that_the_person_lowers_has_not_decayed_by_itself(tmp_path: Path) -> None:
    text = next(rule for rule in RUNNING if rule.code == "SVI111").silent
    run = Local(write(tmp_path, PRELUDE + text))
    run.ask(Step(count=40))
    run.ask(Tune(tuning=Tuning(lr=1e-6)))
    run.ask(Step(count=100))
    assert [one.code for one in run.source._runner.monitor.findings()] == []


def test_of_refused_numbers_only_the_invalid_one_is_named(tmp_path: Path) -> None:
    """The error lists the whole tensor; another parameter may hold one of the valid numbers."""
    text = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    scale = pyro.param("scale", torch.tensor([1.0, 1e-3]))
    with pyro.plate("n", 2):
        pyro.sample("y", dist.Normal(z, scale), obs=torch.zeros(2))


def guide():
    pyro.param("one", torch.tensor(1.0))
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1e-4))


optimizer = pyro.optim.SGD({"lr": 1e-3})
"""
    found, _ = followed(write(tmp_path, PRELUDE + text), 50, examined=False)
    (one,) = [one for one in found if one.level == "error"]
    assert one.subject.name == "scale"
    assert "became -" in one.message


@pytest.mark.filterwarnings("ignore:Encountered NaN")
def test_the_chain_to_a_number_that_is_not_finite_begins_at_its_parameter(tmp_path: Path) -> None:
    text = """
def model():
    pyro.sample("z", dist.Normal(0.0, 1e-4, validate_args=False))


def guide():
    scale = pyro.param("scale", torch.tensor(0.05))
    pyro.sample("z", dist.Normal(0.0, scale, validate_args=False))


optimizer = pyro.optim.Adam({"lr": 0.03})
"""
    found, _ = followed(write(tmp_path, PRELUDE + text), 20, examined=False)
    (one,) = [one for one in found if one.level == "error"]
    assert (one.code, one.subject.name, one.since) == ("SVI103", "scale", 2)
    assert one.message.startswith('"scale" has no constraint and became -')
    assert one.message.endswith('at step 2, so log q of "z" is nan at step 3')


def test_an_argument_that_is_computed_names_the_parameters_behind_it(tmp_path: Path) -> None:
    text = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    slope = pyro.param("slope", torch.tensor(0.1))
    pyro.sample("y", dist.Normal(z, 0.5 * slope), obs=torch.tensor(0.0))


def guide():
    pyro.sample("z", dist.Normal(0.0, 1e-4))


optimizer = pyro.optim.Adam({"lr": 0.15})
"""
    found, _ = followed(write(tmp_path, PRELUDE + text), 20, examined=False)
    (one,) = [one for one in found if one.level == "error"]
    assert (one.code, one.subject.name) == ("SVI106", "y")
    assert 'computed from "slope"' in one.message


def test_a_gradient_that_is_nan_says_in_which_term(tmp_path: Path) -> None:
    text = next(rule for rule in RUNNING if rule.code == "SVI101").fires
    found, _ = followed(write(tmp_path, PRELUDE + text), 2, examined=False)
    assert 'in log p of "reading"' in found[0].message


def test_what_an_optimiser_of_torch_holds_is_known() -> None:
    pyro.clear_param_store()
    for name in ("held", "left"):
        pyro.param(name, torch.tensor(1.0))
    held = pyro.get_param_store()._params["held"]
    optimizer = torch.optim.Adam([held], lr=0.25)
    monitor = Monitor(Checker(lambda _: None))
    monitor.follow(lambda: optimizer, 0)
    assert monitor._rates() == {"held": 0.25}
    monitor.follow(lambda: None, 0)
    assert monitor._rates() is None
