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


@pytest.mark.parametrize(
    ("sd", "level", "verb"),
    [(0.05, "note", "can"), (0.18, "warning", "can"), (0.5, "error", "draws")],
)
def test_it_is_said_whether_draws_are_outside_or_only_can_be(
    sd: float, level: str, verb: str
) -> None:
    text = HEALTHY["normal_far_from_the_edge"].replace("0.05", str(sd))
    (found,) = check(example(text)).findings
    assert (found.name, found.subject.name, found.level) == ("outside-support", "sd", level)
    assert found.message.startswith(f"the guide {verb} ")


def test_a_site_that_only_hands_a_value_on_may_have_any_shape() -> None:
    """Pyro refuses it where its validation is on, and runs it right where that is off."""
    text = """
pyro.enable_validation(False)


def model():
    a = pyro.sample("a", dist.Normal(0.0, 3.0))
    pyro.sample("handed", dist.Normal(torch.zeros(1), 1.0){0})
    with pyro.plate("n", 6):
        pyro.sample("x", dist.Normal(a, 1.0), obs=torch.linspace(-1.0, 3.0, 6))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("a", dist.Normal(loc, 0.5))
    pyro.sample("handed", dist.Normal(torch.stack([loc, loc + 1.0]), 1.0){0})
"""
    handed = check(example(text.format(".mask(False)"))).findings
    counted = check(example(text.format(""))).findings
    assert [one for one in handed if one.level != "note"] == []
    assert "shape-differs" in {one.name for one in counted}
