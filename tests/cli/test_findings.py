"""`elbo-tui run` prints what is found, each once, on stderr; a verdict says no good of a fault."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.engine.sources import small, write
from tui_elbo.cli.findings import run_checks
from tui_elbo.cli.verdict import verdict_line
from tui_elbo.engine.runner import done_text
from tui_elbo.engine.session import Session
from tui_elbo.model.findings import Finding, Subject, standing_text
from tui_elbo.model.verdict import Verdict

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pyro's own, of the fault.

STATIC = "pyro.sample('w', dist.Normal(0., 1.))"


def finding(name: str, level: str = "warning") -> Finding:
    return Finding("SVI1", name, level, Subject("run"), "what", "do")  # type: ignore[arg-type]


def said(path: Path, steps: int, *, rounds: int = 1) -> list[str]:
    """What is printed of a run that is taken so far, in so many pieces."""
    session, lines = Session(str(path)), list[str]()
    chosen = argparse.Namespace(draws=None, lens_in_process=False)
    checks = run_checks(session, steps, chosen, lines.append)
    for _ in range(rounds):
        session.advance(steps // rounds, 1.0)
        checks.stepped()
    checks.end(None)
    return lines


def test_each_fault_is_printed_once_with_its_remedy(tmp_path: Path) -> None:
    (line,) = said(write(tmp_path, small(guide=STATIC)), 4, rounds=2)
    message, hint = line.splitlines()
    assert message.startswith("error SVI002 not-in-model: line ")
    assert hint.startswith("  ")


def test_a_rule_that_the_scenario_ignores_is_silent(tmp_path: Path) -> None:
    text = small(guide=STATIC, tail="ignore = ['not-in-model']")
    assert said(write(tmp_path, text), 2) == []


@pytest.mark.parametrize("state", ["stationary", "improving"])
def test_a_good_verdict_is_not_said_beside_a_fault(state: str) -> None:
    verdict = Verdict(state, 200, 0.1, left_high=0.05)  # type: ignore[arg-type]
    fault = (finding("never-moves"),)
    for text in (verdict_line(verdict, fault), done_text(verdict, fault)):
        assert "SVI1 never-moves stands" in text
        assert verdict.words not in text.lower()
    note = (finding("never-moves", "note"),)
    assert verdict_line(verdict, note) == verdict.text
    assert done_text(verdict, note) == verdict.brief


def test_many_faults_are_named_in_one_sentence() -> None:
    assert standing_text([finding(str(i)) for i in range(2)]) == "SVI1 0, SVI1 1 stand"
    assert standing_text([finding(str(i)) for i in range(5)]).endswith("SVI1 2 and 2 more stand")
