"""Rules find a fault in whatever shape it comes, and say nothing of healthy scenarios."""

from __future__ import annotations

import pytest

from tests.engine.checks.healthy import HEALTHY
from tests.engine.checks.variants import FAULTY
from tui_elbo.engine.checks.examples import example
from tui_elbo.engine.checks.static import check


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_found_in_each_of_its_shapes(name: str) -> None:
    text, wanted = FAULTY[name]
    found = {(one.name, one.subject.name) for one in check(example(text, name)).findings}
    assert wanted <= found


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_said_of_a_healthy_scenario(name: str) -> None:
    checked = check(example(HEALTHY[name], name))
    assert checked.unchecked == ()
    assert [one for one in checked.findings if one.level != "note"] == []
