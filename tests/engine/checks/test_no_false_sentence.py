"""While a scenario of the gallery runs, its faults are found and nothing false is on the screen."""

from __future__ import annotations

import pytest

from tests.engine.checks.expected import EXPECTED
from tests.engine.checks.screen import screens
from tui_elbo.model.scenarios import find_scenario

STEPS = (100, 300)
"""Where the screen is read, and at the last step by which something must be found."""

COSTLY = {"labels_left_to_luck", "minibatch_forgotten_scale", "two_subsamples", "row_and_column"}
"""Their models take one draw at a time: read once, before the first verdict."""

BREAK_OFF = {
    "masked_gaps",
    "normal_for_a_rate",
    "parameter_at_the_top",
    "short_last_batch",
    "unconstrained_scale",
}
"""Their fault ends the run early."""

FAULTY = [name for name, one in EXPECTED.items() if one.forbidden]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pyro's and torch's own, of the fault.
@pytest.mark.parametrize("name", FAULTY)
def test_nothing_false_is_said_while_it_runs(name: str) -> None:
    expected = EXPECTED[name]
    last = max(expected.found.values(), default=1)
    steps = (100,) if name in COSTLY else (*STEPS, *([last] if last > STEPS[-1] else []))
    seen = screens(find_scenario(name).path, steps)
    assert (seen[-1].step < steps[-1]) == (name in BREAK_OFF)
    for screen in seen:
        found = {(one.name, one.subject.name) for one in screen.findings}
        assert {key for key, by in expected.found.items() if by <= max(screen.step, 1)} <= found
        said = [word for word in expected.forbidden if word in screen.text]
        assert not said, f"step {screen.step}: {screen.text}"
