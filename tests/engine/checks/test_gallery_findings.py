"""What is found in each scenario of the gallery before its first step."""

from __future__ import annotations

import pytest

from tests.engine.checks.expected import EXPECTED, HEALTHY, TROUBLE
from tests.engine.gallery import SCENARIOS
from tui_elbo.engine.checks.static import check
from tui_elbo.engine.scenario import load
from tui_elbo.model.findings import Finding
from tui_elbo.model.scenarios import find_scenario


def found(name: str) -> tuple[Finding, ...]:
    return check(load(find_scenario(name))).findings


def test_every_scenario_has_an_entry() -> None:
    assert {path.stem for path in SCENARIOS.glob("*.py")} == EXPECTED.keys()


def test_there_are_enough_troubles_to_find() -> None:
    assert len(TROUBLE) >= 16


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in HEALTHY])
def test_what_is_wrong_is_found_before_the_first_step(name: str) -> None:
    findings = found(name)
    wanted = {key for key, step in EXPECTED[name].found.items() if step == 1}
    assert wanted <= {(one.name, one.subject.name) for one in findings}
    if not wanted:
        assert [one for one in findings if one.level != "note"] == []


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_wrong_with_a_healthy_one(name: str) -> None:
    assert [one for one in found(name) if one.level != "note"] == []
