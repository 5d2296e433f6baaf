"""The engine checks a scenario before its first step, in a copy, and sends what it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.compare import assert_same_state
from tests.engine.plain import plain_run
from tests.engine.sources import write
from tui_elbo.engine.checks.checker import Checker
from tui_elbo.engine.session import Session
from tui_elbo.model.findings import Finding, Subject
from tui_elbo.protocol import DismissFinding, Event, FindingsChanged

pytestmark = pytest.mark.filterwarnings("ignore:Found vars in model")

TEXT = """
import pyro, torch
import pyro.distributions as dist
from pyro.infer.autoguide import AutoNormal

ignore = {ignore}
optimizer = pyro.optim.Adam({{"lr": 0.02}})

def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(a + b, 1.0), obs=torch.tensor(1.0))

guide = AutoNormal(pyro.poutine.block(model, hide=["b"]))
"""


class Heard:
    """What a checker has sent."""

    def __init__(self) -> None:
        self.events: list[FindingsChanged] = []
        self.checker = Checker(self._take)

    def _take(self, event: Event) -> None:
        assert isinstance(event, FindingsChanged)
        self.events.append(event)

    def follow(self, session: Session) -> tuple[Finding, ...]:
        self.checker.follow(session.scenario, ignore=session.scenario.ignore)
        self.checker.wait()
        return self.events[-1].findings if self.events else ()


def test_what_is_found_before_the_first_step_changes_nothing_of_the_run(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT.format(ignore=[]))
    plain = plain_run(path, 5)
    session, heard = Session(str(path)), Heard()
    (found,) = heard.follow(session)
    assert (found.name, found.subject) == ("missing-in-guide", Subject("site", "b"))
    assert TEXT.splitlines()[found.line - 1].lstrip().startswith("b = ")
    assert [session.step().loss for _ in range(5)] == plain.losses
    assert_same_state(plain, session)


def test_a_finding_can_be_dismissed_and_taken_back(tmp_path: Path) -> None:
    session, heard = Session(str(write(tmp_path, TEXT.format(ignore=[])))), Heard()
    (found,) = heard.follow(session)
    heard.checker.dismiss(DismissFinding(code=found.code, subject=found.subject))
    assert (heard.events[-1].findings, heard.events[-1].dismissed) == ((), (found,))
    heard.checker.dismiss(DismissFinding(code=found.code, subject=found.subject, dismissed=False))
    assert (heard.events[-1].findings, heard.events[-1].dismissed) == ((found,), ())


@pytest.mark.parametrize("ignored", ["SVI012", "missing-in-guide"])
def test_a_scenario_ignores_rules(tmp_path: Path, ignored: str) -> None:
    session, heard = Session(str(write(tmp_path, TEXT.format(ignore=[ignored])))), Heard()
    assert heard.follow(session) == ()


def test_an_ignored_name_that_is_no_rule_is_said(tmp_path: Path) -> None:
    session, heard = Session(str(write(tmp_path, TEXT.format(ignore=["SVI999"])))), Heard()
    assert len(heard.follow(session)) == 1
    assert heard.events[-1].unchecked == ('the scenario ignores "SVI999", which is no rule',)


MANY = """
import pyro, torch
import pyro.distributions as dist

def model():
    z = pyro.sample("z", dist.Normal(torch.zeros(5000), 1.0).to_event(1))
    pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=torch.tensor(1.0))

def guide():
    scales = [pyro.param(f"scale_{i}", torch.tensor(1.0)) for i in range(5000)]
    pyro.sample("z", dist.Normal(0.0, torch.stack(scales)).to_event(1))
"""


@pytest.mark.slow
def test_what_takes_too_long_is_left_out_and_said(tmp_path: Path) -> None:
    session, heard = Session(str(write(tmp_path, MANY))), Heard()
    heard.follow(session)
    assert any("not " in text and "SVI040" in text for text in heard.events[-1].unchecked)


def test_it_is_said_when_the_model_has_been_run_and_nothing_found(tmp_path: Path) -> None:
    text = TEXT.format(ignore=[]).replace('hide=["b"]', "hide=[]")
    session, heard = Session(str(write(tmp_path, text))), Heard()
    assert heard.follow(session) == ()
    assert [one.examined for one in heard.events] == [0]
    heard.checker.examined(128)
    heard.checker.rewound(100)
    assert heard.events[-1].examined == 128
    heard.checker.dismiss(DismissFinding(code="SVI001", subject=Subject("site", "a")))
    assert heard.events[-1].examined == 100
